"""Load on one service of this machine, from a process of its own: `generator.mjs` does it, this module orders it.

Knows the orders and what comes back. Must not know which service it is.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

GENERATOR = Path(__file__).with_name("generator.mjs")
ANSWER = '{"status":"200","message":"ok","data":[{"id":"{id}","status":"AWAITING-DLR","charges":1}]}'
"""What the stand-in for the upstream answers."""
_LONGEST = 300
"""Seconds after which a run is ended: far more than the generator's own limits."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a journey. `{to}`, `{challenge_id}` and `{code}` in the body are filled in.

    An answer is right if it has the status `ok` and contains `says`.
    """

    path: str
    body: str
    ok: int = 200
    says: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def order(self) -> dict[str, Any]:
        """Return it as the generator reads it."""
        headers = {"Content-Type": "application/json", **self.headers}
        return {
            "method": "POST",
            "path": self.path,
            "body": self.body,
            "ok": self.ok,
            "says": self.says,
            "headers": headers,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service on a port of this machine, how one journey through it goes, and the ids of its processes.

    Without `verify` a journey is one request. `code` and `to` are patterns for a message at the upstream.
    """

    port: int
    send: Request
    verify: Request | None = None
    upstream_port: int = 0
    to: str = ""
    code: str = ""
    delay: int = 0
    failing: Mapping[str, object] | None = None
    """Which messages the upstream reports as failed, and how it does so: see `upstream.mjs`."""
    store: Path | None = None
    """Socket of the store."""
    pids: Mapping[str, int]

    def slower(self, delay: int) -> "Target":
        """Return it with an upstream that answers after `delay` milliseconds."""
        return replace(self, delay=delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one run saw. Times are in milliseconds, by part of a journey and quantile (p50, p95, p99, most)."""

    journeys: int
    per_second: float
    ms: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, int]
    cpu_ms: Mapping[str, float]
    resident_mib: Mapping[str, float]
    others_cores: float

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU that all processes of the target used for one journey."""
        return sum(self.cpu_ms.values())


_first = iter(range(0, 10_000_000, 100_000))
"""Numbers of different runs differ."""


def run(
    target: Target, *, connections: int = 0, rate: float = 0, seconds: float = 10, warmup: float = 2
) -> Seen:
    """Put load on a target: a closed loop of `connections`, or an open one of `rate` journeys a second."""
    upstream = {
        "port": target.upstream_port,
        "to": target.to,
        "code": target.code,
        "delay": target.delay,
        "failing": target.failing,
        "answer": ANSWER,
    }
    orders = {
        "port": target.port,
        "connections": connections,
        "rate": rate,
        "seconds": seconds,
        "warmup": warmup,
        "prefix": "491511",
        "first": next(_first),
        "send": target.send.order(),
        "verify": target.verify.order() if target.verify else None,
        "upstream": upstream if target.upstream_port else None,
        "pids": target.pids,
    }
    done = subprocess.run(
        [node(), str(GENERATOR)],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = Seen(**json.loads(done.stdout))
    assert seen.journeys, f"nothing came through: {seen.errors}"
    return seen


def node() -> str:
    """Return where Node is. Raises FileNotFoundError if it is not installed."""
    found = shutil.which("node")
    if not found:
        raise FileNotFoundError("the load generator needs Node.js 20")
    return found
