"""What the guard counts for a message: a fallback is charged before it is sent, and the real cost is counted after.

Knows which message was charged for which channel. Must not know how the guard counts or what an upstream is.
"""

from dataclasses import replace

from otp_service.challenge import transitions
from otp_service.challenge.model import Challenge
from otp_service.challenge.notes import about_challenge
from otp_service.challenge.sealed import PersonalData
from otp_service.guard import rules
from otp_service.guard.admission import Admission, Entry
from otp_service.history.note import What
from otp_service.policy import Guard
from otp_service.store.sources import Call
from otp_service.upstream.port import Outcome


class Charges:
    """Charges messages that the system sends by itself, and counts what each message cost."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def charge_fallback(self, guard: Guard, challenge: Challenge, e164: str, channel: str) -> str:
        """Charge the newest delivery over `channel`. Return `allow`, `cheap` or `refuse`. Raises StoreUnavailable."""
        steps, request_id = challenge.plan.steps, challenge.last.request_id
        asked = replace(rules.asked_of(challenge, e164), channel=channel)
        entry = Entry(
            asked=asked,
            rules=guard,
            request_id=request_id,
            cheap=any(
                steps[place].channel in guard.cheap_channels for place in transitions.candidates(challenge)
            ),
        )
        operation = f"{challenge.id[-8:]}{len(challenge.deliveries)}"
        about = about_challenge(
            What.REFUSED, challenge, request_id=request_id, country=asked.number.country, channel=channel
        )
        return self._admission.admit_fallback(entry, operation, about).verdict

    def give_back(self, guard: Guard, challenge: Challenge, person: PersonalData) -> None:
        """Give back the charge of the newest delivery, which is owed, once. Raises StoreUnavailable.

        A fallback was charged to none who asks, as nobody asked for it, unless it has the charge of a message before.
        """
        charged = challenge.deliveries[transitions.charged_place(challenge)]
        asked = replace(rules.asked_of(challenge, person.e164), channel=_charged_channel(challenge))
        if charged.automatic:
            lines = rules.lines_of_fallback(guard, asked)
        else:
            asked = replace(asked, address=person.address or None, session=person.session)
            lines = rules.lines_of_send(guard, asked)
        self._admission.give_back(lines, f"late{challenge.id[-8:]}{challenge.owed}", charged.at)

    def price(self, guard: Guard, challenge: Challenge, country: str, outcome: Outcome) -> float:
        """Return what the newest delivery costs: as the upstream reported it, or as the policy says."""
        if outcome.charges is not None:
            return outcome.charges
        return guard.money.price(challenge.last.channel, country)

    def counting_message(self, guard: Guard, challenge: Challenge, e164: str, outcome: Outcome) -> list[Call]:
        """Return the calls that count a message which an upstream accepted.

        The first message of a challenge counts for its conversion. Each message counts for money: the difference
        between its cost and what was charged before.
        """
        asked, first = rules.asked_of(challenge, e164), challenge.deliveries[0]
        cost = self.price(guard, challenge, asked.number.country, outcome)
        paid = guard.money.price(_charged_channel(challenge), asked.number.country)
        was_sent = any(d.upstream for d in challenge.deliveries[:-1])
        lines = rules.after_sending(guard, asked, None if was_sent else first.at, cost - paid)
        return self._admission.counting(lines)


def _charged_channel(challenge: Challenge) -> str:
    """Name the channel that the guard was charged for; the first message may have moved to another step since."""
    place = transitions.charged_place(challenge)
    return challenge.deliveries[place].channel if place else challenge.plan.steps[0].channel
