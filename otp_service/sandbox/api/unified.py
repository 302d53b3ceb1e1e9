"""The request and answer that all channels share: `channels`, `recipient`, `message`.

Knows the places of the fields. Must not know the rules of one channel.
"""

import re
from collections.abc import Mapping

from flask import Response

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.calls import Call, as_list, as_object, as_text
from otp_service.sandbox.api.switchboard import Acceptance, Receipt
from otp_service.sandbox.times import iso_time

NUMBER = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
MOST_RECIPIENTS = 10_000
MOST_CHARACTERS = 4096
_SECONDS = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def channel_of(call: Call, name: str) -> Mapping[str, object]:
    """Return the channel called `name`. Raises `Refusal` if the request has none."""
    channels = [as_object(channel) for channel in as_list(call.parameters.get("channels"))]
    for channel in channels:
        if channel.get("name") == name:
            return channel
    raise answers.invalid({"channels": [f"The channels must name {name}."]})


def numbers_of(recipient: object) -> list[str]:
    """Return `recipient.to`, one number or several, as a list. Raises `Refusal` if one is invalid."""
    to = as_object(recipient).get("to")
    numbers = [as_text(number) for number in (to if isinstance(to, list) else [to])]
    if not any(numbers):
        raise answers.required("to")
    return checked_numbers(numbers)


def checked_numbers(numbers: list[str]) -> list[str]:
    """Return `numbers` unchanged. Raises `Refusal` if one is invalid."""
    if len(numbers) > MOST_RECIPIENTS or not all(map(NUMBER.fullmatch, numbers)):
        raise answers.invalid({"to": ["The to is invalid."]})
    return numbers


def ttl_of(meta: Mapping[str, object]) -> int | None:
    """Return the time to live in seconds. Raises `Refusal` if it is invalid."""
    ttl = as_text(meta.get("ttl"))
    if not ttl:
        return None
    if not _SECONDS.fullmatch(ttl):
        raise answers.invalid({"ttl": ["The ttl is invalid."]})
    return int(ttl)


def webhook_of(call: Call, meta: Mapping[str, object]) -> str | None:
    """Return the webhook that a message names. Raises `Refusal` if it is not registered."""
    webhook_id = as_text(meta.get("webhook_id"))
    if webhook_id and call.customer.webhooks.webhook(webhook_id) is None:
        raise answers.invalid({"webhook_id": ["The webhook_id is invalid."]})
    return webhook_id or None


def queued(acceptance: Acceptance, *, recipient: str = "to") -> Response:
    """Return the answer to a send. `recipient` is the name of the number in its rows."""
    rows = [_row(receipt, recipient) for receipt in acceptance.receipts]
    return acceptance.answer({"status": "OK", "message": "Message Queued successfully", "data": rows})


def _row(receipt: Receipt, recipient: str) -> dict[str, object]:
    return {
        "id": receipt.id,
        "channel": receipt.draft.channel,
        "from": receipt.draft.sender,
        recipient: receipt.draft.to,
        "credits": receipt.charges,
        "created_at": iso_time(receipt.at),
        "status": refusal_word(receipt),
        "foreign_id": receipt.draft.custom or None,
    }


def refusal_word(receipt: Receipt) -> str:
    """Return the receipt's status in the newer form, which has refusals in lower case in the vendor's samples."""
    return "notallowed" if receipt.status == "NOTALLOWED" else receipt.status
