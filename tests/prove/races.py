"""Races: codes, guesses and tokens that many use at the same moment, in every kind of deployment.

At the scripts each try is one caller's part of a check or a redemption, without HTTP and hashing; over HTTP it is a
whole request. A try that wins a second time, or a guess beyond those allowed, is what must not happen.
"""

import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from otp_service.bootstrap.stores import Stores
from otp_service.challenge.model import State
from tests.bench.figures import Figure
from tests.prove.evidence import Claim
from tests.support.demo_process import Demo
from tests.support.deployments import Cluster
from tests.support.numbers import crowd
from tests.support.spine import PLAN, brought, opened
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at
from tests.system.promotions import AT_ONCE, promote

CROWD = 60
"""Tries at one code, one challenge and one token each."""
THREADS, PROCESSES = 12, 2
KINDS = {"verified": "codes verified twice", "wrong": "guesses too many", "redeemed": "tokens spent twice"}
ALLOWED = {"verified": 1, "wrong": PLAN.max_attempts, "redeemed": 1}
PLACES = ("scripts, one server", "scripts, cluster of three", "promotions of a replica", "HTTP")
CLAIM = Claim(
    "races",
    "Nothing is used twice",
    "{} raced tries at the scripts, {} on a cluster, {} across promotions and {} over HTTP: "
    "{} codes verified twice, {} guesses too many, {} tokens spent twice",
    (*(f"tries, {place}" for place in PLACES), *(f"{what}, in all" for what in KINDS.values())),
)


def racing(*, scripts: int, promotions: int, over_http: int) -> Iterator[Figure]:
    """Race so many tries at the scripts, a tenth of them on a cluster, across so many promotions, and over HTTP."""
    excess = Counter[str]()
    races: Sequence[Callable[[], tuple[int, Counter[str]]]] = (
        lambda: _on_one_server(scripts),
        lambda: _on_a_cluster(scripts // 10),
        lambda: _across(promotions),
        lambda: _over_http(over_http),
    )
    for place, race in zip(PLACES, races, strict=True):
        tries, found = race()
        excess += found
        yield Figure(
            f"tries, {place}", tries, "tries", "; ".join(f"{n} {KINDS[k]}" for k, n in found.items())
        )
    for kind, words in KINDS.items():
        yield Figure(f"{words}, in all", excess[kind], "", "must be none", most=0)


def _on_one_server(tries: int) -> tuple[int, Counter[str]]:
    with closing(ValkeyServer()) as server:
        return _at_scripts(server.url, tries)


def _on_a_cluster(tries: int) -> tuple[int, Counter[str]]:
    with closing(Cluster()) as cluster:
        return _at_scripts(cluster.url, tries)


def _at_scripts(url: str, tries: int) -> tuple[int, Counter[str]]:
    """Let processes race, each with its own challenges, so that all cores work."""
    rounds = -(-tries // (3 * CROWD * PROCESSES))
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(race_at_scripts, [url] * PROCESSES, [rounds] * PROCESSES))
    return 3 * CROWD * PROCESSES * rounds, sum(found, Counter())


def race_at_scripts(url: str, rounds: int) -> Counter[str]:
    """Race for so many codes, challenges and tokens; give what was used too often."""
    scripts = scripts_at(url, connections=THREADS)
    store, excess = Stores(scripts, prefix=f"t{secrets.token_hex(6)}", partitions=16), Counter[str]()
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(rounds):
            right, wrong = opened(store).id, opened(store).id
            brought(store, right)
            brought(store, wrong)
            excess += _excess(_crowd(pool, lambda _, id_=right: _verify(store, id_)))  # type: ignore[misc]
            excess += _excess(_crowd(pool, lambda _, id_=wrong: _guess(store, id_)))  # type: ignore[misc]
            token = f"token {number}"
            excess += _excess(
                _crowd(pool, lambda _, token=token: "redeemed" * store.facts.use_once(token, 60))  # type: ignore[misc]
            )
    scripts.close()
    return excess


def _verify(store: Stores, id_: str) -> str:
    if store.challenges.take_attempt(id_, "web", 6)[0] != "counted":
        return ""
    return "verified" if store.challenges.finish(id_, "web", State.VERIFIED, 0)[1] else ""


def _guess(store: Stores, id_: str) -> str:
    return "wrong" if store.challenges.take_attempt(id_, "web", 6)[0] == "counted" else ""


def _across(rounds: int) -> tuple[int, Counter[str]]:
    """Promote a replica in the middle of each race, with a link cut; one acknowledgement is waited for."""
    tally = promote(rounds)
    words = {"verified": "verified", "wrong_code": "wrong", "redeemed": "redeemed"}
    return 6 * AT_ONCE * tally.rounds, Counter(words[what] for what in tally.twice)


def _over_http(tries: int) -> tuple[int, Counter[str]]:
    """Race whole requests at a demo: two processes of the API, workers, the sandbox."""
    rounds, excess = -(-tries // (3 * CROWD)), Counter[str]()
    numbers = crowd()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Demo(Path(folder), verbose=False)) as demo,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        for _ in range(rounds):
            excess += _race_over_http(demo, pool, next(numbers), next(numbers))
    return 3 * CROWD * rounds, excess


def _race_over_http(demo: Demo, pool: Executor, right: str, wrong: str) -> Counter[str]:
    excess, tokens = Counter[str](), list[str]()

    def verify(to: str, id_: str, code: str) -> str:
        answer = demo.call("POST", "/otp/verify", {"challenge_id": id_, "code": code}, key="secret_key")
        if answer.status_code == 200:
            tokens.append(answer.json()["token"])
            return "verified"
        return "wrong" if answer.json()["code"] == "wrong_code" else ""

    for to, add in ((right, 0), (wrong, 1)):
        id_ = demo.call("POST", "/otp/send", {"to": to}, key="secret_key").json()["challenge_id"]
        code = f"{(int(demo.code(to)) + add) % 1_000_000:06d}"
        excess += _excess(_crowd(pool, lambda _, at=(to, id_, code): verify(*at)))  # type: ignore[misc]

    def redeem(_: int) -> str:
        answer = demo.call("POST", "/otp/token/redeem", {"token": tokens[0]}, key="secret_key")
        return "redeemed" if answer.status_code == 200 else ""

    return excess + _excess(_crowd(pool, redeem))


def _crowd(pool: Executor, act: Callable[[int], str]) -> Counter[str]:
    return Counter(filter(None, pool.map(act, range(CROWD))))


def _excess(found: Counter[str]) -> Counter[str]:
    """Return by how much each kind is beyond what is allowed. What did not happen at all is an error of the race."""
    assert found, "nobody won"
    return Counter({kind: count - ALLOWED[kind] for kind, count in found.items() if count > ALLOWED[kind]})
