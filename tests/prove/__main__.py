"""Prove the headline figures: one command for each, JSON and a picture of each in docs/evidence.

make prove                      all of them, about an hour
make prove ARGS=races           one of them: races, pumping, fallback, load, alerts or faults
make prove ARGS="load --smoke"  in seconds and into a folder that is thrown away, to see that it works
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.bench.drawing import draw_bars
from tests.bench.figures import Figure, show, verdict
from tests.prove import alerts, evidence, fallback, faults, load, page, pumping, races
from tests.prove.evidence import Claim

Measure = Callable[[str], Iterator[Figure]]
"""Measures and yields figures; draws its picture to a path, unless bars of the figures are drawn afterwards."""


def measures(*, smoke: bool) -> Mapping[str, tuple[Claim, Measure]]:
    """List the claims, each with how it is measured."""
    raced = (2000, 2, 180) if smoke else (1_000_000, 200, 10_000)
    pumped = (20, 200) if smoke else (1000, 10_000)
    seconds = 1 if smoke else 8
    shares = (fallback.SHARE,) if smoke else fallback.CURVE
    return {
        "races": (
            races.CLAIM,
            lambda _: races.racing(scripts=raced[0], promotions=raced[1], over_http=raced[2]),
        ),
        "pumping": (pumping.CLAIM, lambda _: pumping.pumping(people=pumped[0], numbers=pumped[1])),
        "fallback": (fallback.CLAIM, partial(fallback.falling_back, seconds, shares=shares)),
        "faults": (faults.CLAIM, partial(faults.failing, 0.2 if smoke else 30)),
        "alerts": (alerts.CLAIM, partial(alerts.alerting, names=1 if smoke else len(alerts.FAULTS))),
        "load": (load.CLAIM, partial(load.loading, seconds, whole=not smoke)),
    }


def prove(name: str, claim: Claim, measure: Measure, folder: Path, command: str) -> bool:
    """Measure one claim, keep the evidence, and tell whether it holds."""
    print(f"-- {claim.title}", flush=True)
    before = os.getloadavg()[0]
    picture = folder / f"{name}.svg"
    found = list(show(measure(str(picture)), {}))
    if name == "races":
        tries = [(place, [_value(found, f"tries, {place}")]) for place in races.PLACES]
        draw_bars(str(picture), title=f"{claim.title}: raced tries", series=("tries",), rows=tries)
    elif name == "pumping":
        draw_bars(
            str(picture), title=f"{claim.title}: one hour", series=pumping.SHOWN, rows=pumping.rows(found)
        )
    evidence.write(folder, claim, found, evidence.about(command, before))
    print("", *verdict(found), "", sep="\n", flush=True)
    return all(one.reached for one in found)


def _value(found: list[Figure], name: str) -> float:
    return next(one.value for one in found if one.name == name)


def main() -> int:
    """Prove what is asked for; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="make prove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which figures; all if omitted")
    parser.add_argument("--smoke", action="store_true", help="run briefly and keep nothing")
    options = parser.parse_args()
    known = measures(smoke=options.smoke)
    if unknown := set(options.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing that was started stays
    logging.disable()  # of what is measured in this process
    held = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if options.smoke else evidence.FOLDER
        for name in options.names or known:
            held &= prove(name, *known[name], folder, f"make prove ARGS={name}")
    if not options.smoke:
        page.write_all()
    return 0 if held or options.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
