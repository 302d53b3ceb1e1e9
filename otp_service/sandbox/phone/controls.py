"""The controls for tests and people: force outcomes, reply from the phone.

Knows the two control paths and their JSON. Must not know what an outcome does, or which webhooks a reply reaches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, request

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.calls import as_object, as_text, json_of
from otp_service.sandbox.api.unified import MOST_CHARACTERS, NUMBER
from otp_service.sandbox.mailbox import Mailbox
from otp_service.sandbox.outcomes import ANY, CHANNELS, Outcome, Outcomes, Selection, fits
from otp_service.sandbox.phone import replies
from otp_service.sandbox.phone.replies import Reply, inbound_event
from otp_service.sandbox.reports.pushes import Pushes

USUAL_RECIPIENT = "919000000000"
"""Recipient of a reply if nothing was sent to its number before."""


@dataclass(frozen=True, slots=True)
class Controls:
    """Views that change what the sandbox does."""

    outcomes: Outcomes
    mailbox: Mailbox
    pushes: Pushes
    accounts: tuple[str, ...]
    clock: Callable[[], float]

    def mount(self, app: Flask) -> None:
        """Serve the control paths at the root."""
        blueprint = Blueprint("controls", __name__)
        blueprint.add_url_rule(
            "/outcomes", view_func=_refusing(self.force), endpoint="force", methods=["PUT"]
        )
        blueprint.add_url_rule(
            "/outcomes", view_func=_refusing(self.release), endpoint="release", methods=["DELETE"]
        )
        blueprint.add_url_rule(
            "/inbound", view_func=_refusing(self.reply), endpoint="reply", methods=["POST"]
        )
        app.register_blueprint(blueprint)

    def force(self) -> Response:
        """Force the outcome of sends to a number; the outcome null removes it."""
        body = _body()
        selection = self._selection(body)
        if "outcome" not in body:
            raise answers.required("outcome")
        if body["outcome"] is None:
            self.outcomes.release(selection)
            return Response(status=204)
        # The vendor's own spelling of a word, such as PROMO-TMOUT, is taken, too.
        outcome = as_text(body.get("outcome")).lower().replace("-", "_")
        if outcome not in set(Outcome) or not fits(Outcome(outcome), selection.channel):
            raise answers.invalid({"outcome": [f"The channel {selection.channel} has no such outcome."]})
        self.outcomes.force(selection, Outcome(outcome))
        return answers.json_answer(outcome_row(selection, Outcome(outcome)))

    def release(self) -> Response:
        """Remove what was forced for one number, or everything if there is no body."""
        self.outcomes.release(self._selection(_body()) if request.get_data() else None)
        return Response(status=204)

    def reply(self) -> Response:
        """Accept a text from a person's phone and push it to all receivers."""
        body = _body()
        sender, text = as_text(body.get("from")).removeprefix("+"), body.get("text")
        channel = as_text(body.get("channel")) or "sms"
        checks = {
            "from": NUMBER.fullmatch(sender),
            "text": isinstance(text, str) and 0 < len(text) <= MOST_CHARACTERS,
            "channel": channel in replies.CHANNELS,
        }
        _check(checks)
        last = next((row for row in self.mailbox.newest(1000, sender) if row.channel == channel), None)
        to = as_text(body.get("to")).removeprefix("+") or (last.sender if last else USUAL_RECIPIENT)
        account = last.account if last else self.accounts[0]
        event = inbound_event(Reply(sender, to, channel, str(text), account), self.clock())
        told = self.pushes.push(event)
        return answers.json_answer({"event": event.name, "to": to, "told": told}, 202)

    def _selection(self, body: Mapping[str, object]) -> Selection:
        number = as_text(body.get("number")).removeprefix("+")
        channel = as_text(body.get("channel")) or ANY
        account = as_text(body.get("account")) or ANY
        checks = {
            "number": number == ANY or NUMBER.fullmatch(number),
            "channel": channel in (ANY, *CHANNELS),
            "account": account in (ANY, *self.accounts),
        }
        _check(checks)
        return Selection(number, channel, account)


def outcome_row(selection: Selection, outcome: Outcome) -> dict[str, object]:
    """Return one forced outcome for JSON, with `account` only if it is for one account."""
    row: dict[str, object] = {
        "number": selection.number if selection.number == ANY else f"+{selection.number}",
        "channel": selection.channel,
        "outcome": outcome,
    }
    return row if selection.account == ANY else {**row, "account": selection.account}


def _check(checks: Mapping[str, object]) -> None:
    errors = {name: [f"The {name} is invalid."] for name, holds in checks.items() if not holds}
    if errors:
        raise answers.invalid(errors)


def _body() -> Mapping[str, object]:
    # Only JSON is accepted: a form on another site cannot send it.
    return as_object(json_of(request)) if request.is_json else {}


def _refusing(view: Callable[[], Response]) -> Callable[[], Response]:
    def refusing() -> Response:
        try:
            return view()
        except answers.Refusal as refusal:
            return refusal.response

    return refusing
