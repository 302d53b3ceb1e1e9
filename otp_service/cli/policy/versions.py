"""`policy apply`, `show`, `history`, `rollback` and `diff`: the policy in force, and those before it.

Knows options and how versions look in a terminal. Must not know how they are kept.
"""

from pathlib import Path

import click

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.editing import PolicyEditing
from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import author_option, format_time, reason_option
from otp_service.cli.refusals import read_file
from otp_service.cli.session import on_store, working_on
from otp_service.ops.policy_changes import Applied, version_of
from otp_service.policy.versions import Version

on_policy = working_on(lambda given: PolicyEditing(configure(given), role="operator"))
"""For a command that checks whether this process could run a policy."""
_FILE = click.Path(path_type=Path)


@click.command
@click.argument("file", type=_FILE)
@click.option("--expect", type=int, metavar="VERSION", help="Apply only if this version is in force.")
@reason_option
@author_option
@on_policy
def apply(base: PolicyEditing, *, file: Path, expect: int | None, reason: str, by: str) -> None:
    """Put a policy in force. Running processes follow within two seconds.

    A policy that is in force already makes no new version.
    """
    print_applied(base.policy_changes.apply(read_file(file), by=by, reason=reason, expected=expect))


def print_applied(applied: Applied) -> None:
    """Print the warnings of a change, and the version that it put in force."""
    for warning in applied.warnings:
        print(f"warning: {warning}")
    same = "" if applied.changed else "nothing changed: "
    print(f"{same}version {applied.version.number} is in force")


@click.command
@click.argument("version", type=int, required=False)
@on_store
def show(base: Operations, *, version: int | None) -> None:
    """Print the policy in force, or an earlier version."""
    print(version_of(base.policies, version).text, end="")


@click.command
@on_store
def history(base: Operations) -> None:
    """List the newest versions: when, who, why."""
    versions = base.policies.history()
    if not versions:
        print("no policy is in force yet")
    for version in versions:
        print(f"{version.number:>5}  {format_time(version.at)}  {version.author}: {version.reason}")


@click.command
@click.argument("version", type=int, required=False)
@reason_option
@author_option
@on_policy
def rollback(base: PolicyEditing, *, version: int | None, reason: str, by: str) -> None:
    """Put an earlier version in force again.

    That is the version before the newest if VERSION is omitted.
    """
    print_applied(base.policy_changes.rollback(version, by=by, reason=reason))


@click.command
@click.argument("old")
@click.argument("new", required=False)
@on_store
def diff(base: Operations, *, old: str, new: str | None) -> None:
    """Show what changed from one version to another, or to a file.

    NEW is the version in force if it is omitted. A file alone is compared with the version in force.
    """
    pair = (None, old) if new is None and not old.isdecimal() else (old, new)
    print(base.differences.between(*(_named(base, name) for name in pair)) or "no differences\n", end="")


def _named(base: Operations, name: str | None) -> Version:
    if name is None or name.isdecimal():
        return version_of(base.policies, None if name is None else int(name))
    return Version(0, read_file(Path(name)), "", 0, "")
