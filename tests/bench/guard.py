"""What the guard of a send costs: calls of the store, and this process's own time."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from otp_service.crypto.tokens import Issue, new_jti
from otp_service.policy import Budget, Guard, Window
from otp_service.policy.limits import Cooldown, Countries
from otp_service.verification.send import SendRequest
from tests.bench.figures import Figure
from tests.support.counters import Counters, asked
from tests.support.numbers import crowd
from tests.support.spine import PatientScripts, open_spine
from tests.support.valkey_server import ValkeyServer

ROOM = tuple(Window(1_000_000, seconds) for seconds in (600, 3600, 86_400))
BUDGETS = (
    "address",
    "session",
    "app",
    "everything",
    "country",
    "unproven",
    "prefix",
    "failures",
    "number",
    "guessing",
    "money",
)


def all_rules() -> Guard:
    """Give every rule with three windows and more, each with room for all."""
    base = Guard(countries=Countries(allow=("*",)), cooldown=Cooldown(ladder=(1,)))
    wide = {name: replace(getattr(base, name), human_check=ROOM[:1], refuse=ROOM) for name in BUDGETS}
    assert all(isinstance(rule, Budget) for rule in wide.values())
    return replace(base, **wide, conversion=replace(base.conversion, sends=1_000_000))


def guarding(rounds: int) -> Iterator[Figure]:
    """Admit sends by every rule there is."""
    server = ValkeyServer(options={"appendfsync": "everysec"})
    try:
        scripts = PatientScripts(server)
        counters, rules, numbers = Counters(scripts, server), all_rules(), crowd()
        own, wall = [], []
        for place in range(rounds):
            ask = asked(next(numbers), address=f"10.0.{place // 250}.{place % 250}", session="s")
            began, cpu = time.perf_counter(), time.process_time()
            decision = counters.charge(rules, ask)
            own.append((time.process_time() - cpu) * 1000)
            wall.append((time.perf_counter() - began) * 1000)
            assert decision.verdict == "allow"
        scripts.close()
        yield Figure("guard of a send, all rules", statistics.median(own), "ms", "CPU of the client")
        yield Figure("  the same", statistics.median(wall), "ms", "in all")
        yield _calls(server, rules)
    finally:
        server.close()


def _calls(server: ValkeyServer, rules: Guard) -> Figure:
    """Count the store's calls of a send beside the one that stores it: of a stranger, and of who names anything."""
    with open_spine(server, guard=rules) as spine, server.client() as client:

        def calls() -> int:
            stats = client.info("commandstats")
            return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

        caller, numbers, backend = replace(spine.caller, address="192.0.2.1"), crowd(), spine.caller
        spine.send.send(caller, SendRequest(to=next(numbers)))
        subject = spine.seal.subject("web", number := next(numbers))
        now = spine.store.facts.time() // 1000
        token = spine.signer.sign_device(subject, Issue(new_jti(), now, spine.signer.kid), audience="web")
        found = []
        for who, request in (
            (caller, SendRequest(to=next(numbers))),
            (caller, SendRequest(to=number, device_token=token)),
            (backend, SendRequest(to=next(numbers), device_token="a.b.c", session="s")),
        ):
            before = calls()
            spine.send.send(who, request)
            found.append(calls() - before - 1)
    assert max(found) <= 2, found
    note = f"{found[1]} with a device token, {found[2]} with a session, too"
    return Figure("store calls of a send's guard", found[0], "calls", note)
