"""What operators see and do about the guard: list, explain and lift blocks, pin subjects, name recycled numbers.

Brings the guard's stores and the audit log together. Must not know HTTP, a terminal or Redis. Numbers come out masked.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from otp_service import phone
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.crypto.tokens import DEVICE_LIFETIME
from otp_service.errors import Invalid, InvalidNumber, NotFound
from otp_service.guard.blocks import Block, BlockStore
from otp_service.guard.history import History
from otp_service.guard.pins import PinStore
from otp_service.guard.preview import Preview
from otp_service.guard.rules import (
    FAMILIARITY,
    IPV6_SUBSCRIBER,
    LINE_DIGITS,
    MARKS,
    Asked,
    Known,
    limits_of,
    lines_of_send,
    subscriber,
)
from otp_service.policy import Policy
from otp_service.telemetry.logs import log, redact

PREFIX = re.compile(r"\+[1-9][0-9]{0,10}")
BLOCK_ID = re.compile(rf"(?:{'|'.join(MARKS)}):[a-z-]{{1,20}}:[A-Za-z0-9_-]{{0,22}}")
RECYCLED_FOR = 90
"""Days that a number counts as recycled: so long operators keep one before they hand it on, as they say."""
PinKind = Literal["number", "prefix", "address"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """Who does something, and why."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A subject that is always allowed, or always refused, until a moment (milliseconds) or for good."""

    kind: PinKind
    subject: str
    what: Literal["allow", "refuse"]
    until: int | None = None


