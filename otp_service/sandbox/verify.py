"""The upstream's own OTP service, `verify/*`.

Knows its requests, answers and states. Sends by the first channel in order only; it does not move on to the
next. Must not know how a message ends.
"""

import re
import secrets
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Response

from otp_service.sandbox import answers
from otp_service.sandbox.account import SERVICE_OF
from otp_service.sandbox.calls import Call, Endpoints, as_list, as_object, as_text
from otp_service.sandbox.customers import Customer
from otp_service.sandbox.switchboard import Draft, Receipt, Switchboard
from otp_service.sandbox.times import portal_time
from otp_service.sandbox.unified import NUMBER

CHANNELS = ("sms", "whatsapp", "voice", "tts", "viber", "rcs")
TEMPLATE = "Your verification code is {token}"
SHORTEST, LONGEST, USUAL = 4, 10, 6
MOST_SECONDS = 86_400
MOST_KEPT = 10_000
TOKEN = re.compile(r"[A-Za-z0-9]+", re.ASCII)


@dataclass(slots=True)
class Verification:
    """One verification; `status` and `verified` change, under the lock of its keeper."""

    id: str
    to: str
    token: str = field(repr=False)
    foreign_id: str | None
    created_at: float
    expire_at: float
    receipt: Receipt
    status: str = "sent"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks for, whichever generation of the call it uses."""

    channel: str
    sender: str
    to: str
    length: int
    timeout: int
    token: str = field(repr=False)
    template: str
    foreign_id: str | None


class Verify:
    """Handlers of everything below `verify`; safe for many threads."""

    def __init__(self, switchboard: Switchboard, clock: Callable[[], float]) -> None:
        self._switchboard = switchboard
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Verification] = OrderedDict()

    def endpoints(self) -> Endpoints:
        """Return which path and verb leads where."""
        return {
            "verify": {"POST": self.send_old},
            "verify/send": {"POST": self.send},
            "verify/check/<id>/<token>": {"GET": self.check},
            "verify/search/<id>": {"GET": self.search},
            "verify/cancel/<id>": {"GET": self.cancel},
        }

    def send(self, call: Call) -> Response:
        """Start a verification over the first of the channels."""
        made = self._start(call.customer, _wish(call.parameters))
        shown = ("id", "status", "foreign_id", "created_at", "expire_at")
        return answers.json_answer({name: value for name, value in _row(made).items() if name in shown})

    def send_old(self, call: Call) -> Response:
        """Start a verification as the vendor's clients from before 2022 do."""
        call.require("to")
        made = self._start(call.customer, _old_wish(call))
        shown = ("id", "status", "to", "reference", "created_at", "expire_at")
        return answers.json_answer({name: value for name, value in _row(made).items() if name in shown})

    def check(self, call: Call) -> Response:
        """Check a token; every result is HTTP 200."""
        wanted = call.arguments["id"]
        with self._lock:
            result = self._result(self._kept.get(wanted), call.arguments["token"])
        return answers.json_answer({"id": wanted, "status": result})

    def search(self, call: Call) -> Response:
        """Show one verification."""
        with self._lock:
            found = self._kept.get(call.arguments["id"])
        if found is None:
            raise answers.not_found()
        shown = ("id", "to", "reference", "status", "created_at", "expire_at", "channels")
        row = _row(found)
        return answers.json_answer({name: row[name] for name in shown})

    def cancel(self, call: Call) -> Response:
        """Delete a verification."""
        wanted = call.arguments["id"]
        with self._lock:
            found = self._kept.pop(wanted, None)
        return answers.json_answer({"id": wanted, "status": "success" if found else "failed"})

    def _start(self, customer: Customer, wish: Wish) -> Verification:
        token = wish.token or "".join(secrets.choice("0123456789") for _ in range(wish.length))
        draft = Draft(
            channel=wish.channel,
            to=wish.to,
            sender=wish.sender,
            text=wish.template.replace("{token}", token),
            service=SERVICE_OF.get(wish.channel, "T"),
            custom=wish.foreign_id or "",
        )
        receipt = self._switchboard.accept(customer, [draft]).receipts[0]
        now = self._clock()
        made = Verification(
            id=str(uuid.uuid4()),
            to=wish.to,
            token=token,
            foreign_id=wish.foreign_id,
            created_at=now,
            expire_at=now + wish.timeout,
            receipt=receipt,
            status="sent" if receipt.accepted else "failed",
        )
        with self._lock:
            self._kept[made.id] = made
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def _result(self, found: Verification | None, token: str) -> str:
        if found is None:
            return "failed"
        if found.status == "success":
            return "OTP already verified"
        if self._clock() >= found.expire_at:
            return "expired"
        if not secrets.compare_digest(found.token.encode(), token.encode()):
            return "invalid"
        found.status = "success"
        return "success"


