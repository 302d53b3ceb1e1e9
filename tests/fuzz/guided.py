"""Lets a fuzzer that sees which branches an input reaches search for inputs that break a promise of a reader.

`make fuzz ARGS="numbers --seconds 600"` searches, keeps what it finds interesting in `var/fuzz/numbers`, and writes how
far it came to `docs/evidence/guided.json`; `--keep` afterwards takes the few inputs that together reach all of it into
`tests/fuzz/corpus`, where `make test` reads them each time. An input that breaks a promise is shown, kept as
`var/fuzz/numbers-...`, and ends the search with an error.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.fuzz import targets
from tests.house.test_sizes import PROJECT
from tests.prove import evidence

FOUND = PROJECT / "var/fuzz"
OPTIONS = ("-max_len=4096", "-len_control=0", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1")
"""Of libFuzzer: bytes of an input, seconds that one may hang, memory."""
SLOWEST = 2.0
"""Seconds of processor time that one input may take, with the fuzzer's own work in every branch."""


def timed(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Let a check also fail if it takes long."""

    def within_time(raw: bytes) -> None:
        started = time.thread_time()
        check(raw)
        spent = time.thread_time() - started
        assert spent < SLOWEST, f"one input took {spent:.1f} s"

    return within_time


def search(name: str, seconds: int) -> None:
    """Search until the time is over or a promise is broken; ends the process."""
    import atheris  # noqa: PLC0415 - a tool of its own, for this command only

    with atheris.instrument_imports(include=_guided(name)):
        target = targets.load(name)
    from tests.fuzz import kept  # noqa: PLC0415 - what it imports must have been imported under the fuzzer's eyes

    folder, words = FOUND / name, FOUND / f"{name}.words"
    folder.mkdir(parents=True, exist_ok=True)
    for at, raw in enumerate((*target.seeds, *kept.read(name))):
        (folder / f"seed-{at:03d}").write_bytes(raw)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    options = (f"-max_total_time={seconds}", f"-dict={words}", f"-artifact_prefix={FOUND}/{name}-", *OPTIONS)
    atheris.Setup([sys.argv[0], *options, str(folder)], timed(target.check))
    atheris.Fuzz()


def supervise(name: str, seconds: int) -> int:
    """Search in a process of its own, which the fuzzer ends, and record how far it came; gives the exit code."""
    FOUND.mkdir(parents=True, exist_ok=True)
    log, load = FOUND / f"{name}.log", os.getloadavg()[0]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, "--seconds", str(seconds), "--inside"]
    with log.open("wb") as written:
        code = subprocess.run(command, stdout=written, stderr=subprocess.STDOUT, check=False).returncode
    said = log.read_text(errors="replace")
    if code:
        sys.stdout.write(said[-4000:])
    else:
        record(name, said, evidence.about(f'make fuzz ARGS="{name} --seconds {seconds}"', load))
    return code


def record(name: str, said: str, about: dict[str, Any]) -> None:
    """Write how far a search came, as the fuzzer said at its end."""
    runs, seconds = re.findall(r"Done (\d+) runs in (\d+) second", said)[-1]
    branches = re.findall(r"DONE +cov: (\d+)", said)[-1]
    path = evidence.FOLDER / "guided.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    about["atheris"] = version("atheris")
    known[name] = {"about": about, "seconds": int(seconds), "runs": int(runs), "branches": int(branches)}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{name}: {runs} runs in {seconds} s, {branches} branches, no promise broken\n")


def take_into_corpus(name: str) -> None:
    """Take the few inputs that reach all that the search reached."""
    from tests.fuzz import kept  # noqa: PLC0415 - as above

    target = targets.load(name)
    found = [path.read_bytes() for path in sorted((FOUND / name).glob("*"))]
    chosen = kept.choose(target, (*found, *target.seeds, *kept.read(name)))
    kept.write(name, chosen)
    sys.stdout.write(f"{name}: {len(chosen)} of {len(found)} inputs, {sum(map(len, chosen))} bytes\n")


def _guided(name: str) -> list[str]:
    """Read which modules a target names, without importing them: what was imported before is not guided."""
    source = ast.parse((Path(targets.__file__).parent / f"{name}.py").read_text())
    named = next(
        one.value
        for one in source.body
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "GUIDED"
    )
    return list(ast.literal_eval(named))


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def main(arguments: Sequence[str]) -> int:
    """Search, or keep what was found; gives the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description=__doc__)
    parser.add_argument("target", choices=targets.NAMES)
    parser.add_argument("--seconds", type=int, default=600, help="time of the search; default: 600")
    parser.add_argument("--keep", action="store_true", help="take what was found into tests/fuzz/corpus")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.keep:
        take_into_corpus(asked.target)
    elif asked.inside:
        search(asked.target, asked.seconds)
    else:
        return supervise(asked.target, asked.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
