"""How a demo is asked to stop."""

import subprocess
import sys

from tests.support.patience import PATIENCE

INTERRUPTED = """
import os, signal, threading
from otp_service.demo.supervisor import stop_on_signals

stop = threading.Event()
stop_on_signals(stop)
with stop._cond:  # as while the supervisor waits
    os.kill(os.getpid(), signal.SIGTERM)
stop.wait()
"""


def test_a_signal_at_any_moment_stops_the_demo() -> None:
    """The handler runs on the main thread, even while that thread holds the lock of the event that it must set."""
    assert subprocess.run([sys.executable, "-c", INTERRUPTED], timeout=PATIENCE, check=False).returncode == 0