def _wish(parameters: Mapping[str, object]) -> Wish:
    channels = [as_object(channel) for channel in as_list(parameters.get("channels"))]
    if not channels:
        raise answers.required("channels")
    channel = min(channels, key=lambda row: _number(row.get("order"), 0))
    payload = as_object(parameters.get("payload"))
    # The documents do not show whether these two stand at the root or in the payload.
    either = {
        **payload,
        **{name: parameters[name] for name in ("foreign_id", "template") if name in parameters},
    }
    name = as_text(channel.get("name"))
    return _checked(
        Wish(
            channel="voice" if name == "tts" else name,
            sender=as_text(channel.get("from")) or "VERIFY",
            to=as_text(as_object(channel.get("recipient")).get("to")),
            length=_number(payload.get("length"), len(as_text(payload.get("token"))) or USUAL),
            timeout=_number(payload.get("timeout"), 120),
            token=as_text(payload.get("token")),
            template=as_text(either.get("template")) or TEMPLATE,
            foreign_id=as_text(either.get("foreign_id")) or None,
        )
    )


def _old_wish(call: Call) -> Wish:
    return _checked(
        Wish(
            channel="sms",
            sender=call.text("from") or "VERIFY",
            to=call.text("to"),
            length=_number(call.parameters.get("length"), USUAL),
            timeout=_number(call.parameters.get("timeout"), 120),
            token="",
            template=call.text("template") or TEMPLATE,
            foreign_id=call.text("reference") or None,
        )
    )


def _checked(wish: Wish) -> Wish:
    checks = {
        "channels": wish.channel in CHANNELS,
        "to": NUMBER.fullmatch(wish.to),
        "length": SHORTEST <= wish.length <= LONGEST,
        "timeout": 0 < wish.timeout <= MOST_SECONDS,
        "token": not wish.token or (TOKEN.fullmatch(wish.token) and len(wish.token) == wish.length),
        "template": "{token}" in wish.template,
    }
    errors = {name: [f"The {name} is invalid."] for name, holds in checks.items() if not holds}
    if errors:
        raise answers.invalid(errors)
    return wish


def _number(value: object, default: int) -> int:
    text = as_text(value)
    if not text:
        return default
    return int(text) if text.isascii() and text.isdecimal() and len(text) < LONGEST else -1


def _row(made: Verification) -> dict[str, object]:
    created, expires = portal_time(made.created_at), portal_time(made.expire_at)
    receipt = made.receipt
    return {
        "id": made.id,
        "to": made.to,
        "reference": made.foreign_id,
        "foreign_id": made.foreign_id,
        "status": made.status,
        "created_at": created,
        "expire_at": expires,
        "channels": [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, receipt.id)),
                "to": made.to,
                "from": receipt.draft.sender,
                "channel": receipt.draft.channel,
                "event_id": receipt.id,
                "created_at": portal_time(receipt.at),
                "status": "sent" if receipt.accepted else "failed",
            }
        ],
    }
