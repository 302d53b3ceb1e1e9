"""The `blocks`, `pins` and `recycled` commands: operators see and change what the guard refuses.

Knows options and how answers look in a terminal. Must not know rules or counters.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from otp_service.bootstrap.core import Core
from otp_service.cli import session as terminal
from otp_service.cli.session import author, content, moment, on_a_demo, who_and_why, whole, with_core
from otp_service.ops.blocks import RECYCLED_FOR, Act, Pin

KINDS = ("number", "prefix", "address")
HOUR = 3_600_000
ASKS = {
    "": "a stranger",
    "session": "a session",
    "returning": "a session that verified it before",
    "device": "a device that verified it before",
}


def block_options(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of `blocks`."""
    action = terminal.actions(parser)
    listing = action("list", _list, "what the guard refuses now: which counter, at what value, until when")
    listing.add_argument("--all", action="store_true", help="also what ended within a day")
    explain = action("explain", _explain, "what the guard would do with a send now, rule by rule")
    explain.add_argument("to", metavar="NUMBER")
    for name, about in (
        ("country", "of a number without its country code"),
        ("app", "the first if left out"),
        ("address", "of the browser that asks"),
        ("session", "that a server names"),
    ):
        explain.add_argument(f"--{name}", help=about)
    explain.add_argument("--purpose", default="login")
    explain.add_argument(
        "--device", action="store_true", help="asked by a device that this number is known of"
    )
    lift = action("lift", _lift, "forget a block and what was counted behind it")
    lift.add_argument("id", help="as `list` shows it")
    who_and_why(lift)


def pin_options(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of `pins`."""
    action = terminal.actions(parser)
    action("list", _pins, "who is always let in, or never")
    for what in ("allow", "refuse"):
        pin = action(what, _pin, f"always {what} a number, a prefix or an address")
        pin.add_argument("kind", choices=KINDS)
        pin.add_argument("subject")
        pin.add_argument("--hours", type=whole(1, 87_600), help="for so long; for good if left out")
        pin.set_defaults(what=what)
        who_and_why(pin)
    unpin = action("lift", _unpin, "take a pin away")
    unpin.add_argument("kind", choices=KINDS)
    unpin.add_argument("subject")
    who_and_why(unpin)


def recycled_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `recycled`."""
    parser.add_argument("file", type=Path, help="one number a line, with country codes")
    parser.add_argument(
        "--days", type=whole(1, 365), default=RECYCLED_FOR, help="for so long they count as recycled"
    )
    on_a_demo(parser)
    who_and_why(parser)
    parser.set_defaults(act=lambda chosen: with_core(_recycled, chosen))


def _act(chosen: argparse.Namespace) -> Act:
    return Act(by=author(chosen), reason=chosen.reason)


def _list(core: Core, chosen: argparse.Namespace) -> int:
    shown = [block for block in core.blocks.blocks() if chosen.all or block["active"]]
    print("\n".join(map(_block, shown)) if shown else "the guard refuses nothing now")
    return 0


def _block(block: dict[str, Any]) -> str:
    value = f", {_counted(block)}" if block["limit"] else ""
    who = f" of {block['subject']}" if block["subject"] else ""
    watching = "" if block["on"] else " (only watched)"
    return (
        f"{block['rule']}{who}: {block['level']}{watching}{value}\n"
        f"    since {moment(block['since'])} until {moment(block['until'])}, refused {block['refused']}\n"
        f"    {block['id']}"
    )


def _counted(found: dict[str, Any]) -> str:
    value, limit = (f"{figure:.2f}".removesuffix(".00") for figure in (found["value"], found["limit"]))
    return f"{value} of {limit} in {found['seconds']:.0f} s"


def _explain(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    found = core.blocks.explain(
        core.policy,
        chosen.to,
        chosen.country,
        app=chosen.app,
        purpose=chosen.purpose,
        address=chosen.address,
        session=chosen.session or "",
        device=chosen.device,
    )
    print(f"{found['to']}, app {found['app']}, asked by {ASKS[found['known']]}: {found['verdict']}")
    for one in found["findings"]:
        counted = _counted(one) if one["limit"] else "applies"
        print(f"  {one['rule']}: {counted}, so {one['level']}{'' if one['on'] else ' (only watched)'}")
    for rule in found["rules"]:
        print(f"  asked: {rule['rule']} ({rule['mode']}) {', '.join(rule['limits'])}".rstrip())
    for block in found["blocks"]:
        print(_block(block))
    return 0


def _lift(core: Core, chosen: argparse.Namespace) -> int:
    core.blocks.lift(chosen.id, _act(chosen))
    print("lifted")
    return 0


def _pins(core: Core, _: argparse.Namespace) -> int:
    for pin in core.blocks.pins():
        until = f"until {moment(pin['until'])}" if pin["until"] else "for good"
        print(f"{pin['what']} {pin['kind']} {pin['subject']} {until}, by {pin['by']}: {pin['reason']}")
    return 0


def _pin(core: Core, chosen: argparse.Namespace) -> int:
    until = core.store.facts.time() + chosen.hours * HOUR if chosen.hours else None
    made = Pin(kind=chosen.kind, subject=chosen.subject, what=chosen.what, until=until)
    core.blocks.pin(made, _act(chosen))
    print("pinned")
    return 0


def _unpin(core: Core, chosen: argparse.Namespace) -> int:
    core.blocks.unpin(chosen.kind, chosen.subject, _act(chosen))
    print("lifted")
    return 0


def _recycled(core: Core, chosen: argparse.Namespace) -> int:
    lines = [line for line in content(chosen.file).splitlines() if line.strip()]
    print(f"{len(lines)} lines", file=sys.stderr)
    taken, wrong = core.blocks.recycle(lines, _act(chosen), days=chosen.days)
    print(f"{taken} numbers are recycled for {chosen.days} days, {wrong} lines were no numbers")
    return 0
