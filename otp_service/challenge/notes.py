"""Notes about a challenge, with what its record tells.

Pure. Must not know why a note is taken.
"""

from dataclasses import replace
from typing import Any

from otp_service.challenge.model import Challenge, Plan
from otp_service.history.note import Note, What


def about_challenge(what: What, challenge: Challenge, **facts: Any) -> Note:  # noqa: ANN401 - as Note
    """Make a note about a challenge."""
    about = Note(
        what=what,
        challenge=challenge.id,
        app=challenge.app,
        route=challenge.plan.route,
        arm=challenge.plan.arm,
        policy=challenge.policy,
        known=challenge.known,
    )
    return replace(about, **facts)


def about_delivery(what: What, challenge: Challenge, place: int = -1, **facts: Any) -> Note:  # noqa: ANN401 - as Note
    """Make a note about a delivery of a challenge, the newest if no `place` is given."""
    delivery = challenge.deliveries[place]
    about = {
        "request_id": delivery.request_id,
        "channel": delivery.channel,
        "account": delivery.upstream,
        "place": place % len(challenge.deliveries),
    }
    return about_challenge(what, challenge, **(about | facts))


def written_plan(plan: Plan) -> str:
    """Write the steps of a plan in one line."""
    return " ".join(f"{step.channel}:{'+'.join(step.upstreams)}" for step in plan.steps)
