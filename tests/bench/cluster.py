"""What a cluster of the store can carry: pairs over HTTP, the ceiling of each primary, and what ends first.

On one machine all servers share its cores, so pairs a second do not grow with primaries. What tells is how much of a
core each server takes for a pair of a send and a check: the fullest one ends first, on however many machines.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from otp_service.policy import Budget, Guard, Window
from otp_service.policy.limits import RULES, Countries
from tests.bench.drawing import Curve, draw
from tests.bench.figures import Figure
from tests.bench.guard import all_rules
from tests.bench.load import run
from tests.bench.replay import PARTITIONS, Act, Exchange, record, replayed
from tests.bench.services import product
from tests.support.deployments import Cluster

CONNECTIONS = 32
ROUNDS = 5
"""Of each replay. The least disturbed one counts: other load on the machine only ever makes work take longer."""
OPTIONS = {"appendfsync": "everysec"}
OF_NUMBER = ("failures", "consecutive", "cooldown", "number", "standing", "suppression", "recycled")
"""Rules whose counters and lists are of one number, and could share a slot of that number."""
ALL = tuple(range(1, 9))
"""Primaries for which the picture shows what follows from what was measured."""
Chosen = Callable[[Exchange], bool]


def roomy() -> Guard:
    """Give the default rules, with room for all."""
    base = Guard(countries=Countries(allow=("*",)))
    wide = {
        name: replace(rule, human_check=_wider(rule.human_check), refuse=_wider(rule.refuse))
        for name, rule in base.rules().items()
        if isinstance(rule, Budget)
    }
    return replace(base, **wide, conversion=replace(base.conversion, sends=1_000_000))  # type: ignore[arg-type]  # each is of its own kind


def _wider(windows: Sequence[Window]) -> tuple[Window, ...]:
    return tuple(Window(1_000_000, window.seconds) for window in windows)


def _without(names: Sequence[str]) -> Guard:
    """Give the same with some rules off."""
    rules = roomy()
    return replace(rules, **{name: replace(getattr(rules, name), mode="off") for name in names})


def clustered(seconds: float, pairs: int, path: str, counts: Sequence[int] = (1, 2, 3)) -> Iterator[Figure]:
    """Measure so many primaries, each with a replica: over HTTP, and so many recorded pairs at one after another."""
    points, took = [], {}
    for count in counts:
        with closing(_replicated(count)) as cluster:
            yield from _over_http(cluster, seconds)
            acts = record(cluster.url, roomy(), pairs)
            each = _seconds(cluster, acts, lambda _: True)
            points.append((count, pairs / max(each)))
            yield Figure(f"{count} primaries take", pairs / max(each), "pairs/s", _ceilings(each, pairs))
            if count == counts[-1]:
                took = {kind: sum(_seconds(cluster, acts, _of(kind))) / pairs for kind in KINDS}
                yield from _parts(acts, took)
                yield from _of_rules(cluster, pairs, took["guard"])
    _draw(path, points, took)


def _replicated(primaries: int) -> Cluster:
    made = Cluster(primaries, OPTIONS)
    for node in made.nodes:
        made.add_replica(node)
    return made


def _over_http(cluster: Cluster, seconds: float) -> Iterator[Figure]:
    """Put load on the product beside a cluster, and read what each of its servers takes."""
    servers = {f"primary {place}": node.pid for place, node in enumerate(cluster.nodes, 1)}
    servers |= {f"replica {place}": node.pid for place, node in enumerate(cluster.replicas, 1)}
    with product("fast", OTP_REDIS_URL=cluster.url) as target:
        pids = {name: target.pids[name] for name in ("api", "worker")} | servers
        seen = run(replace(target, pids=pids), connections=CONNECTIONS, seconds=seconds)
    name = f"fast beside {len(cluster.nodes)} primaries, {CONNECTIONS} connections"
    yield Figure(name, seen.per_second, "pairs/s", "all servers share the cores of this machine")
    each = {part: seen.cpu_ms[part] for part in servers}
    most = max(each.values())
    yield Figure(
        f"  CPU of a pair, the fullest server, {name}",
        most,
        "ms",
        ", ".join(f"{part} {value:.2f}" for part, value in each.items()),
    )


def _seconds(cluster: Cluster, acts: Sequence[Act], chosen: Chosen) -> list[float]:
    """Return the seconds of a core that each primary takes for what is chosen of so many acts, alone at full speed."""
    found: list[list[float]] = [[] for _ in cluster.nodes]
    for _ in range(ROUNDS):
        for node in cluster.nodes:
            node.client().flushall()
        for place, node in enumerate(cluster.nodes):
            own = [
                [one for one in act if cluster.holder_of(one.slot) is node and chosen(one)] for act in acts
            ]
            found[place].append(replayed(node, own).cpu)
    return [min(each) for each in found]


KINDS = ("guard", "partition", "account", "other")


def _of(kind: str) -> Chosen:
    return lambda one: one.kind == kind


def _ceilings(each: Sequence[float], pairs: int) -> str:
    """Name the pairs a second at which one core of each primary is full."""
    return "one core of each is full at " + ", ".join(f"{pairs / one:,.0f}" for one in each)


def _parts(acts: Sequence[Act], took: dict[str, float]) -> Iterator[Figure]:
    """Say what a pair asks of the slots, and when one slot fills a core: that of the guard, then the next ones."""
    calls = {kind: sum(one.kind == kind for act in acts for one in act) / len(acts) for kind in KINDS}
    yield Figure(
        "calls of a pair",
        sum(calls.values()),
        "calls",
        ", ".join(f"{kind} {value:.1f}" for kind, value in calls.items()),
    )
    total = sum(took.values())
    shares = ", ".join(f"{kind} {value / total:.0%}" for kind, value in took.items())
    yield Figure("  CPU of a pair, all primaries", total * 1000, "ms", shares)
    yield Figure("the guard's slot fills a core at", 1 / took["guard"], "pairs/s")
    yield Figure("an account's breakers fill a core at", 1 / took["account"], "pairs/s", "all by one account")
    yield Figure(
        "a partition fills a core at", PARTITIONS / took["partition"], "pairs/s", f"one of {PARTITIONS}"
    )


def _of_rules(cluster: Cluster, pairs: int, guard: float) -> Iterator[Figure]:
    """Say what other rules change, and what it would change if a number's counters had a slot of their own."""
    guards = _of("guard")

    def seconds(rules: Guard, chosen: Chosen = guards) -> float:
        return sum(_seconds(cluster, record(cluster.url, rules, pairs), chosen)) / pairs

    yield Figure("  with three windows in each rule at", 1 / seconds(all_rules()), "pairs/s")
    listed = ":x:"  # in the key of the suppression list, which is a number's
    common = seconds(_without(OF_NUMBER), lambda one: one.kind == "guard" and listed not in one.key)
    number = seconds(_without([name for name in RULES if name not in OF_NUMBER]))
    yield Figure(
        "  without the counters of numbers at",
        1 / common,
        "pairs/s",
        f"{guard / common:.2f} times as many; all slots together {(common + number) / guard:.2f} times the CPU",
    )


def _draw(path: str, points: Sequence[tuple[float, float]], took: dict[str, float]) -> None:
    guard, rest = took["guard"], sum(took.values()) - took["guard"]
    draw(
        path,
        title="What the fullest primary of a cluster takes",
        across="primaries",
        up="pairs a second",
        names_at=240,
        curves=[
            Curve("measured", points),
            Curve("slots divided evenly", [(count, 1 / (guard + rest / count)) for count in ALL]),
            Curve(
                "the guard's slot on a primary of its own",
                [(count, min(1 / guard, (count - 1) / rest)) for count in ALL[1:]],
            ),
        ],
    )
