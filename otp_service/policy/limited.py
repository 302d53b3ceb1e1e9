"""Parses policies that are not trusted, each in a process with limits of time and memory.

Knows how a policy comes out of that process. Must not know what a policy says. A parser has costs that no rule about
sizes foresees. `python -m otp_service.policy.limited` is the process.
"""

import os
import pickle
import sys
from typing import Any

from otp_service.child_process import MOST_MEMORY, MOST_SECONDS, LimitedWork, NoTurn, TooMuchWork, work
from otp_service.errors import Busy, ConfigurationError
from otp_service.policy.document import parse
from otp_service.policy.model import Policy

RETRY_AFTER = 5
SAMPLE = b"""
guard.countries.allow = ["*"]
[app.web]
brand = "Acme"
origins = ["https://app.example.com"]
[upstream.main]
kind = "mobtexting"
base_url = "https://portal.example.com/api/v2/"
token_env = "OTP_UPSTREAM_MAIN_TOKEN"
sms = { service = "T", sender = "ACMEIN" }
[[route]]
steps = [{ channel = "sms", upstream = "main", wait = "5s" }]
"""
"""A policy that a process parses before its work comes: what the first parse compiles takes longer than the rest."""
MODULE = "otp_service.policy.limited"


class LimitedParser:
    """Parses one text at a time; other callers wait for their turn."""

    def __init__(self, process: LimitedWork | None = None) -> None:
        self._process = process or LimitedWork(MODULE)

    def parse(self, text: str) -> Policy:
        """Parse a policy. Raises ConfigurationError, also if that takes too much, and Busy if it takes too long."""
        try:
            answer = self._process.do(text.encode("utf-8", "surrogatepass"))
        except TooMuchWork:
            rule = f"takes more than {MOST_SECONDS:g} s or {MOST_MEMORY} MiB to check; make it smaller"
            raise ConfigurationError([f"policy: {rule}"]) from None
        except NoTurn:
            detail = "Policies are being checked already. Nothing was changed. Try again."
            raise Busy(detail, retry_after=RETRY_AFTER) from None
        found: Policy | list[str] = pickle.loads(answer)  # noqa: S301 - from our own process
        if isinstance(found, list):
            raise ConfigurationError(found)
        return found


def _parsed(given: bytes) -> bytes:
    found: Any
    try:
        found = parse(given.decode("utf-8", "surrogatepass"))
    except ConfigurationError as error:
        found = list(error.problems)
    return pickle.dumps(found)


if __name__ == "__main__":
    _parsed(SAMPLE)
    ended = work(_parsed)
    sys.stdout.flush()
    os._exit(ended)  # nothing is left to do: taking the interpreter apart would take longer than the parse
