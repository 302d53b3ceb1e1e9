"""The inputs that are kept of guided fuzzing: few, small, and together they reach all that the search reached.

Must not hold a number that somebody may have: what the fuzzer makes up is a number by chance.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from otp_service import phone, typed
from otp_service.errors import Invalid
from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
MOST, MOST_BYTES = 60, 20_000
"""Inputs of one target, and their bytes together."""
RESERVED = re.compile(
    r"\+1[2-9][0-9]{2}55501[0-9]{2}"  # North America
    r"|\+447700900[0-9]{3}"  # Ofcom
    r"|\+3363998[0-9]{4}"  # Arcep
    r"|\+61491570(?:006|110|15[6-9]|266|313|491|737|804)"  # ACMA
    r"|\+46701740(?:60[5-9]|6[1-9][0-9])"  # PTS
)
"""Numbers that the owners of numbering plans keep for fiction: nobody has them."""
_DIGITS = re.compile(r"[0-9][0-9 ().,/\n\r\t-]{4,}[0-9]")
Arc = tuple[str, int, int]


def read(name: str) -> list[bytes]:
    """Read the inputs of a target, one bytes literal of Python in a line."""
    path = CORPUS / f"{name}.txt"
    return [ast.literal_eval(line) for line in path.read_text().splitlines()] if path.exists() else []


def write(name: str, inputs: Iterable[bytes]) -> None:
    """Write the inputs of a target."""
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.txt").write_text("".join(f"{raw!r}\n" for raw in inputs))


def choose(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Choose inputs that reach together what all of them reach: each time the one that adds most, then the shortest."""
    reached = {raw: reached_by(target, raw) for raw in set(inputs) if not numbers_in(raw)}
    chosen: list[bytes] = []
    known: set[Arc] = set()
    while len(chosen) < MOST:
        left = MOST_BYTES - sum(map(len, chosen))
        fitting = [raw for raw in reached if len(raw) <= left]
        best = max(fitting, key=lambda raw: (len(reached[raw] - known), -len(raw), raw), default=b"")
        if not reached.get(best, set()) - known:
            break
        known |= reached[best]
        chosen.append(best)
    return sorted(chosen)


def reached_by(target: Target, raw: bytes) -> set[Arc]:
    """Return each step from one line to another in the guided modules that an input takes."""
    files = {
        str(module.__file__)
        for name, module in sys.modules.items()
        if any(name == guided or name.startswith(f"{guided}.") for guided in target.guided)
    }
    arcs: set[Arc] = set()
    target.check(raw)  # what is computed once for all inputs is not this one's
    before = sys.gettrace()
    sys.settrace(_tracer(files, arcs))
    try:
        target.check(raw)
    finally:
        sys.settrace(before)
    return arcs


def _tracer(files: set[str], arcs: set[Arc]) -> Callable[[FrameType, str, Any], Any]:
    def enter(frame: FrameType, _event: str, _argument: object) -> object:
        name = frame.f_code.co_filename
        if name not in files:
            return None
        last = -frame.f_code.co_firstlineno

        def step(frame: FrameType, event: str, _argument: object) -> object:
            nonlocal last
            if event in {"line", "return"}:
                now = frame.f_lineno if event == "line" else -frame.f_code.co_firstlineno
                arcs.add((name, last, now))
                last = now
            return step

        return step

    return enter


def numbers_in(raw: bytes) -> list[str]:
    """List the numbers that an input names, in any spelling that anything here reads, and that somebody may have.

    Digits that spell a reserved number are that one, although they may be another one elsewhere.
    """
    text = raw.decode("utf-8", "ignore")
    head, _, rest = text.partition("\n")
    named = [set(_read(rest, (head.removesuffix("?") or None, None)))]
    runs = _DIGITS.findall(typed.digits(text)) + _DIGITS.findall(text)
    named += [set(_read(re.sub("[^0-9]", "", run), ("US", None))) for run in runs]
    return sorted(number for found in named if not any(map(RESERVED.fullmatch, found)) for number in found)


def _read(text: str, countries: Sequence[str | None]) -> Iterable[str]:
    for country in countries:
        for possible in (False, True):
            try:
                yield phone.parse(text, country, possible=possible).e164
            except Invalid:
                continue
    try:
        yield phone.parse_international(text).e164
    except Invalid:
        return
