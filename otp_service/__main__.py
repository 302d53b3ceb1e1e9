"""The command `otp-service`: prepares what must be there before a command is imported, and runs it.

Knows that the Prometheus client reads its folder when it is imported. Must not know any command.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import MutableMapping

from otp_service.cli.main import run
from otp_service.settings import SHARED_METRICS


def main() -> None:
    """Run a command and exit with its status."""
    share_metrics(sys.argv[1:], os.environ)
    sys.exit(run(sys.argv[1:]))


def share_metrics(arguments: list[str], environment: MutableMapping[str, str]) -> None:
    """Make the folder where the processes of `serve` sum their metrics, and remove it in the end."""
    if folder := environment.get(SHARED_METRICS):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - pathlib would be imported for one call
    elif arguments[:1] == ["serve"]:
        made = environment[SHARED_METRICS] = tempfile.mkdtemp(prefix="otp-metrics-")
        owner = os.getpid()
        # Gunicorn's processes are forked and run the same exit handlers; the folder is their parent's.
        atexit.register(_remove, made, owner)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
