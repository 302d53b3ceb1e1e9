"""The calls of WhatsApp, RCS and MIP.

Knows their templates and status answers, which are similar. Must not know the outcome of a message: the switchboard
decides it.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from flask import Response

from otp_service.sandbox.api import answers, unified
from otp_service.sandbox.api.account import SERVICE_OF
from otp_service.sandbox.api.calls import Call, Endpoints, as_list, as_object, as_text
from otp_service.sandbox.api.switchboard import Draft, Switchboard
from otp_service.sandbox.codes import code_in
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.outcomes import EVENT_CHANNELS
from otp_service.sandbox.times import iso_time, portal_time

TEMPLATE_SENDER = "SANDBOX"
"""Sender of stored templates; the sandbox accepts every name of a template."""


class Messengers:
    """Handlers of everything below `whatsapp/`, `rcs/` and `mip/`."""

    def __init__(self, switchboard: Switchboard, mailbox: Mailbox) -> None:
        self._switchboard = switchboard
        self._mailbox = mailbox

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        table: dict[str, dict[str, partial[Response]]] = {}
        for channel in EVENT_CHANNELS:
            table[f"{channel}/message/send"] = {"POST": partial(self.send, channel)}
            table[f"{channel}/send/template"] = {"POST": partial(self.send_template, channel)}
            table[f"{channel}/message/status"] = {"GET": partial(self.status, channel)}
        return table

    def send(self, name: str, call: Call) -> Response:
        """Send a text or a template in the unified form."""
        channel = unified.channel_of(call, name)
        sender = as_text(channel.get("from"))
        if not sender:
            raise answers.required("from")
        text = _text(name, as_object(call.parameters.get("message")))
        recipient = channel.get("recipient") or call.parameters.get("recipient")
        drafts = _drafts(call, name, sender, text, recipient, as_object(channel.get("meta")))
        return unified.queued(self._switchboard.accept(call.customer, drafts))

    def send_template(self, name: str, call: Call) -> Response:
        """Send a stored template by its alias or id; the number is called `recipient` in the answer."""
        alias = call.text("alias") or call.text("id")
        if not alias:
            raise answers.required("alias")
        values = [as_text(value) for value in as_object(call.parameters.get("data")).values()]
        text = _filled(alias, values)
        meta = as_object(call.parameters.get("meta"))
        drafts = _drafts(call, name, TEMPLATE_SENDER, text, call.parameters.get("recipient"), meta)
        return unified.queued(self._switchboard.accept(call.customer, drafts), recipient="recipient")

    def status(self, name: str, call: Call) -> Response:
        """Return the status of messages, by id or number."""
        message_id, number = call.text("id"), call.text("mobile")
        if not (message_id or number):
            raise answers.required("id")
        kept = self._mailbox.of_account(call.customer.name, name, message_id or None, number or None)
        rows = [_status_row(message) for message in kept if number in ("", message.to)]
        return answers.json_answer({"status": "200", "message": "OK", "data": rows})


def _drafts(
    call: Call, name: str, sender: str, text: str, recipient: object, meta: Mapping[str, object]
) -> list[Draft]:
    ttl, webhook_id = unified.ttl_of(meta), unified.webhook_of(call, meta)
    return [
        Draft(
            channel=name,
            to=to,
            sender=sender,
            text=text,
            service=SERVICE_OF[name],
            custom=as_text(meta.get("foreign_id")),
            webhook_id=webhook_id,
            ttl=ttl,
        )
        for to in unified.numbers_of(recipient)
    ]


def _text(name: str, message: Mapping[str, object]) -> str:
    payload = as_object(message.get("payload"))
    match message.get("type"):
        case "text":
            text = payload.get("text")
            if not (isinstance(text, str) and text and len(text) <= unified.MOST_CHARACTERS):
                raise answers.invalid({"message.payload.text": ["The message.payload.text is invalid."]})
            return text
        case "template":
            return _template(name, payload)
    raise answers.invalid({"message.type": ["The selected message.type is invalid."]})


def _template(name: str, payload: Mapping[str, object]) -> str:
    alias = as_text(payload.get("name"))
    if not alias:
        raise answers.required("message.payload.name")
    if "components" in payload:
        return _filled(alias, _component_values(name, payload))
    values = [as_text(value) for value in as_list(payload.get("body_params"))]
    if not values or not all(values) or (name == "whatsapp" and len(values) > 1 and _have_code(values)):
        raise answers.invalid({"message.payload.body_params": ["The number of body_params is invalid."]})
    return _filled(alias, values)


def _component_values(name: str, payload: Mapping[str, object]) -> list[str]:
    """Return the values of the body, in Meta's form. A code must be in the button, too."""
    values, buttons = _values_of("body", payload), _values_of("button", payload)
    is_copied = len(values) == 1 and buttons == values
    lacks_code = name == "whatsapp" and _have_code(values + buttons) and not is_copied
    if not values or not all(values) or lacks_code:
        raise answers.invalid({"message.payload.components": ["The message.payload.components is invalid."]})
    return values


def _have_code(values: Sequence[str]) -> bool:
    """Return whether a value is a code. WhatsApp takes codes in authentication templates only, as their one value."""
    return any(code_in(value) for value in values)


def _values_of(kind: str, payload: Mapping[str, object]) -> list[str]:
    components = [as_object(component) for component in as_list(payload.get("components"))]
    wanted = [component for component in components if as_text(component.get("type")).lower() == kind]
    parameters = [as_object(row) for component in wanted for row in as_list(component.get("parameters"))]
    return [as_text(parameter.get("text")) or _fallback(parameter) for parameter in parameters]


def _fallback(parameter: Mapping[str, object]) -> str:
    """Return the text of a value of another type, such as `currency` or `date_time`."""
    return as_text(as_object(parameter.get(as_text(parameter.get("type")))).get("fallback_value"))


def _filled(alias: str, values: list[str]) -> str:
    if len(values) == 1:
        return f"{values[0]} is your verification code."
    return f"{alias}: {', '.join(values)}"


def _status_row(message: Message) -> dict[str, object]:
    read_at = message.times.get("read")
    return {
        "id": message.id,
        "channel": message.channel,
        "from": message.sender,
        "to": message.to,
        "credits": f"{message.charges:.4f}",
        "created_at": iso_time(message.submitted_at),
        "foreign_id": message.custom or None,
        "status": message.status,
        # One without a zone and one in UTC, as in the vendor's sample.
        "delivered_at": portal_time(message.times.get("delivered")) or None,
        "read_at": None if read_at is None else iso_time(read_at),
    }
