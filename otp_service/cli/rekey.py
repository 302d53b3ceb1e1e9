"""The `rekey` and `forget` commands: operators look after the numbers that the store holds.

Knows options and how answers look in a terminal. Must not know how numbers are kept.
"""

import argparse
import sys
from dataclasses import astuple
from functools import partial

from otp_service.bootstrap.core import Core
from otp_service.cli.session import FAILED, author, on_a_demo, who_and_why, with_core
from otp_service.ops.rekeying import Tally, kinds, rekey


def rekey_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rekey`."""
    on_a_demo(parser)
    parser.set_defaults(act=partial(with_core, _rekey))


def forget_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `forget`."""
    parser.add_argument("to", metavar="NUMBER")
    parser.add_argument("--country", help="of a number that is written without its country code")
    parser.add_argument(
        "--and-suppression", action="store_true", help="forget a STOP, too: messages may go there again"
    )
    who_and_why(parser, why=False)
    on_a_demo(parser)
    parser.set_defaults(act=partial(with_core, _forget))


def _rekey(core: Core, _: argparse.Namespace) -> int:
    left = 0
    for kind in kinds(core.store.suppressions, core.store.pins):
        tally = rekey(core.seal, kind, partial(_show_progress, kind.name))
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


def _forget(core: Core, chosen: argparse.Namespace) -> int:
    erased = core.erasure.forget(
        chosen.to,
        chosen.country,
        by=author(chosen),
        and_suppression=chosen.and_suppression,
        progress=lambda kind: print(f"going through {kind}", file=sys.stderr),
    )
    for kind, count in erased.removed.items():
        print(f"{kind.replace('_', ' ')}: {count} removed")
    if erased.suppressed:
        print("the number stays on the suppression list, as a bare HMAC: --and-suppression removes it")
    if erased.unreadable:
        print(f"{erased.unreadable} challenges were sealed with a key that is not in OTP_NUMBER_KEYS")
    return FAILED if erased.unreadable else 0
