"""What `send`, `verify` and `watch` share: which service they ask, how a refusal is told, and what to do next.

Knows the terminal. Must not know any single command.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from otp_service.cli.exit_codes import FAILED
from otp_service.cli.options import demo_folder, demo_option, read_demo
from otp_service.cli.refusals import WrongOption
from otp_service.demo.trying import NoAnswer, Refused, Service

Options = ParamSpec("Options")
KEY = "OTP_API_KEY"
"""The environment variable that holds an app's key: an argument would show it to every user of the machine."""
_NEXT = {
    "wrong_code": "Look at the newest message and try again.",
    "challenge_not_found": "Start again with otp-service send.",
    "no_attempts_left": "Start again with otp-service send.",
    "unknown_key": f"Set {KEY} to a key of an app; this lists which there are: otp-service keys{{demo}} list",
    "key_not_allowed": f"Set {KEY} to a key of an app, sk_... or pk_...",
    "no_route": "This says why: otp-service policy{demo} simulate NUMBER",
    "channel_not_available": "This shows the channels of a number: otp-service policy{demo} simulate NUMBER",
    "too_many_requests": "This says which limit it was: otp-service blocks{demo} explain NUMBER",
    "human_check_required": "A terminal cannot pass one. This says why: otp-service blocks{demo} explain NUMBER",
    "no_worker": "Start one with otp-service worker. This says what else is missing: otp-service check",
}
"""What to do next, by the code of a problem; `{demo}` is the option that names a demo, if one is asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """A service that is asked. `option` is how the person named it, and `inbox` where a demo shows its messages."""

    service: Service
    option: str
    inbox: str = ""

    @property
    def demo(self) -> str:
        """The option that operators' commands take for the same service; empty for one that is no demo."""
        return f" {self.option}" if self.inbox else ""


def on_service(act: Callable[Concatenate[Place, Options], int | None]) -> Callable[Options, int | None]:
    """Give the command the service it asks, add `--demo` and `--api`, and tell refusals in words."""

    @demo_option
    @click.option("--api", metavar="URL", help=f"Ask the service at URL, with the key in ${KEY}.")
    @wraps(act)
    def asked(*arguments: Options.args, **options: Options.kwargs) -> int | None:
        place = _place(options.pop("api"))  # type: ignore[arg-type]
        try:
            return act(place, *arguments, **options)
        except (NoAnswer, Refused) as error:
            told = _told(error.problem, place) if isinstance(error, Refused) else [str(error)]
            print(*told, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
            return FAILED

    return asked


def _place(url: str | None) -> Place:
    folder = demo_folder()
    if (folder is None) == (url is None):
        raise WrongOption("Give either --demo DIR or --api URL.")
    if folder is not None:
        api, key, inbox = read_demo(folder, "api", "secret_key", "sandbox")
        option = f"--demo {shlex.quote(str(folder))}"
        return Place(Service(api, key), option, inbox)
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url or ""):
        raise WrongOption("--api must be an address such as https://otp.example.com.")
    key = os.environ.get(KEY, "")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise WrongOption(f"{KEY} must hold a key of an app.")
    return Place(Service((url or "").rstrip("/"), key), f"--api {shlex.quote(url or '')}")


def _told(problem: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Write a refusal: what happened, which rules were broken, what to do next."""
    detail = str(problem.get("detail") or problem["code"])
    yield detail.replace("retry_after", str(problem["retry_after"])) if "retry_after" in problem else detail
    for one in problem.get("errors", ()):
        if one["rule"] not in detail:
            yield f"  - {one['field']}: {one['rule']}"
    if "checks_left" in problem:
        yield f"checks left: {problem['checks_left']}"
    if following := _NEXT.get(problem["code"]):
        yield following.format(demo=place.demo)
