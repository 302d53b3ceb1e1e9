"""What `send`, `verify` and `watch` share: which service they ask, and how a refusal is told.

Knows the terminal. Must not know any single command.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from otp_service.cli.exit_codes import FAILED
from otp_service.cli.refusals import WrongOption, read_file
from otp_service.demo.trying import NoAnswer, Refused, Service

Options = ParamSpec("Options")
KEY = "OTP_API_KEY"
"""The environment variable that holds an app's key: an argument would show it to every user of the machine."""
_NEXT = {
    "wrong_code": "Look at the newest message and try again.",
    "challenge_not_found": "Start again with otp-service send.",
    "no_attempts_left": "Start again with otp-service send.",
    "unknown_key": f"Set {KEY} to a key of an app; otp-service keys list shows which there are.",
    "no_route": "otp-service policy simulate NUMBER says why.",
    "too_many_requests": "otp-service blocks explain NUMBER says why.",
}


def on_service(
    act: Callable[Concatenate[Service, Options], int | None],
) -> Callable[Options, int | None]:
    """Give the command the service it asks, add `--demo` and `--api`, and tell refusals in words."""

    @click.option("--demo", type=click.Path(path_type=Path), metavar="DIR", help="Ask the demo of DIR.")
    @click.option("--api", metavar="URL", help=f"Ask the service at URL, with the key in ${KEY}.")
    @wraps(act)
    def asked(*arguments: Options.args, **options: Options.kwargs) -> int | None:
        folder, url = options.pop("demo"), options.pop("api")
        try:
            return act(_service(folder, url), *arguments, **options)  # type: ignore[arg-type]
        except NoAnswer as error:
            print(error, file=sys.stderr)
        except Refused as error:
            print(*_told(error.problem), sep="\n", file=sys.stderr)
        return FAILED

    return asked


def _service(folder: Path | None, url: str | None) -> Service:
    if (folder is None) == (url is None):
        raise WrongOption("Give either --demo DIR or --api URL.")
    if folder is not None:
        return _of_demo(folder / "demo.json")
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url or ""):
        raise WrongOption("--api must be an address such as https://otp.example.com.")
    key = os.environ.get(KEY, "")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise WrongOption(f"{KEY} must hold a key of an app.")
    return Service((url or "").rstrip("/"), key)


def _of_demo(file: Path) -> Service:
    if not file.exists():
        raise WrongOption(f"No demo is running in {file.parent}. Start it with make run.")
    try:
        said = json.loads(read_file(file))
        return Service(said["api"], said["secret_key"])
    except (ValueError, KeyError, TypeError):
        raise WrongOption(f"{file} is not the file of a running demo") from None


def _told(problem: Mapping[str, Any]) -> list[str]:
    """Write a refusal: what happened, which rules were broken, what to do next."""
    detail = str(problem.get("detail") or problem["code"])
    if "retry_after" in problem:
        detail = detail.replace("retry_after", str(problem["retry_after"]))
    rules = [f"  - {one['field']}: {one['rule']}" for one in problem.get("errors", ())]
    left = [f"checks left: {problem['checks_left']}"] if "checks_left" in problem else []
    following = _NEXT.get(problem["code"])
    return [detail, *rules, *left, *([following] if following else [])]
