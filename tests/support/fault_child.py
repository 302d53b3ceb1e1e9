"""Processes of the product that die by SIGKILL at a point.

`python -m tests.support.fault_child` has read the product's code, and forks one process for each order: it reads from
standard input, pickled, what that is to be and do, and writes how it ended. `Doomed` is the test's side of it.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from flask import Response

from otp_service.bootstrap.configuration import Configuration, PolicyFile
from otp_service.bootstrap.core import Core
from otp_service.http import app as http_app
from otp_service.settings import Settings
from tests.support.patience import PATIENT_LIMITS

Details = Mapping[str, str]


class Doomed:
    """Starts processes that die; a context manager."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.support.fault_child"]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parent.communicate()  # it ends with its input

    def kill(self, core: Core, text: str, act: str, **asked: str) -> None:
        """Let another process like `core` do one act and die at the point `asked` names."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        pickle.dump((core.settings, text, core.scripts.offset, act, asked), self._parent.stdin)
        self._parent.stdin.flush()
        assert pickle.load(self._parent.stdout) == -signal.SIGKILL  # noqa: S301 - our own child's


def main() -> None:
    """Do what is ordered until nothing more comes, each in a process of its own."""
    while True:
        try:
            order = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent's
        except EOFError:
            return
        if not (child := os.fork()):
            _obey(*order)
            os._exit(0)  # the point was never reached
        pickle.dump(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _obey(settings: Settings, text: str, offset: int, act: str, asked: Details) -> None:
    point = asked.get("point")

    def reach(name: str) -> None:
        if name == point:
            _die()

    core = Core(
        Configuration(settings, PolicyFile.parse(text)),
        threads=4,
        hash_slots=1,
        role="test",
        limits=PATIENT_LIMITS,
        offset=offset,
        reach=reach,
    )
    _ACTS[act](core, asked)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dispatch(core: Core, asked: Details) -> None:
    core.dispatcher.dispatch(asked["id"], lambda: False)


def _receive(core: Core, asked: Details) -> None:
    """Take a pushed report in, and die with its answer in hand, or before it was looked at."""
    web = http_app.web(core)

    def at_the_door() -> None:
        if asked["point"] == "arrived":
            _die()

    def at_the_end(response: Response) -> Response:
        _die()
        return response

    web.before_request(at_the_door)
    web.after_request(at_the_end)
    web.test_client().post(asked["path"], json={"id": asked["upstream_id"], "status": asked["word"]})


def _send_event(core: Core, asked: Details) -> None:
    """Take an event, and die before or after it was posted; never is its end written down."""
    (event_id,) = core.store.events_due.due([asked["id"][:2]], 2)[asked["id"][:2]].ids
    if asked["point"] == "taken":
        core.store.events.claim(event_id)
    else:
        core.store.events.finish = lambda *_: _die()  # type: ignore[method-assign]
        core.webhook_sender.send(event_id, lambda: False)
    _die()


_ACTS: Mapping[str, Callable[[Core, Details], None]] = {
    "dispatch": _dispatch,
    "receive": _receive,
    "send_event": _send_event,
}

if __name__ == "__main__":
    main()
