"""Print what the product costs on this machine: one table, and the same as JSON. `--smoke` runs each part briefly.

make bench
make bench ARGS="--part throughput --against earlier.json"
make bench ARGS="--receipts 100000"
make bench ARGS="--part stories --stories 1000000"
"""

import argparse
import itertools
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from otp_service import __version__
from otp_service.crypto.code_hashes import PROFILES
from tests.bench import figures, throughput
from tests.bench.cluster import clustered
from tests.bench.costs import checking, hashing, memory, reaching
from tests.bench.fallback import falling_back
from tests.bench.figures import Figure
from tests.bench.growth import COUNTS, SOON, growing
from tests.bench.guard import guarding
from tests.bench.mistake import mistaken
from tests.bench.overload import overloaded
from tests.bench.receipts import receiving
from tests.bench.resident import idling, staying
from tests.bench.start import starting
from tests.bench.stories import finding

Part = Callable[[], Iterator[Figure]]
BOTH = ("fast", "owasp")
GROWN = "var/bench/growth.svg"
CLUSTER = "var/bench/cluster.svg"
OVERLOAD = {"fast": 20, "owasp": 58}
"""Seconds of the overload, by profile."""
MOST_SECONDS = 600
"""That a whole run may take."""
DRAWN = "var/bench/latency-{profile}.svg"


def parts(options: argparse.Namespace) -> Mapping[str, Part]:
    """Name the parts of a run, in their order."""
    scale = 1 if options.smoke else 20
    seconds = 1 if options.smoke else 6
    profiles = BOTH[:1] if options.smoke else BOTH
    loads = throughput.CONNECTIONS[:1] if options.smoke else throughput.CONNECTIONS
    shares = throughput.CURVE[:1] if options.smoke else throughput.CURVE

    def each(act: Callable[[str], Iterator[Figure]]) -> Part:
        return lambda: itertools.chain.from_iterable(map(act, profiles))

    return {
        "costs": lambda: itertools.chain(
            hashing(scale), checking(scale * 5, options.profile), memory(scale * 50), guarding(scale * 50)
        ),
        "fallback": lambda: falling_back(max(1, scale // 2), options.profile),
        "receipts": lambda: receiving(options.receipts or scale * 125),
        "stories": lambda: finding(options.stories or scale * 1000, scale * 5),
        "mistake": lambda: mistaken(2 if options.smoke else 40),
        "reach": lambda: reaching(scale * 2, options.profile),
        "growth": lambda: growing(
            "fast", seconds, GROWN, *(((100, 1000, 10_000), 10) if options.smoke else (COUNTS, SOON))
        ),
        "cluster": lambda: clustered(
            min(seconds, 4), scale * 100, CLUSTER, *(((3,),) if options.smoke else ())
        ),
        "frame": lambda: throughput.frame(seconds, loads[:2]),
        "throughput": each(lambda profile: throughput.pairs(profile, seconds, loads)),
        "peer": lambda: iter(()) if options.smoke else throughput.peers(seconds),
        "curve": each(
            lambda profile: throughput.curve(profile, min(seconds, 4), DRAWN.format(profile=profile), shares)
        ),
        "overload": each(lambda profile: overloaded(profile, 2 if options.smoke else OVERLOAD[profile])),
        "idle": lambda: idling(seconds * 5),
        "start": lambda: starting(1 if options.smoke else 5),
        "memory": lambda: staying("owasp", options.minutes * 60 or seconds * 2),
        "slow": lambda: throughput.slow_upstream("fast", seconds, loads[-1]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run briefly, to see that it works")
    parser.add_argument("--part", action="append", help="run only this part; may be repeated")
    parser.add_argument("--against", type=Path, metavar="FILE", help="show ratios to an earlier run's JSON")
    parser.add_argument(
        "--json", type=Path, default=Path("var/bench/figures.json"), help="where to write JSON"
    )
    parser.add_argument(
        "--profile", default="owasp", choices=[name for name in PROFILES if name != "testing"]
    )
    parser.add_argument(
        "--minutes", type=int, default=0, help="how long the memory is watched (else some seconds)"
    )
    parser.add_argument("--receipts", type=int, default=0, metavar="COUNT", help="receipts to push")
    parser.add_argument("--stories", type=int, default=0, metavar="COUNT", help="stories to keep")
    return parser.parse_args()


def _about() -> dict[str, str]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv[1:]),
    }


def _run(name: str, part: Part) -> Iterator[Figure]:
    """Run one part. A tool that is missing is named, and the other parts go on."""
    print(f"-- {name}", flush=True)
    try:
        yield from part()
    except FileNotFoundError as error:
        print(f"left out: {error}", flush=True)


def main() -> None:
    """Print the table and write it as JSON."""
    started = time.perf_counter()
    options = _options()
    logging.disable()  # of what is measured in this process
    earlier = figures.read(options.against) if options.against else {}
    known = parts(options)
    chosen = options.part or list(known)
    if unknown := set(chosen) - set(known):
        raise SystemExit(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    found = list(
        figures.show(itertools.chain.from_iterable(_run(name, known[name]) for name in chosen), earlier)
    )
    compared = throughput.against_peers({one.name: one.value for one in found})
    found += figures.show(compared, earlier)
    if not options.part and not options.minutes:
        took = Figure("all parts", time.perf_counter() - started, "s", most=MOST_SECONDS)
        found += figures.show([took], earlier)
    print("", *figures.verdict(found), sep="\n", flush=True)
    figures.write(options.json, found, _about())


if __name__ == "__main__":
    main()
