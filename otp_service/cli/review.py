"""The `review` command: numbers whose code is known, so that the reviewers of an app store can sign in.

Knows options and how answers look in a terminal. Must not know how the policy is edited or a code is hashed.
"""

import click

from otp_service.bootstrap.editing import PolicyEditing
from otp_service.cli.options import author_option, demo_option, reason_option
from otp_service.cli.policy.versions import on_policy, print_applied
from otp_service.crypto.code_hashes import Hasher
from otp_service.ops.review_numbers import NewReview, ReviewNumbers, day_of
from otp_service.policy.review import LONGEST

_app = click.option("--app", required=True, metavar="NAME", help="The app whose reviewers use the number.")


def _numbers(base: PolicyEditing) -> ReviewNumbers:
    hasher = Hasher(base.settings.peppers, base.settings.hash_profile, 1)
    return ReviewNumbers(changes=base.policy_changes, hasher=hasher, clock=base.store.facts.time)


@click.group
@demo_option
def review() -> None:
    """Add, list and remove numbers for the reviewers of an app store."""


@review.command
@click.argument("number")
@_app
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    required=True,
    metavar="PURPOSE",
    help="A purpose for which it counts; may be repeated.",
)
@click.option(
    "--days",
    type=click.IntRange(1, LONGEST),
    default=30,
    show_default=True,
    help="For how many days it counts.",
)
@reason_option
@author_option
@on_policy
def add(
    base: PolicyEditing, *, number: str, app: str, purposes: tuple[str, ...], days: int, reason: str, by: str
) -> None:
    """Add a number to the policy in force, and draw its code.

    The code is shown once. Nothing is sent to the number; take one that is kept for fiction, such as +12025550150.
    """
    base.begin_policy()
    new = NewReview(app=app, number=number, purposes=purposes, days=days)
    digits = base.policy_in_force().challenge.code_length
    applied, code = _numbers(base).add(new, digits=digits, by=by, reason=reason)
    print(f"code: {code}   (shown once)")
    print_applied(applied)


@review.command("list")
@on_policy
def list_numbers(base: PolicyEditing) -> None:
    """List the numbers of all apps, for which purposes they count, and until when."""
    found = list(_numbers(base).read_all(base.policy_in_force()))
    for one in found:
        days = f"from {day_of(one.review.since)} until {day_of(one.review.expires)}"
        over = " (not now)" if one.is_over else ""
        print(f"{one.number}  {one.app}  {', '.join(one.review.purposes)}  {days}{over}")
    if not found:
        print("there are no review numbers")


@review.command
@click.argument("number")
@_app
@reason_option
@author_option
@on_policy
def remove(base: PolicyEditing, *, number: str, app: str, reason: str, by: str) -> None:
    """Remove a number from the policy in force."""
    print_applied(_numbers(base).remove(app, number, by=by, reason=reason))
