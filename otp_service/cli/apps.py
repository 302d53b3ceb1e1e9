"""The `apps` command: operators add, show and remove apps of the policy.

Knows options and how answers look in a terminal. Must not know how a policy is edited.
"""

from collections.abc import Iterable

import click

from otp_service.bootstrap.editing import PolicyEditing
from otp_service.bootstrap.operations import Operations
from otp_service.cli.keys import describe_issued, describe_keys
from otp_service.cli.options import author_option, demo_option, reason_option
from otp_service.cli.policy.versions import on_policy, print_applied
from otp_service.cli.session import on_store
from otp_service.errors import NotFound
from otp_service.ops.apps import APP_KEY_KINDS, Changed
from otp_service.policy import App


@click.group
@demo_option
def apps() -> None:
    """Add, show and remove apps of the policy."""


@apps.command
@click.argument("name")
@click.option("--brand", required=True, metavar="TEXT", help="The name shown in messages.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web origin that may use its publishable key; may be repeated.",
)
@click.option("--no-keys", is_flag=True, help="Issue no keys.")
@reason_option
@author_option
@on_policy
def create(
    base: PolicyEditing,
    *,
    name: str,
    brand: str,
    origins: tuple[str, ...],
    no_keys: bool,
    reason: str,
    by: str,
) -> None:
    """Add an app to the policy in force. Its first keys are shown once."""
    base.begin_policy()
    changed = base.apps.create(
        name, brand=brand, origins=origins, by=by, reason=reason, with_keys=not no_keys
    )
    _print_changed(changed)


@apps.command
@click.argument("name")
@reason_option
@author_option
@on_policy
def remove(base: PolicyEditing, *, name: str, reason: str, by: str) -> None:
    """Remove an app from the policy in force, and revoke its keys."""
    base.begin_policy()
    _print_changed(base.apps.remove(name, by=by, reason=reason))


def _print_changed(changed: Changed) -> None:
    print_applied(changed)
    for key, record in changed.keys:
        print(*describe_issued(key, record), sep="\n")


@apps.command("list")
@on_store
def list_apps(base: Operations) -> None:
    """List the apps of the policy in force."""
    for known in base.policy_in_force().apps.values():
        print(f"{known.name:<32}  {known.brand}  {' '.join(known.origins)}".rstrip())


@apps.command
@click.argument("name")
@on_store
def show(base: Operations, *, name: str) -> None:
    """Show an app and the keys that may call as it."""
    known = base.policy_in_force().apps.get(name)
    if known is None:
        raise NotFound("There is no app of this name.")
    now, keys = base.keyring.read_all()
    own = [key for key in keys if key.owner == known.name and key.kind in APP_KEY_KINDS and key.is_live(now)]
    print(*_described(known), *(describe_keys(own, now) if own else ()), sep="\n")


def _described(known: App) -> Iterable[str]:
    yield f"{known.name}: {known.brand}"
    yield f"origins: {' '.join(known.origins) or 'none'}"
    yield f"keys in the policy: {len(known.publishable_keys)} publishable, {len(known.secret_keys)} secret"
