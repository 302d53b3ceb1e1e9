"""The `keys` and `apps` commands: operators say who may call.

Knows options and how answers look in a terminal. Must not know how keys are kept or a document is edited.
"""

import argparse
from collections.abc import Iterable, Sequence

from otp_service.access.api_keys import PREFIXES, digest, draw, seconds
from otp_service.access.keyring import OVERLAP, Key
from otp_service.bootstrap.core import Core
from otp_service.cli import session as terminal
from otp_service.cli.session import author, moment, who_and_why
from otp_service.errors import NotFound
from otp_service.events import standard_webhooks
from otp_service.ops.apps import KINDS, Changed, check_owner
from otp_service.policy import ROLES, App

PLACES = {
    "publishable": "[app.NAME] publishable_keys",
    "secret": "[app.NAME] secret_keys",
    "ops": "[operator.NAME] keys",
    "webhook": "[upstream.NAME.receipts] secrets",
}
"""Where the hash of a key that the policy declares belongs."""


def key_options(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of `keys` and their options."""
    action = terminal.actions(parser)
    draws = action("draw", None, "make a key without issuing it: its hash is for the policy")
    draws.add_argument("kind", choices=[*PREFIXES, "events"])
    draws.set_defaults(act=_draw)  # needs no settings and no store
    create = action("create", _create, "issue a key: shown once; it lets in within two seconds")
    create.add_argument("kind", choices=[*KINDS, "ops"])
    create.add_argument("owner", help="an app of the policy; for ops the operator's name")
    create.add_argument("--role", choices=ROLES, default="", help="what an operator may do")
    create.add_argument("--label", default="", help="what the key is for")
    _lifetime(create, "never ends if left out")
    who_and_why(create, why=False)
    rotate = action("rotate", _rotate, "issue a successor; the key before lives on for a while")
    rotate.add_argument("id")
    rotate.add_argument(
        "--overlap", type=_seconds, default=OVERLAP, metavar="TIME", help="how long; 24h if left out"
    )
    _lifetime(rotate, "as long as its predecessor if left out")
    who_and_why(rotate)
    revoke = action("revoke", _revoke, "end a key now, everywhere within two seconds")
    revoke.add_argument("id")
    who_and_why(revoke)
    action("list", _list, "list the issued keys: whose, since when, until when, used when")


def app_options(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of `apps` and their options."""
    action = terminal.actions(parser)
    create = action("create", _create_app, "add an app to the policy in force; its first keys are shown once")
    create.add_argument("name")
    create.add_argument("--brand", required=True, help="the name that stands in messages")
    create.add_argument(
        "--origin", action="append", default=[], help="pages that may use its keys; more than once"
    )
    create.add_argument("--no-keys", action="store_true", help="issue none")
    who_and_why(create)
    action("list", _list_apps, "list the apps of the policy in force")
    action("show", _show_app, "show an app and who may call as it").add_argument("name")
    remove = action("remove", _remove_app, "take an app out of the policy in force and end its keys")
    remove.add_argument("name")
    who_and_why(remove)


def _lifetime(parser: argparse.ArgumentParser, otherwise: str) -> None:
    parser.add_argument("--expires", type=_seconds, metavar="TIME", help=f"such as 90d; {otherwise}")


def _seconds(text: str) -> int:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# Keys.


def _draw(chosen: argparse.Namespace) -> int:
    if chosen.kind == "events":
        secret = standard_webhooks.draw_secret()
        print(
            f"secret: {secret}   (shown once: for the app, and the setting that its events.secret_env names)"
        )
        return 0
    key = draw(chosen.kind)
    print(f"key:  {key}   (shown once)\nhash: {digest(key)}   (for {PLACES[chosen.kind]} in the policy)")
    return 0


def _create(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    check_owner(core.policy, kind=chosen.kind, owner=chosen.owner, role=chosen.role)
    key, record = core.keyring.issue(
        chosen.kind,
        chosen.owner,
        by=author(chosen),
        role=chosen.role,
        label=chosen.label,
        lifetime=chosen.expires,
    )
    print(*_issued(key, record), sep="\n")
    return 0


def _rotate(core: Core, chosen: argparse.Namespace) -> int:
    key, record = core.keyring.rotate(
        chosen.id,
        by=author(chosen),
        reason=chosen.reason,
        overlap=chosen.overlap,
        lifetime=chosen.expires,
    )
    before = core.keyring.find(chosen.id)
    print(*_issued(key, record), f"{before.id} ends {moment(before.expires or record.created)}", sep="\n")
    return 0


def _revoke(core: Core, chosen: argparse.Namespace) -> int:
    revoked = core.keyring.revoke(chosen.id, by=author(chosen), reason=chosen.reason)
    print(f"{revoked.id} of {revoked.owner} lets nobody in any more")
    return 0


def _list(core: Core, _: argparse.Namespace) -> int:
    now, keys = core.keyring.all()
    print(*_table(keys, now), sep="\n")
    return 0


def _issued(key: str, record: Key) -> Iterable[str]:
    until = f"until {moment(record.expires)}" if record.expires else "until it is revoked"
    yield f"key: {key}   (shown once)"
    yield f"id:  {record.id}   ({record.kind} key of {record.owner}, {until})"


_COLUMNS = "{:<10}  {:<11}  {:<24}  {:<20}  {:<20}  {:<20}  {}"


def _table(keys: Sequence[Key], now: int) -> Iterable[str]:
    yield _COLUMNS.format("id", "kind", "owner", "created", "ends", "last use", "about")
    for key in keys:
        yield _COLUMNS.format(
            key.id,
            key.kind,
            f"{key.owner} ({key.role})" if key.role else key.owner,
            moment(key.created),
            moment(key.expires) if key.expires else "never",
            moment(key.used) if key.used else "not yet",
            _about(key, now),
        ).rstrip()


def _about(key: Key, now: int) -> str:
    if key.lives(now):
        return key.label
    return f"ended by {key.ended_by}: {key.ended_why}" if key.ended_by else "ended"


# Apps.


def _create_app(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    changed = core.apps.create(
        chosen.name,
        brand=chosen.brand,
        origins=chosen.origin,
        by=author(chosen),
        reason=chosen.reason,
        with_keys=not chosen.no_keys,
    )
    return _told(changed)


def _remove_app(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    return _told(core.apps.remove(chosen.name, by=author(chosen), reason=chosen.reason))


def _told(changed: Changed) -> int:
    for warning in changed.warnings:
        print(f"warning: {warning}")
    print(f"version {changed.version.number} is in force")
    for key, record in changed.keys:
        print(*_issued(key, record), sep="\n")
    return 0


def _list_apps(core: Core, _: argparse.Namespace) -> int:
    core.active.refresh()
    for known in core.policy.apps.values():
        print(f"{known.name:<32}  {known.brand}  {' '.join(known.origins)}".rstrip())
    return 0


def _show_app(core: Core, chosen: argparse.Namespace) -> int:
    core.active.refresh()
    known = core.policy.apps.get(chosen.name)
    if known is None:
        raise NotFound("There is no app of this name.")
    now, keys = core.keyring.all()
    own = [key for key in keys if key.owner == known.name and key.kind in KINDS and key.lives(now)]
    print(*_described(known), *(_table(own, now) if own else ()), sep="\n")
    return 0


def _described(known: App) -> Iterable[str]:
    yield f"{known.name}: {known.brand}"
    yield f"origins: {' '.join(known.origins) or 'none'}"
    yield f"keys in the policy: {len(known.publishable_keys)} publishable, {len(known.secret_keys)} secret"
