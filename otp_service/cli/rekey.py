"""The `rekey` command: operators finish a rotation of keys.

Knows how progress looks in a terminal. Must not know how numbers are kept.
"""

import sys
from dataclasses import astuple
from functools import partial

import click

from otp_service.bootstrap.operations import Operations
from otp_service.cli.exit_codes import FAILED
from otp_service.cli.session import on_store
from otp_service.ops import rekeying
from otp_service.ops.rekeying import Tally, record_kinds


@click.command
@on_store
def rekey(base: Operations) -> int:
    """Re-encrypt suppressed and pinned numbers with the newest keys."""
    left = 0
    for kind in record_kinds(base.store.suppressions, base.store.pins):
        tally = rekeying.rekey(base.seal, kind, partial(_show_progress, kind.name))
        print(f"{kind.name}: {tally.renewed} renewed, {tally.current} were up to date")
        if tally.nameless:
            print(
                f"{kind.name}: {tally.nameless} stay under an older lookup key, as their numbers were forgotten"
            )
        if tally.unreadable:
            print(f"{kind.name}: {tally.unreadable} were sealed with a key that is not in OTP_NUMBER_KEYS")
        left += tally.nameless + tally.unreadable
    print("the older keys are still needed" if left else "nothing here needs the older keys any more")
    return FAILED if left else 0


def _show_progress(name: str, tally: Tally) -> None:
    print(f"{name}: {sum(astuple(tally))} seen", file=sys.stderr)
