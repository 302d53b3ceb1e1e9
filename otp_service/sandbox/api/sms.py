"""The SMS calls.

Knows the fields of each request and answer. Must not know the outcome of a message: the switchboard decides it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET

from flask import Response

from otp_service.sandbox.api import answers, unified
from otp_service.sandbox.api.calls import Call, Endpoints, as_list, as_object, as_text
from otp_service.sandbox.api.sms_parts import TextType
from otp_service.sandbox.api.sms_templates import SmsTemplates
from otp_service.sandbox.api.switchboard import Acceptance, Draft, Receipt, Switchboard
from otp_service.sandbox.api.unified import MOST_CHARACTERS, MOST_RECIPIENTS, NUMBER
from otp_service.sandbox.mailbox import Mailbox, Message
from otp_service.sandbox.times import portal_time

SERVICE = re.compile(r"[A-Za-z0-9_-]{1,20}", re.ASCII)
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
PER_PAGE = 100
FIXED_BY_ROOT = ("webhook_id", "service", "time")


class Sms:
    """Handlers of everything below `sms/`."""

    def __init__(self, switchboard: Switchboard, mailbox: Mailbox, templates: SmsTemplates) -> None:
        self._switchboard = switchboard
        self._mailbox = mailbox
        self._templates = templates

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        return {
            "sms/send": {"GET": self.send, "POST": self.send},
            "sms/send/json": {"POST": self.send_json},
            "sms/send/xml": {"POST": self.send_xml},
            "sms/bulk": {"POST": self.bulk},
            "sms/send/template": {"POST": self.send_template},
            "sms/message/send": {"POST": self.send_message},
            "sms/status": {"GET": self.status},
        }

    def send(self, call: Call) -> Response:
        """Send one text to one or more numbers, separated by commas."""
        return _accepted(self._switchboard.accept(call.customer, _drafts(call, call.parameters)))

    def send_json(self, call: Call) -> Response:
        """Send `nodes`, each of which overrides fields of `root`."""
        root = as_object(call.parameters.get("root"))
        nodes = [as_object(node) for node in as_list(call.parameters.get("nodes"))]
        return self._send_nodes(call, root, nodes)

    def send_xml(self, call: Call) -> Response:
        """Send `nodes` in XML."""
        data = _xml(call.body)
        root = _fields(data.find("root"))
        nodes = [_fields(node) for node in data.iterfind("nodes/node")]
        return self._send_nodes(call, root, nodes)

    def bulk(self, call: Call) -> Response:
        """Send one text to every number in an uploaded file; the answer does not list them."""
        call.require("message", "sender", "service")
        uploaded = call.files.get("file")
        if uploaded is None:
            raise answers.required("file")
        numbers = _column(uploaded.read().decode("utf-8", "replace"), call.text("column"))
        fields = {**call.parameters, "to": ",".join(dict.fromkeys(numbers))}
        acceptance = self._switchboard.accept(call.customer, _drafts(call, fields))
        return acceptance.answer({**_envelope(acceptance), "data": []})

    def send_template(self, call: Call) -> Response:
        """Send a stored template with its variables filled in."""
        name = call.text("alias") or call.text("id")
        if not name:
            raise answers.required("alias")
        template = self._templates.template(name)
        if template is None:
            raise answers.invalid({"alias": ["The selected alias is invalid."]})
        meta = as_object(call.parameters.get("meta"))
        fields = {
            "message": template.fill(as_object(call.parameters.get("data"))),
            "sender": template.sender,
            "service": as_text(meta.get("service")) or "T",
            "custom": meta.get("foreign_id"),
            "webhook_id": meta.get("webhook_id"),
        }
        return self._send_to_list(call, fields, call.parameters.get("recipient"))

    def send_message(self, call: Call) -> Response:
        """Send in the unified form that all channels share."""
        channel = unified.channel_of(call, "sms")
        message = as_object(call.parameters.get("message"))
        if message.get("type") != "text":
            raise answers.invalid({"message.type": ["The selected message.type is invalid."]})
        meta = as_object(channel.get("meta"))
        fields = {
            **meta,
            "message": as_object(message.get("payload")).get("text"),
            "sender": channel.get("from"),
            "custom": meta.get("foreign_id"),
        }
        recipient = channel.get("recipient") or call.parameters.get("recipient")
        return self._send_to_list(call, fields, recipient, ttl=unified.ttl_of(meta))

    def status(self, call: Call) -> Response:
        """Return the status of messages, by any of the documented keys."""
        keys = {key: call.text(key) for key in ("id", "mobile", "cid", "date", "group_id") if call.text(key)}
        if not keys:
            raise answers.required("id")
        rows = [_status_row(message) for message in self._kept(call.customer.name, keys)]
        if "group_id" in keys or "date" in keys:
            return answers.page_of(
                rows, page=call.page(), per_page=PER_PAGE, address=call.address, message="OK"
            )
        return answers.ok("OK", rows)

    def _kept(self, account: str, keys: Mapping[str, str]) -> list[Message]:
        candidates = self._mailbox.of_account(account, "sms", keys.get("id"), keys.get("mobile"))
        return [message for message in candidates if answers.has_keys(message, keys)]

    def _send_nodes(
        self, call: Call, root: Mapping[str, object], nodes: Sequence[Mapping[str, object]]
    ) -> Response:
        if not nodes:
            raise answers.required("nodes")
        drafts = [draft for node in nodes for draft in _drafts(call, _node_on_root(root, node))]
        acceptance = self._switchboard.accept(call.customer, drafts)
        return _accepted(acceptance, named=bool(as_text(root.get("name"))))

    def _send_to_list(
        self, call: Call, fields: Mapping[str, object], recipient: object, *, ttl: int | None = None
    ) -> Response:
        numbers = unified.numbers_of(recipient)
        drafts = _drafts(call, {**fields, "to": ",".join(numbers)}, ttl=ttl)
        return unified.queued(self._switchboard.accept(call.customer, drafts))


def _drafts(call: Call, fields: Mapping[str, object], *, ttl: int | None = None) -> list[Draft]:
    values = {name: as_text(value) for name, value in fields.items()}
    missing = [name for name in ("to", "message", "sender", "service") if not values.get(name)]
    if missing:
        raise answers.required(*missing)
    errors = _errors(values)
    if errors:
        raise answers.invalid(errors)
    webhook_id = unified.webhook_of(call, fields)
    return [
        Draft(
            channel="sms",
            to=to.strip(),
            sender=values["sender"],
            # The text itself is not trimmed: a space at its end is part of it.
            text=str(fields["message"]),
            service=values["service"],
            text_type=_text_type(values),
            custom=values.get("custom", ""),
            webhook_id=webhook_id,
            max_units=int(values.get("max_units") or 0) or None,
            ttl=ttl,
        )
        for to in values["to"].split(",")
    ]


def _errors(values: Mapping[str, str]) -> dict[str, list[str]]:
    numbers = values["to"].split(",")
    checks = {
        "to": len(numbers) <= MOST_RECIPIENTS and all(NUMBER.fullmatch(to.strip()) for to in numbers),
        "message": len(values["message"]) <= MOST_CHARACTERS,
        "service": SERVICE.fullmatch(values["service"]),
        "type": values.get("type", "") in {"", "N", "U", "A"},
        "time": not values.get("time") or TIME.fullmatch(values["time"]),
        "max_units": re.fullmatch(r"[0-9]{0,3}", values.get("max_units", "")),
    }
    return {field: [f"The {field} is invalid."] for field, holds in checks.items() if not holds}


def _text_type(values: Mapping[str, str]) -> TextType:
    match values.get("type"), values.get("unicode"):
        case "U", _:
            return "U"
        case "A", _:
            return "A"
        case "N", _:
            return "N"
        # The older name of the same choice (2018).
        case _, "1":
            return "U"
        case _, "auto":
            return "A"
        case _:
            return "N"


def _node_on_root(root: Mapping[str, object], node: Mapping[str, object]) -> dict[str, object]:
    own = {name: value for name, value in node.items() if name not in FIXED_BY_ROOT}
    return {**root, **own}


def _xml(body: bytes) -> ET.Element:
    try:
        text = body.decode("utf-8")
        if "<!DOCTYPE" in text.upper():
            raise answers.invalid({"data": ["A document type is not accepted."]})
        return ET.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
    except (UnicodeDecodeError, ValueError, ET.ParseError):
        raise answers.invalid({"data": ["The data is not XML."]}) from None


def _fields(element: ET.Element | None) -> dict[str, object]:
    return {} if element is None else {child.tag: child.text or "" for child in element}


def _column(text: str, column: str) -> Iterable[str]:
    index = int(column) - 1 if re.fullmatch(r"[1-9][0-9]?", column) else 0
    for line in text.splitlines():
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if index < len(cells) and NUMBER.fullmatch(cells[index]):
            yield cells[index]


def _accepted(acceptance: Acceptance, *, named: bool = False) -> Response:
    return acceptance.answer(
        {
            **_envelope(acceptance),
            **({"group_id": acceptance.group_id} if named else {}),
            "data": [_legacy_row(receipt) for receipt in acceptance.receipts],
        }
    )


def _envelope(acceptance: Acceptance) -> dict[str, object]:
    taken = sum(receipt.accepted for receipt in acceptance.receipts)
    return {"status": 200, "message": f"{taken} numbers accepted for delivery."}


def _legacy_row(receipt: Receipt) -> dict[str, object]:
    return {
        "id": receipt.id,
        "mobile": receipt.draft.to,
        "status": receipt.status,
        "units": receipt.units,
        "length": receipt.length,
        "charges": receipt.charges,
        "customid": receipt.draft.custom,
        "iso_code": None,
        "submitted_at": portal_time(receipt.at),
    }


def _status_row(message: Message) -> dict[str, object]:
    return {
        "id": message.id,
        "mobile": message.to,
        "status": message.status,
        "units": message.units,
        "service": message.service,
        "length": message.length,
        "charges": message.charges,
        "custom": message.custom,
        "custom1": "",
        "location": "",
        "provider": "",
        "submitted_at": portal_time(message.submitted_at),
        "delivered_at": portal_time(message.settled_at),
        "sender": message.sender,
    }
