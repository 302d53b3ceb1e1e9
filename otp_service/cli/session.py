"""What the operators' commands share: a core to work with, who asks and why, and how a refusal looks.

Knows the terminal. Must not know any single command.
"""

import argparse
import getpass
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core
from otp_service.errors import ConfigurationError, OtpError
from otp_service.telemetry import logs

FAILED = 1
Act = Callable[[Core, argparse.Namespace], int]
"""Does one action; gives the exit code."""


def actions(parser: argparse.ArgumentParser) -> Callable[[str, Act | None, str], argparse.ArgumentParser]:
    """Let a command have actions, each working on a core; gives what adds one.

    An action without an act sets its own, which needs no core.
    """
    on_a_demo(parser)
    parsers = parser.add_subparsers(title="actions", required=True, metavar="ACTION")

    def action(name: str, act: Act | None, about: str) -> argparse.ArgumentParser:
        made = parsers.add_parser(name, help=about, description=about)
        if act:
            made.set_defaults(act=partial(with_core, act))
        return made

    return action


def on_a_demo(parser: argparse.ArgumentParser) -> None:
    """Declare the option that says whose settings to take."""
    parser.add_argument(
        "--demo", type=Path, metavar="DIR", help="work on the demo that runs with these files (var)"
    )


def who_and_why(parser: argparse.ArgumentParser, *, why: bool = True) -> None:
    """Declare the options that say who asks, and why."""
    if why:
        parser.add_argument("--reason", required=True, help="why; kept in the history")
    parser.add_argument("--author", default=None, help="who; the user of this terminal if left out")


def whole(least: int, most: int) -> Callable[[str], int]:
    """Give what reads a whole number of a span."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def author(chosen: argparse.Namespace) -> str:
    """Say who asks."""
    return str(chosen.author or getpass.getuser())


def moment(milliseconds: int) -> str:
    """Write a time of the store's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(milliseconds / 1000))


def content(file: Path) -> str:
    """Read a file. Raises ConfigurationError."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{file} cannot be read: {error}"]) from None


def with_core(act: Act, chosen: argparse.Namespace) -> int:
    """Do something with the core of this environment, or of a demo's; gives the exit code."""
    environment = os.environ if chosen.demo is None else _settings_of_demo(chosen.demo)
    core = Core(configure(environment), threads=1, hash_slots=1, role="operator")
    try:
        with logs.acts_logged(sys.stderr):
            return act(core, chosen)
    except OtpError as error:
        print(
            error.detail,
            *(f"  - {field}: {rule}" for field, rule in error.rules()),
            sep="\n",
            file=sys.stderr,
        )
        return FAILED
    finally:
        core.close()


def _settings_of_demo(folder: Path) -> dict[str, str]:
    try:
        settings: dict[str, str] = json.loads(content(folder / "demo.json"))["settings"]
    except (ValueError, KeyError):
        raise ConfigurationError([f"{folder / 'demo.json'} is not of a demo that runs"]) from None
    return settings
