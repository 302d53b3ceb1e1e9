"""The faults of a soak, and the plan of them that follows from a seed: what breaks, and for how long."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from otp_service.sandbox import Outcome
from otp_service.sandbox.outcomes import Selection
from tests.conftest import OPS
from tests.soak.stand import Stand
from tests.support.deployments import ask, leads
from tests.support.patience import until

FILLER = "filler"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `lasts` is for how long it may last, from and to (seconds); 0 for what is over at once."""

    name: str
    inject: Callable[[Stand, random.Random, float], None]
    lasts: tuple[float, float] = (0, 0)
    needs_disk: bool = False
    """Whether it needs a disk of the store's own, which only root can mount."""


def _kill(kind: str) -> Callable[[Stand, random.Random, float], None]:
    def kill(stand: Stand, dice: random.Random, _: float) -> None:
        stand.restart(f"{kind}-{dice.randrange(2)}", signal.SIGKILL)
        until(stand.is_ready)

    return kill


def _stop(kind: str) -> Callable[[Stand, random.Random, float], None]:
    def stop(stand: Stand, dice: random.Random, seconds: float) -> None:
        process = stand.processes[f"{kind}-{dice.randrange(2)}"]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    return stop


def _restart_all(stand: Stand, dice: random.Random, _: float) -> None:
    names = stand.names()
    dice.shuffle(names)
    for name in names:
        stand.restart(name, signal.SIGTERM)
        until(stand.is_ready)


def _reload(stand: Stand, _: random.Random, __: float) -> None:
    stand.reload()


def _freeze_store(stand: Stand, _: random.Random, seconds: float) -> None:
    leading = stand.servers()[0]
    leading.freeze()
    time.sleep(seconds)
    leading.thaw()
    until(stand.mended)


def _promote(stand: Stand, _: random.Random, __: float) -> None:
    """Kill the server that takes writes. Its successor is waited for, and it comes back as a replica."""
    until(stand.mended)
    leading, other = stand.servers()
    leading.kill()
    until(lambda: leads(other))  # which may be too busy to say so at first
    stand.bring_back(leading)
    until(stand.mended)


def _cut_links(stand: Stand, _: random.Random, __: float) -> None:
    with suppress(RedisError):
        ask(stand.servers()[0], "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _lose_replies(stand: Stand, _: random.Random, seconds: float) -> None:
    """Hold all scripts for longer than a caller waits: they run, and nobody hears of it."""
    ask(stand.servers()[0], "CLIENT", "PAUSE", int(seconds * 1000), "WRITE")
    time.sleep(seconds)


def _flush_scripts(stand: Stand, _: random.Random, __: float) -> None:
    ask(stand.servers()[0], "SCRIPT", "FLUSH")


def _slow_upstream(stand: Stand, _: random.Random, seconds: float) -> None:
    stand.upstream.seconds = 2.0
    time.sleep(seconds)
    stand.upstream.seconds = 0.0


def _fail_upstream(stand: Stand, dice: random.Random, seconds: float) -> None:
    outcomes = stand.upstream.app.extensions["sandbox"].outcomes
    outcome = dice.choice(
        (Outcome.REFUSED, Outcome.UNDELIVERED, Outcome.TIMEOUT_AFTER_ACCEPT, Outcome.SILENT)
    )
    selected = Selection("*", dice.choice(("sms", "whatsapp")))
    outcomes.force(selected, outcome)
    time.sleep(seconds)
    outcomes.release(selected)


def _fill_disk(stand: Stand, _: random.Random, seconds: float) -> None:
    """Leave no room for the append-only file: who takes writes refuses them until there is some, a replica ends."""
    assert stand.disk is not None
    filler = stand.disk / FILLER
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * CHUNK)
            file.flush()
    time.sleep(seconds)
    filler.unlink()
    until(stand.mended)


def _step_clocks(stand: Stand, dice: random.Random, seconds: float) -> None:
    stand.move_clocks(dice.choice((-3600.0, -30.0, 30.0, 3600.0)))
    time.sleep(seconds)
    stand.move_clocks(0)


def _change_policy(stand: Stand, dice: random.Random, _: float) -> None:
    def applied() -> bool:
        with suppress(OSError, ValueError):
            answer = stand.call("GET", "/ops/policy", key=OPS)
            if not answer.ok:
                return False
            held = answer.json()
            text = held["text"].replace(
                held["text"].split('wait = "')[1].split('"')[0], f"{dice.randrange(4, 9)}s"
            )
            return stand.call("PUT", "/ops/policy", {"text": text, "reason": "soak"}, key=OPS).ok
        return False

    until(applied)


def _rotate(stand: Stand, dice: random.Random, _: float) -> None:
    stand.rotate(dice.choice(("OTP_PEPPERS", "OTP_SIGNING_KEYS")))


PLANNED = ("rolling restart", "reload", "policy change", "key rotation")
"""What is no fault, but done on purpose."""
LOSING = frozenset({"kill -9 of an API process"})
"""Faults in which a call may stay without an answer."""
FAULTS = (
    Fault("kill -9 of an API process", _kill("serve")),
    Fault("kill -9 of a worker", _kill("worker")),
    Fault("stopped API process", _stop("serve"), (1, 6)),
    Fault("stopped worker", _stop("worker"), (1, 12)),
    Fault("rolling restart", _restart_all),
    Fault("reload", _reload),
    Fault("stopped store", _freeze_store, (0.2, 4)),
    Fault("kill -9 of the store, promotion", _promote),
    Fault("cut links to the store", _cut_links),
    Fault("lost replies of the store", _lose_replies, (1.5, 3)),
    Fault("flushed scripts", _flush_scripts),
    Fault("slow upstream", _slow_upstream, (2, 8)),
    Fault("failing upstream", _fail_upstream, (2, 8)),
    Fault("full disk of the store", _fill_disk, (1, 4), needs_disk=True),
    Fault("clock steps", _step_clocks, (1, 6)),
    Fault("policy change", _change_policy),
    Fault("key rotation", _rotate),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a plan, after a pause (seconds)."""

    fault: Fault
    pause: float
    lasts: float
    seed: int


def plan(seed: int, faults: Sequence[Fault] = FAULTS) -> Iterator[Step]:
    """Draw faults without end; the same seed gives the same ones. Each kind comes once before any comes again."""
    dice = random.Random(seed)
    known = list(faults)
    while True:
        dice.shuffle(known)
        for fault in known:
            yield Step(fault, dice.uniform(0.5, 3), dice.uniform(*fault.lasts), dice.randrange(1 << 30))
