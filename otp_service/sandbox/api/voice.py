"""Phone calls: a flow, a sound or a text that is read out.

Knows the spoken text and the fields of answers. Must not know the outcome of a call: the switchboard decides it.
"""

from collections.abc import Mapping

from flask import Response

from otp_service.sandbox.api import answers, unified
from otp_service.sandbox.api.account import SERVICE_OF
from otp_service.sandbox.api.calls import Call, Endpoints, as_object, as_text
from otp_service.sandbox.api.switchboard import Draft, Receipt, Switchboard
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.reports.bodies import talk_of
from otp_service.sandbox.times import iso_time, portal_time

SPEECH_FLOW = "1"
"""The flow that the platform creates for a text."""
MOST_READINGS = 5


class Voice:
    """Handlers of everything below `outgoing/`."""

    def __init__(self, switchboard: Switchboard, mailbox: Mailbox) -> None:
        self._switchboard = switchboard
        self._mailbox = mailbox

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        return {
            "outgoing/send": {"POST": self.send},
            "outgoing/tts": {"POST": self.speak},
            "outgoing/callstatus": {"GET": self.status},
        }

    def send(self, call: Call) -> Response:
        """Call and play a flow with its variables, or a sound."""
        call.require("bridge", "to")
        flow_id = call.text("flow_id") or call.text("ivr_id")
        audio = call.text("audio")
        if not (flow_id or audio):
            raise answers.required("flow_id")
        said = _of_flow(flow_id, call.nested("variables")) if flow_id else f"[sound {audio}]"
        return self._ring(call, said, flow_id or None)

    def speak(self, call: Call) -> Response:
        """Call and read out a text."""
        call.require("bridge", "to", "text")
        text = call.text("text")
        if len(text) > unified.MOST_CHARACTERS:
            raise answers.invalid({"text": ["The text is invalid."]})
        return self._ring(call, _read_out(text, call.nested("options")), SPEECH_FLOW)

    def status(self, call: Call) -> Response:
        """Return the status of calls, by any of the documented keys."""
        keys = {key: call.text(key) for key in ("id", "mobile", "cid", "date") if call.text(key)}
        if not keys:
            raise answers.required("id")
        kept = self._mailbox.of_account(call.customer.name, "voice", keys.get("id"), keys.get("mobile"))
        rows = [_status_row(message) for message in kept if answers.has_keys(message, keys)]
        return answers.json_answer({"status": 200, "message": "OK", "data": rows})

    def _ring(self, call: Call, said: str, flow_id: str | None) -> Response:
        bridge = call.text("bridge")
        if not unified.NUMBER.fullmatch(bridge):
            raise answers.invalid({"bridge": ["The bridge is invalid."]})
        numbers = unified.checked_numbers([number.strip() for number in call.text("to").split(",")])
        webhook_id = unified.webhook_of(call, call.parameters)
        drafts = [
            Draft(
                channel="voice",
                to=to,
                sender=bridge,
                text=said,
                service=SERVICE_OF["voice"],
                custom=call.text("foreign_id") or call.text("custom"),
                webhook_id=webhook_id,
                flow_id=flow_id,
            )
            for to in numbers
        ]
        acceptance = self._switchboard.accept(call.customer, drafts)
        rows = [_row(receipt) for receipt in acceptance.receipts]
        return acceptance.answer({"status": "OK", "message": "Calls queued successfully", "data": rows})


def _of_flow(flow_id: str, variables: Mapping[str, object]) -> str:
    code = as_text(variables.get("otp"))
    # Customers create flows in the vendor's studio. The sandbox has one sentence, as in the vendor's sample.
    return f"Your code is {code}." if code else f"[flow {flow_id}]"


def _read_out(text: str, options: Mapping[str, object]) -> str:
    pause = as_text(as_object(options.get("break")).get("identifier"))
    said = " ".join((text.replace(pause, ", ") if pause else text).split())
    wanted = as_text(options.get("iteration_tries"))
    readings = min(MOST_READINGS, int(wanted[:2])) if wanted.isascii() and wanted.isdecimal() else 1
    return "\n".join([said] * max(1, readings))


def _row(receipt: Receipt) -> dict[str, object]:
    return {
        "id": receipt.id,
        "channel": "outgoing",
        "caller_id": receipt.draft.sender,
        "mobile": receipt.draft.to,
        "flow_id": receipt.draft.flow_id,
        "credits": receipt.charges,
        "created_at": iso_time(receipt.at),
        "foreign_id": receipt.draft.custom or None,
        "options": None,
        "status": unified.refusal_word(receipt),
    }


def _status_row(message: Message) -> dict[str, object]:
    start, end, _ = talk_of(message)
    return {
        "id": message.id,
        "channel": "outgoing",
        "from": message.sender,
        "to": message.to,
        "created_at": portal_time(message.submitted_at),
        "foreign_id": message.custom,
        "status": message.status,
        "start_at": start,
        "end_at": end,
        "dtmf": "",
    }
