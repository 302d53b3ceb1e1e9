"""Writes SMS requests: one message as a form, or several as one JSON object, and matches the answer's rows to them.

Knows the fields of `sms/send` and `sms/send/json` (documentation, v2/sms/post and v2/sms/json). Must not know how a
request travels or what a row means.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otp_service.messages import gsm
from otp_service.upstream.channels import SmsSettings
from otp_service.upstream.mobtexting.transport import FormRequest, JsonRequest
from otp_service.upstream.mobtexting.values import digits, identifier
from otp_service.upstream.port import Message

AnswerRow = Mapping[str, Any]


def one(path: str, message: Message, settings: SmsSettings) -> FormRequest:
    """Write the request for one message. Raises ValueError if `to` is not a number."""
    return FormRequest(path, {**_own(message, settings), **_shared(settings, *group(message, settings))})


def several(
    path: str, messages: Sequence[Message], settings: SmsSettings
) -> Iterator[tuple[list[int], JsonRequest]]:
    """Write one request for each group of the messages; yields the places of its messages with it.

    Every node has its own text and the root has none, so that a code cannot reach the number of another message.
    Raises ValueError if a `to` is not a number.
    """
    groups = [group(message, settings) for message in messages]
    for shared in sorted(set(groups)):
        places = [place for place, own in enumerate(groups) if own == shared]
        nodes = [_own(messages[place], settings) for place in places]
        yield places, JsonRequest(path, {"root": _shared(settings, *shared), "nodes": nodes})


def group(message: Message, settings: SmsSettings) -> tuple[str, str]:
    """Return what messages of one request share: alphabet and registered template.

    The alphabet N turns the characters that it lacks into question marks. That a node may have a `template_id` of its
    own is not documented, so it stays in the root.
    """
    template_id = settings.template_id_of(message.template, message.app, message.purpose)
    return "N" if gsm.fits(message.text) else "U", template_id or ""


def rows_of(messages: Sequence[Message], rows: Sequence[AnswerRow]) -> list[AnswerRow | None]:
    """Match each message to its row: by reference, or by order if there are as many rows; None without a match."""
    references = [identifier(row.get("customid", row.get("custom"))) for row in rows]
    wanted = {message.reference for message in messages}
    if wanted.isdisjoint(references):
        in_order = rows if len(rows) == len(messages) else [None] * len(messages)
        return [_unless_of_another(message, row) for message, row in zip(messages, in_order, strict=True)]
    once = {reference for reference, times in Counter(references).items() if times == 1}
    by_reference = dict(zip(references, rows, strict=True))
    return [by_reference[m.reference] if m.reference in once else None for m in messages]


def _unless_of_another(message: Message, row: AnswerRow | None) -> AnswerRow | None:
    mobile = identifier(row.get("mobile")) if row else None
    return None if mobile and mobile.removeprefix("+") != digits(message.to) else row


def _own(message: Message, settings: SmsSettings) -> dict[str, str]:
    """Write the fields that differ between messages.

    That a node accepts a white label's expiry field is inferred: the documentation says that nodes override everything
    in the root except webhook, service and time.
    """
    own = {"to": digits(message.to), "message": message.text, "custom": message.reference}
    return own | ({settings.expiry_field: str(message.seconds)} if settings.expiry_field else {})


def _shared(settings: SmsSettings, alphabet: str, template_id: str) -> dict[str, str]:
    fields = {
        "sender": settings.sender,
        "service": settings.service,
        "type": alphabet,
        "entity_id": settings.entity_id or "",
        "template_id": template_id,
        "webhook_id": settings.webhook_id or "",
    }
    return {name: value for name, value in fields.items() if value}
