"""A process of the product that dies by SIGKILL at a point; `doomed` starts one and sees that it died.

The child is `python -m tests.support.fault_child` and reads from standard input, pickled, what it is to be and do.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping

from flask import Response

from otp_service import bootstrap
from otp_service.bootstrap import Core
from otp_service.http import app as http_app
from tests.support.patience import PATIENCE

Asked = Mapping[str, str]


def doomed(core: Core, text: str, act: str, **asked: str) -> None:
    """Let another process like `core` do one act and die at the point `asked` names."""
    order = pickle.dumps((core.settings, text, core.scripts.offset, act, asked))
    command = [sys.executable, "-m", "tests.support.fault_child"]
    ended = subprocess.run(command, input=order, capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == -signal.SIGKILL, (ended.returncode, ended.stderr.decode())


def main() -> None:
    """Do what was asked; it ends by itself only where the point is never reached."""
    settings, text, offset, act, asked = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent's
    point = asked.get("point")

    def reach(name: str) -> None:
        if name == point:
            _die()

    core = bootstrap.build(settings, text, threads=4, hash_slots=1, role="test", offset=offset, reach=reach)
    _ACTS[act](core, asked)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _attend(core: Core, asked: Asked) -> None:
    core.courier.attend(asked["id"], lambda: False)


def _receive(core: Core, asked: Asked) -> None:
    """Take a pushed report in, and die with its answer in hand, or before it was looked at."""
    web = http_app.web(core, lambda: b"")

    def at_the_door() -> None:
        if asked["point"] == "arrived":
            _die()

    def at_the_end(response: Response) -> Response:
        _die()
        return response

    web.before_request(at_the_door)
    web.after_request(at_the_end)
    web.test_client().post(asked["path"], json={"id": asked["upstream_id"], "status": asked["word"]})


def _herald(core: Core, asked: Asked) -> None:
    """Take an event, and die before or after it was posted; never is its end written down."""
    (event_id,) = core.store.events_due.due(asked["id"][:2], 2).ids
    if asked["point"] == "taken":
        core.store.events.claim(event_id)
    else:
        core.store.events.finish = lambda *_: _die()  # type: ignore[method-assign]
        core.herald.attend(event_id, lambda: False)
    _die()


_ACTS: Mapping[str, Callable[[Core, Asked], None]] = {
    "attend": _attend,
    "receive": _receive,
    "herald": _herald,
}

if __name__ == "__main__":
    main()
