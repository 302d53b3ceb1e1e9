"""The command `otp-service`: prepares the folder of shared metrics, then runs the command line.

Knows that the Prometheus client reads its folder when it is imported. Must not know any command.
"""

import atexit
import io
import os
import shutil
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from otp_service.cli.exit_codes import FAILED
from otp_service.cli.main import run
from otp_service.settings import SHARED_METRICS

_SHOWN = ("OTP_WORKER_METRICS", "OTP_WORKER_METRICS_FILE")
"""Settings of which one names where a worker shows metrics."""


def main() -> None:
    """Run a command and exit with its status."""
    share_metrics(sys.argv[1:], os.environ)
    _take_any_text()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at its end
        code = FAILED
    sys.exit(code)


def _take_any_text() -> None:
    """Let the output hold any text, whatever the locale's encoding.

    A file or pipe gets UTF-8, as TOML and JSON require. A terminal shows as escapes what it has no character for.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return  # it is closed
    if sys.stdout.isatty():
        sys.stdout.reconfigure(errors="backslashreplace")
    else:
        sys.stdout.reconfigure(encoding="utf-8")


def share_metrics(arguments: list[str], environment: MutableMapping[str, str]) -> None:
    """Create the folder where processes of `serve` or of a worker share metrics; remove it when the command ends."""
    if folder := environment.get(SHARED_METRICS):
        Path(folder).mkdir(parents=True, exist_ok=True)
    elif arguments[:1] == ["serve"] or (arguments[:1] == ["worker"] and any(map(environment.get, _SHOWN))):
        made = environment[SHARED_METRICS] = tempfile.mkdtemp(prefix="otp-metrics-")
        owner = os.getpid()
        # The processes are forks and may run the same exit handlers, but the folder belongs to their parent.
        atexit.register(_remove, made, owner)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
