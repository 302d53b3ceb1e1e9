"""Options that the operators' commands share: which demo, why, by whom, how long.

Knows the terminal. Must not know any single command, or what it works on: a command that needs no store imports none.
"""

import getpass
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from otp_service.access.api_keys import read_lifetime
from otp_service.cli.refusals import WrongOption, read_file
from otp_service.ops.audit import REASON_RULE, is_reason

_DEMO = f"{__name__}.demo"
Options = ParamSpec("Options")
Result = TypeVar("Result")


def demo_option(act: Callable[Options, Result]) -> Callable[Options, Result]:
    """Add `--demo DIR`: the settings are those of a running demo. Groups and their commands take it alike."""
    return click.option(
        "--demo",
        type=click.Path(path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_remember_demo,
        help="Work on the running demo that keeps its files in DIR, such as var.",
    )(act)


def _remember_demo(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
    if folder is not None:
        context.meta[_DEMO] = folder


def demo_folder() -> Path | None:
    """Return the folder that `--demo` names, None without it."""
    folder: Path | None = click.get_current_context().meta.get(_DEMO)
    return folder


def read_demo(folder: Path, *names: str) -> list[Any]:
    """Return what the running demo of a folder says of itself under some names. Raises WrongOption."""
    file = folder / "demo.json"
    if not file.exists():
        raise WrongOption(f"No demo is running in {folder}. Start it with make run.")
    try:
        said = json.loads(read_file(file))
        return [said[name] for name in names]
    except (ValueError, KeyError, TypeError):
        raise WrongOption(f"{file} is not the file of a running demo") from None


def environment() -> Mapping[str, str]:
    """Return the settings of this process, or those of the demo that `--demo` names. Raises WrongOption."""
    folder = demo_folder()
    if folder is None:
        return os.environ
    settings: Mapping[str, str]
    [settings] = read_demo(folder, "settings")
    return settings


def reason_option(act: Callable[Options, Result]) -> Callable[Options, Result]:
    """Add `--reason`."""
    return click.option(
        "--reason",
        required=True,
        metavar="TEXT",
        callback=_checked_reason,
        help="Why; kept in the history.",
    )(act)


def _checked_reason(context: click.Context, option: click.Parameter, reason: str) -> str:
    if not is_reason(reason):
        raise click.BadParameter(REASON_RULE, context, option)
    return reason


def author_option(act: Callable[Options, Result]) -> Callable[Options, Result]:
    """Add `--author`."""
    return click.option(
        "--author",
        "by",
        metavar="NAME",
        default="",
        callback=_checked_author,
        help="Who does this; the user of this terminal if omitted.",
    )(act)


def _checked_author(context: click.Context, option: click.Parameter, given: str) -> str:
    if given and not is_reason(given):
        raise click.BadParameter(REASON_RULE, context, option)
    return given or getpass.getuser()


class Duration(click.ParamType[int]):
    """A time such as 90d or 24h, of at least `shortest`, in seconds."""

    name = "time"

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value  # a default
        try:
            return read_lifetime(value, shortest=self._shortest)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def format_time(milliseconds: int) -> str:
    """Write a time of the store's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(milliseconds / 1000))
