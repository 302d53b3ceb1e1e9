"""The `blocks` command: operators see what the guard refuses, ask why, and lift blocks.

Knows options and how answers look in a terminal. Must not know rules or counters.
"""

from collections.abc import Mapping
from typing import Any

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import author_option, demo_option, format_time, reason_option
from otp_service.cli.session import on_store
from otp_service.cli.split import told_split
from otp_service.ops.audit import AuditNote
from otp_service.ops.finding_words import without_counter

ASKED_BY: Mapping[str, str] = {
    "": "a stranger",
    "server": "a server",
    "session": "a session",
    "returning": "a session that verified it before",
    "device": "a device that verified it before",
    "vouched": "a caller with another factor",
}


@click.group
@demo_option
def blocks() -> None:
    """Show what the guard refuses, and lift it."""


@blocks.command("list")
@click.option("--all", "ended", is_flag=True, help="Also blocks that ended within a day.")
@on_store
def list_blocks(base: Operations, *, ended: bool) -> None:
    """List what the guard refuses now.

    The list shows which counter each block comes from, its value, and until when it lasts.
    """
    shown = [block for block in base.blocks.read_all(base.policy_in_force()) if ended or block["active"]]
    print("\n".join(map(_block, shown)) if shown else "the guard refuses nothing now")


@blocks.command
@click.argument("to", metavar="NUMBER")
@click.option("--country", metavar="CODE", help="Country of a number without its country code.")
@click.option("--app", metavar="NAME", help="The app that sends; the first if omitted.")
@click.option("--address", metavar="IP", help="Address of the browser that asks.")
@click.option("--session", default="", metavar="ID", help="Session that a server names.")
@click.option("--purpose", default="login", show_default=True, metavar="NAME", help="What the send is for.")
@click.option("--device", is_flag=True, help="The caller is a device that verified this number before.")
@on_store
def explain(
    base: Operations,
    *,
    to: str,
    country: str | None,
    app: str | None,
    address: str | None,
    session: str,
    purpose: str,
    device: bool,
) -> None:
    """Explain what the guard would decide about a send, by rule."""
    policy = base.policy_in_force()
    found = base.blocks.explain(
        policy,
        to,
        country,
        app=app,
        purpose=purpose,
        address=address,
        session=session,
        device=device,
    )
    asked = f"app {found['app']}, asked by {ASKED_BY[found['known']]}"
    print(f"{found['to']} ({found['country'] or 'no country'}), {asked}: {found['verdict']}")
    if found["route"] is None:
        print("  no route serves it, so nothing would be sent: otp-service policy simulate NUMBER says why")
    for one in found["findings"]:
        counted = _counted(one) if one["limit"] else without_counter(one["rule"], found["country"], policy)
        print(f"  {one['rule']}: {counted}, so {one['level']}{'' if one['on'] else ' (only watched)'}")
    if found["route"] is not None:
        print(f"  served by route {found['route']}: {', then '.join(found['steps'])}")
    if found["split"]:
        print(f"  {told_split(**found['split'])}")
    for rule in found["rules"]:
        print(f"  checked: {rule['rule']} ({rule['mode']}) {', '.join(rule['limits'])}".rstrip())
    for block in found["blocks"]:
        print(_block(block))


@blocks.command
@click.argument("id_", metavar="ID")
@reason_option
@author_option
@on_store
def lift(base: Operations, *, id_: str, reason: str, by: str) -> None:
    """Lift a block, and reset its counter.

    ID is as `list` shows it.
    """
    base.blocks.lift(id_, AuditNote(by=by, reason=reason))
    print("lifted")


def _block(block: dict[str, Any]) -> str:
    value = f", {_counted(block)}" if block["limit"] else ""
    who = f" of {block['subject']}" if block["subject"] else ""
    watching = "" if block["on"] else " (only watched)"
    return (
        f"{block['rule']}{who}: {block['level']}{watching}{value}\n"
        f"    since {format_time(block['since'])} until {format_time(block['until'])}, refused {block['refused']}\n"
        f"    {block['id']}"
    )


def _counted(found: dict[str, Any]) -> str:
    value, limit = (f"{figure:.2f}".removesuffix(".00") for figure in (found["value"], found["limit"]))
    return f"{value} of {limit} in {found['seconds']:.0f} s"