class Blocks:
    """The operators' view of the guard. Its methods raise StoreUnavailable."""

    def __init__(
        self,
        *,
        blocks: BlockStore,
        pins: PinStore,
        history: History,
        preview: Preview,
        seal: Seal,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives the store's time in milliseconds."""
        self._blocks = blocks
        self._pins = pins
        self._history = history
        self._preview = preview
        self._seal = seal
        self._clock = clock

    # Blocks.

    def blocks(self, limit: int = 100) -> list[dict[str, Any]]:
        """List blocks, those that last longest first."""
        now = self._clock()
        return [self._shown(block, now) for block in self._blocks.longest(limit)]

    def explain(
        self,
        policy: Policy,
        to: str,
        country: str | None = None,
        *,
        app: str | None = None,
        purpose: str = "login",
        address: str | None = None,
        session: str = "",
        device: bool = False,
    ) -> dict[str, Any]:
        """Say what the guard would decide now of a send, rule by rule, and which blocks have a say in it.

        `session` is one that a server names, `device` tells that the caller shows the token of a known device.
        Raises InvalidNumber, or Invalid for an app that there is not.
        """
        name = app or next(iter(policy.apps))
        if name not in policy.apps:
            raise Invalid({"app": [f"there is no app {name}"]})
        rules = policy.guard_of(name)
        number = phone.parse(to, country)
        met = session and self._history.read_past(number.e164, name, session, DEVICE_LIFETIME).met
        known: Known = "device" if device else "returning" if met else "session" if session else ""
        asked = Asked(number=number, app=name, purpose=purpose, address=address, session=session, known=known)
        decision, now = self._preview.decide(rules, asked), self._clock()
        lines = lines_of_send(rules, asked)
        found = (self._blocks.read(id_) for id_ in map(self._blocks.id_of, lines) if id_)
        return {
            "to": phone.mask(asked.number.e164),
            "app": name,
            "known": known,
            "verdict": decision.verdict,
            "findings": [asdict(one) for one in decision.findings],
            "rules": list(limits_of(rules, lines)),
            "blocks": [self._shown(block, now) for block in found if block],
        }

    def lift(self, id_: str, audit: AuditNote) -> None:
        """Forget a block and what was counted behind it. Raises NotFound."""
        block = self._blocks.read(id_) if BLOCK_ID.fullmatch(id_) else None
        if not block or not self._blocks.lift(id_):
            raise NotFound("There is no such block, or it was lifted before.")
        log("block.lifted", rule=block.rule, subject=_logged(block), by=audit.by, reason=audit.reason)

    def _shown(self, block: Block, now: int) -> dict[str, Any]:
        return {**asdict(block), "subject": masked(block), "active": block.until > now}

    # Pins.

    def pins(self) -> list[dict[str, Any]]:
        """List all pins that have not ended."""
        now = self._clock()
        shown = (self._pin_shown(name, pin) for name, pin in self._pins.read_all().items())
        return [pin for pin in shown if pin["until"] is None or pin["until"] > now]

    def pin(self, pin: Pin, audit: AuditNote) -> None:
        """Let a subject always pass, or never. Raises InvalidNumber or Invalid."""
        subject = _subject(pin.kind, pin.subject)
        name = self._pin_name(pin.kind, subject)
        record = {"what": pin.what, "by": audit.by, "reason": redact(audit.reason), "at": self._clock()}
        if pin.until:
            record["until"] = pin.until
        if pin.kind == "number":
            record["sealed"] = self._seal.close(subject, name)
        self._pins.write(name, record)
        log(
            "pin.set",
            kind=pin.kind,
            subject=_pin_logged(pin.kind, subject),
            what=pin.what,
            by=audit.by,
            reason=audit.reason,
        )

    def unpin(self, kind: PinKind, subject: str, audit: AuditNote) -> None:
        """Take a pin away. Raises NotFound, InvalidNumber or Invalid."""
        wanted = _subject(kind, subject)
        indexes = self._seal.indexes("number", wanted) if kind == "number" else (wanted,)
        if not sum(self._pins.remove(f"{kind} {index}") for index in indexes):
            raise NotFound("There is no such pin.")
        log("pin.taken", kind=kind, subject=_pin_logged(kind, wanted), by=audit.by, reason=audit.reason)

    def _pin_name(self, kind: PinKind, subject: str) -> str:
        return f"number {self._seal.index('number', subject)}" if kind == "number" else f"{kind} {subject}"

    def _pin_shown(self, name: str, pin: Mapping[str, Any]) -> dict[str, Any]:
        kind, _, subject = name.partition(" ")
        if kind == "number":
            try:
                subject = phone.mask(self._seal.open(pin["sealed"], name))
            except Unsealable:
                subject = "(sealed with a key that is gone)"
        return {
            "kind": kind,
            "subject": subject,
            "until": None,
            **{k: v for k, v in pin.items() if k != "sealed"},
        }

    # Recycled numbers.

    def recycle(
        self, numbers: Iterable[str], audit: AuditNote, *, days: int = RECYCLED_FOR
    ) -> tuple[int, int]:
        """Take in which numbers have, or may have, a new owner: what was known of them counts no more.

        Gives how many were taken in, and how many lines were no numbers.
        """
        taken = wrong = 0
        now = self._clock()
        for text in numbers:
            try:
                e164 = phone.parse(text).e164
            except InvalidNumber:
                wrong += 1
                continue
            self._history.erase(e164)
            self._history.record_recycled(e164, now, days * 86_400)
            taken += 1
        log("numbers.recycled", taken=taken, wrong=wrong, by=audit.by, reason=audit.reason)
        return taken, wrong


def masked(block: Block) -> str:
    """Show whose block it is: a number or how it begins only as far as its owner needs to know it."""
    digits, _, known = block.subject.partition(" ")
    if phone.E164.fullmatch(digits) and block.rule in {"number", "cooldown", "failures"}:
        digits = phone.mask(digits)
    elif digits.startswith("+"):
        digits = f"{digits}{'*' * LINE_DIGITS}"
    return (
        f"{digits} ({known})" if known in FAMILIARITY and known else " ".join(filter(None, (digits, known)))
    )


def _logged(block: Block) -> str:
    """Show whose block it was to whoever reads the log, who need not know what an operator at work does."""
    if block.rule == "address":
        return _address_masked(block.subject)
    if block.rule == "session":
        return f"{block.subject.partition(' ')[0]} (a session)"
    return masked(block)


def _pin_logged(kind: PinKind, subject: str) -> str:
    masks = {"number": phone.mask, "address": _address_masked}
    return masks.get(kind, str)(subject)


def _address_masked(subscriber: str) -> str:
    sign = ":" if ":" in subscriber else "."
    return f"{subscriber.partition(sign)[0]}{sign}*"


def _subject(kind: PinKind, text: str) -> str:
    """Write a subject as it is looked up."""
    if kind == "number":
        try:
            return phone.parse(text).e164
        except InvalidNumber as error:
            [(_, rule)] = error.rules()
            raise InvalidNumber(rule, "subject") from None
    if kind == "prefix":
        if not PREFIX.fullmatch(text):
            raise Invalid({"subject": ["must be the beginning of an E.164 number, such as +4479"]})
        return text
    address, _, bits = text.partition("/")
    try:
        caller = subscriber(str(ipaddress.ip_address(address)))
    except ValueError:
        raise Invalid({"subject": ["must be an IP address"]}) from None
    # Of a wider network all but one subscriber would pass, though it looked pinned.
    if bits and (":" not in caller or bits != str(IPV6_SUBSCRIBER)):
        raise Invalid({"subject": ["must be one subscriber: an IPv4 address, or an IPv6 address or its /64"]})
    return caller
