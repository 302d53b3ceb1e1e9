"""The `keys` command: operators issue, replace and end API keys.

Knows options and how answers look in a terminal. Must not know how keys are kept.
"""

from collections.abc import Iterable, Sequence

import click

from otp_service.access import api_keys
from otp_service.access.api_keys import PREFIXES, digest
from otp_service.access.keyring import LABEL, OVERLAP, Key
from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import Duration, author_option, demo_option, format_time, reason_option
from otp_service.cli.session import on_store
from otp_service.events.signing_secrets import draw_secret
from otp_service.ops.apps import APP_KEY_KINDS, check_owner, limits_of
from otp_service.policy import ROLES
from otp_service.typed import is_line

PLACES = {
    "publishable": "[app.NAME] publishable_keys",
    "secret": "[app.NAME] secret_keys",
    "ops": "[operator.NAME] keys",
    "webhook": "[upstream.NAME.receipts] secrets",
}
"""Where the hash of a key that the policy declares belongs."""


def _checked_label(context: click.Context, option: click.Parameter, label: str) -> str:
    if len(label) > LABEL or not is_line(label):
        raise click.BadParameter(f"must be at most {LABEL} visible characters on one line", context, option)
    return label


@click.group
@demo_option
def keys() -> None:
    """Issue, replace, revoke and list API keys."""


@keys.command
@click.argument("kind", type=click.Choice([*PREFIXES, "events"]))
@demo_option
def draw(*, kind: str) -> None:
    """Generate a key without issuing it.

    Its hash is for the policy. This needs no settings, so a demo changes nothing.
    """
    if kind == "events":
        print(
            f"secret: {draw_secret()}   (shown once: for the app, and the setting that its events.secret_env names)"
        )
        return
    key = api_keys.draw(kind)
    print(f"key:  {key}   (shown once)\nhash: {digest(key)}   (for {PLACES[kind]} in the policy)")


@keys.command
@click.argument("kind", type=click.Choice([*APP_KEY_KINDS, "ops"]))
@click.argument("owner")
@click.option("--role", type=click.Choice(ROLES), help="What an operator may do.")
@click.option("--label", default="", metavar="TEXT", callback=_checked_label, help="What the key is for.")
@click.option("--expires", type=Duration(1), help="When it ends, such as 90d; never if omitted.")
@author_option
@on_store
def create(
    base: Operations, *, kind: str, owner: str, role: str | None, label: str, expires: int | None, by: str
) -> None:
    """Issue a key to OWNER: an app of the policy, or an operator.

    The key is shown once. It is valid everywhere within two seconds.
    """
    policy = base.policy_in_force()
    check_owner(policy, kind=kind, owner=owner, role=role or "")
    key, record = base.keyring.issue(
        kind,
        owner,
        by=by,
        role=role or "",
        limited_to=limits_of(policy, kind=kind, owner=owner),
        label=label,
        lifetime=expires,
    )
    print(*describe_issued(key, record), sep="\n")


@keys.command
@click.argument("id_", metavar="ID")
@click.option(
    "--overlap",
    type=Duration(0),
    default=OVERLAP,
    help="How long the old key stays valid; 24h if omitted.",
)
@click.option("--expires", type=Duration(1), help="When it ends, such as 90d; as its predecessor if omitted.")
@reason_option
@author_option
@on_store
def rotate(base: Operations, *, id_: str, overlap: int, expires: int | None, reason: str, by: str) -> None:
    """Issue a successor of a key. The old key stays valid for a while."""
    key, record = base.keyring.rotate(id_, by=by, reason=reason, overlap=overlap, lifetime=expires)
    before = base.keyring.read_key(id_)
    ends = format_time(before.expires or record.created)
    print(*describe_issued(key, record), f"{before.id} ends {ends}", sep="\n")


@keys.command
@click.argument("id_", metavar="ID")
@reason_option
@author_option
@on_store
def revoke(base: Operations, *, id_: str, reason: str, by: str) -> None:
    """Revoke a key now.

    It is refused everywhere within two seconds.
    """
    revoked = base.keyring.revoke(id_, by=by, reason=reason)
    print(f"{revoked.id} of {revoked.owner} is revoked")


@keys.command("list")
@on_store
def list_keys(base: Operations) -> None:
    """List the issued keys.

    The list shows the owner of each, and when it was issued, ends and was last used.
    """
    now, found = base.keyring.read_all()
    print(*(describe_keys(found, now) if found else ["no keys were issued"]), sep="\n")


def describe_issued(key: str, record: Key) -> Iterable[str]:
    """Show a new key, which nothing shows again."""
    until = f"until {format_time(record.expires)}" if record.expires else "until it is revoked"
    yield f"key: {key}   (shown once)"
    only = f", for {', '.join(record.apps)} only" if record.apps else ""
    yield f"id:  {record.id}   ({record.kind} key of {record.owner}{only}, {until})"


_COLUMNS = "{:<10}  {:<11}  {:<24}  {:<20}  {:<20}  {:<20}  {}"


def describe_keys(found: Sequence[Key], now: int) -> Iterable[str]:
    """Show issued keys as a table."""
    yield _COLUMNS.format("id", "kind", "owner", "created", "ends", "last use", "about")
    for key in found:
        yield _COLUMNS.format(
            key.id,
            key.kind,
            f"{key.owner} ({' '.join([key.role, *key.apps])})" if key.role else key.owner,
            format_time(key.created),
            format_time(key.expires) if key.expires else "never",
            format_time(key.used) if key.used else "not yet",
            _about(key, now),
        ).rstrip()


def _about(key: Key, now: int) -> str:
    if key.is_live(now):
        return key.label
    return f"ended by {key.ended_by}: {key.ended_why}" if key.ended_by else "ended"
