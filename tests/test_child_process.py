"""Processes that end with their parent, however early it ends."""

import os
import subprocess
import sys

import pytest

from tests.support.patience import PATIENCE

CHILD = """
import os, signal, sys, time
from otp_service.child_process import die_with_parent
parent = os.getpid()
ready, tell = os.pipe()
if os.fork():
    {parent}
{child}
print("it goes on")
"""
LATE = "while os.getppid() == parent: time.sleep(0.01)\ndie_with_parent(parent)"
EARLY = "die_with_parent(parent, signal.SIGKILL)\nprint('ready', flush=True)\nos.write(tell, b'.')\ntime.sleep(1000)"


@pytest.mark.parametrize(
    ("child", "parent", "said"),
    [(LATE, "os._exit(0)", ""), (EARLY, "os.read(ready, 1); os._exit(0)", "ready\n")],
    ids=["before it asks", "after it asks"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2)")
def test_a_process_whose_parent_has_ended_ends(child: str, parent: str, said: str) -> None:
    """A parent that ended before the kernel was asked sends no signal any more. The pipe ends with the process."""
    program = CHILD.format(parent=parent, child=child)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == (said, "")


SETTLED = """
import gc, weakref
from otp_service.child_process import freeze_start
class Ring:
    def __init__(self): self.itself = self
begun = [Ring() for _ in range(1000)]
freeze_start()
assert not any(isinstance(one, Ring) for one in gc.get_objects())
gone = []
for _ in range(100_000):
    weakref.finalize(Ring(), gone.append, 1)
print("collected" if gone else "never collected")
"""


def test_what_a_start_has_made_is_not_searched_for_garbage_and_what_comes_later_is() -> None:
    """So that a search costs little, and memory stays bounded."""
    done = subprocess.run(
        [sys.executable, "-c", SETTLED], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == "collected\n", done.stderr
