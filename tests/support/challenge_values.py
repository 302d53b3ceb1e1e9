"""Challenges and deliveries as values, for tests of rules."""

from dataclasses import replace

from otp_service.challenge.model import Challenge, Delivery, Plan, State, Status, Step

OPENED, TTL = 1_700_000_000_000, 300
EXPIRES = OPENED + TTL * 1000
STEPS = (Step("sms", ("main",), 20), Step("whatsapp", ("main",), 30), Step("voice", ("spare",), 40))
PLAN = Plan(STEPS, 6, TTL, max_attempts=5, max_sends=4, cooldown=(30, 60))


def a_delivery(status: Status = Status.QUEUED, step: int = 0, at: int = OPENED, **more: object) -> Delivery:
    """Make a delivery."""
    made = Delivery(step, STEPS[step].channel, status, at, "operation", "request")
    return replace(made, **more)  # type: ignore[arg-type]  # names and types are the test's business


def a_challenge(*deliveries: Delivery, plan: Plan = PLAN, **more: object) -> Challenge:
    """Make a pending challenge."""
    tried = deliveries or (a_delivery(),)
    made = Challenge("00id", "web", "login", "sealed", "testing.p1", State.PENDING, EXPIRES, plan, tried)
    return replace(made, **more)  # type: ignore[arg-type]  # as above
