"""Moves the wall clock of a Python process by as many seconds as a file says, which is read again for each look.

Python imports this module by its name when it starts. libfaketime would move all clocks of a process, but makes
`time.sleep` fail with EINVAL (0.9.10 with Python 3.11, which sleeps until a moment of the monotonic clock).
"""

import os
import time
from pathlib import Path

_FILE = Path(os.environ["MOVED_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def _moved() -> float:
    try:
        return float(_FILE.read_text())
    except (OSError, ValueError):  # it is being written
        return 0.0


time.time = lambda: _time() + _moved()
time.time_ns = lambda: _time_ns() + int(_moved() * 1e9)
