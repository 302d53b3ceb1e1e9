"""Pins: operators always allow, or always refuse, a number, a prefix or an address.

Brings the guard's pins and the audit log together. Must not know HTTP, a terminal or Redis. Numbers come out masked,
but for an admin who says why.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from otp_service import phone
from otp_service.crypto.sealing import Seal, Unsealable
from otp_service.errors import Invalid, InvalidNumber, NotFound
from otp_service.guard.networks import IPV6_SUBSCRIBER, subscriber
from otp_service.guard.pins import PinStore
from otp_service.ops.audit import AuditNote, mask_address
from otp_service.telemetry.logs import Record, redact

PREFIX = re.compile(r"\+[1-9][0-9]{0,10}")
PinKind = Literal["number", "prefix", "address"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A subject that is always allowed, or always refused, until a moment (milliseconds) or for good."""

    kind: PinKind
    subject: str
    what: Literal["allow", "refuse"]
    until: int | None = None


class Pins:
    """The operators' view of pins. Its methods raise StoreUnavailable."""

    def __init__(self, *, pins: PinStore, seal: Seal, clock: Callable[[], int], record: Record) -> None:
        """`clock` gives the store's time in milliseconds, and `record` writes each act down."""
        self._record = record
        self._pins = pins
        self._seal = seal
        self._clock = clock

    def read_all(self) -> list[dict[str, Any]]:
        """List all pins that have not ended, with masked numbers."""
        return self._read(phone.mask)

    def show_numbers(self, audit: AuditNote) -> list[dict[str, Any]]:
        """List all pins that have not ended, with whole numbers. Who looked is written down before they look."""
        found = self._read(str)
        whole = sum(pin["kind"] == "number" for pin in found)
        self._record("pins.shown", numbers=whole, by=audit.by, reason=audit.reason)
        return found

    def _read(self, mask: Callable[[str], str]) -> list[dict[str, Any]]:
        now = self._clock()
        shown = (self._shown(name, pin, mask) for name, pin in self._pins.read_all().items())
        return [pin for pin in shown if pin["until"] is None or pin["until"] > now]

    def write(self, pin: Pin, audit: AuditNote) -> None:
        """Allow or refuse a subject whatever the guard counts. Raises InvalidNumber or Invalid."""
        subject = _subject(pin.kind, pin.subject)
        if pin.kind == "prefix":
            _check_no_number(subject)
        name = self._name(pin.kind, subject)
        record = {"what": pin.what, "by": audit.by, "reason": redact(audit.reason), "at": self._clock()}
        if pin.until:
            record["until"] = pin.until
        if pin.kind == "number":
            record["sealed"] = self._seal.close(subject, name)
        self._pins.write(name, record)
        self._record(
            "pin.set",
            kind=pin.kind,
            subject=_logged(pin.kind, subject),
            what=pin.what,
            by=audit.by,
            reason=audit.reason,
        )

    def remove(self, kind: PinKind, subject: str, audit: AuditNote) -> None:
        """Remove a pin. Raises NotFound, InvalidNumber or Invalid."""
        wanted = _subject(kind, subject)
        indexes = self._seal.indexes("number", wanted) if kind == "number" else (wanted,)
        if not sum(self._pins.remove(f"{kind} {index}") for index in indexes):
            raise NotFound("There is no such pin.")
        self._record("pin.taken", kind=kind, subject=_logged(kind, wanted), by=audit.by, reason=audit.reason)

    def _name(self, kind: PinKind, subject: str) -> str:
        return f"number {self._seal.index('number', subject)}" if kind == "number" else f"{kind} {subject}"

    def _shown(self, name: str, pin: Mapping[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
        kind, _, subject = name.partition(" ")
        if kind == "number":
            try:
                subject = mask(self._seal.open(pin["sealed"], name))
            except Unsealable:
                subject = "(sealed with a key that is gone)"
        return {
            "kind": kind,
            "subject": subject,
            "until": None,
            **{k: v for k, v in pin.items() if k != "sealed"},
        }


def _logged(kind: PinKind, subject: str) -> str:
    masks = {"number": phone.mask, "address": mask_address}
    return masks.get(kind, str)(subject)


def _check_no_number(prefix: str) -> None:
    """Refuse a whole number, as prefixes are shown, logged and stored in the clear. Raises Invalid.

    In a country whose numbers differ in length, a short number may also begin longer ones: that is a prefix.
    """
    if _can_be(prefix, possible=False) and not _can_be(f"{prefix}0", possible=True):
        rule = "must be the beginning of a number, not a whole one: pin that as a number"
        raise Invalid({"subject": [rule]})


def _can_be(number: str, *, possible: bool) -> bool:
    try:
        return bool(phone.parse(number, possible=possible))
    except InvalidNumber:
        return False


def _subject(kind: PinKind, text: str) -> str:
    """Return a subject in the form under which it is stored."""
    if kind == "number":
        try:
            return phone.parse(text, possible=True).e164
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
    # A pin of a wider network would look set, and work for one subscriber only.
    if bits and (":" not in caller or bits != str(IPV6_SUBSCRIBER)):
        raise Invalid({"subject": ["must be one subscriber: an IPv4 address, or an IPv6 address or its /64"]})
    return caller
