"""The `pins` command: operators always allow or refuse a number, a prefix or an address.

Knows options and how answers look in a terminal. Must not know how pins are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import Options, Result, author_option, demo_option, format_time, reason_option
from otp_service.cli.session import on_store
from otp_service.ops.audit import AuditNote
from otp_service.ops.pins import Pin, PinKind

HOUR = 3_600_000
"""In milliseconds."""


def _subject(act: Callable[Options, Result]) -> Callable[Options, Result]:
    kinds = click.Choice(["number", "prefix", "address"])
    return click.argument("kind", type=kinds)(click.argument("subject")(act))


_hours = click.option(
    "--hours", type=click.IntRange(1, 87_600), help="How many hours it lasts; permanent if omitted."
)


@click.group
@demo_option
def pins() -> None:
    """Allow or refuse numbers, prefixes and addresses in every case."""


@pins.command("list")
@on_store
def list_pins(base: Operations) -> None:
    """List what is always allowed or refused."""
    _print(base.pins.read_all())


@pins.command("show")
@reason_option
@author_option
@on_store
def show_pins(base: Operations, *, reason: str, by: str) -> None:
    """List pins with whole numbers. Who looked is written down."""
    _print(base.pins.show_numbers(AuditNote(by=by, reason=reason)))


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    for pin in found:
        until = f"until {format_time(pin['until'])}" if pin["until"] else "permanently"
        print(f"{pin['what']} {pin['kind']} {pin['subject']} {until}, by {pin['by']}: {pin['reason']}")
    if not found:
        print("nothing is pinned")


@pins.command
@_subject
@_hours
@reason_option
@author_option
@on_store
def allow(base: Operations, *, kind: PinKind, subject: str, hours: int | None, reason: str, by: str) -> None:
    """Allow a number, a prefix or an address in every case."""
    _pin(base, kind, subject, "allow", hours, AuditNote(by=by, reason=reason))


@pins.command
@_subject
@_hours
@reason_option
@author_option
@on_store
def refuse(base: Operations, *, kind: PinKind, subject: str, hours: int | None, reason: str, by: str) -> None:
    """Refuse a number, a prefix or an address in every case."""
    _pin(base, kind, subject, "refuse", hours, AuditNote(by=by, reason=reason))


def _pin(
    base: Operations,
    kind: PinKind,
    subject: str,
    what: Literal["allow", "refuse"],
    hours: int | None,
    audit: AuditNote,
) -> None:
    until = base.store.facts.time() + hours * HOUR if hours else None
    base.pins.write(Pin(kind=kind, subject=subject, what=what, until=until), audit)
    print("pinned")


@pins.command
@_subject
@reason_option
@author_option
@on_store
def lift(base: Operations, *, kind: PinKind, subject: str, reason: str, by: str) -> None:
    """Remove a pin."""
    base.pins.remove(kind, subject, AuditNote(by=by, reason=reason))
    print("lifted")
