"""What guided fuzzing tries: five readers of what strangers, vendors and operators write.

Each module of this folder is a target. `check` reads one input and raises AssertionError if a promise of its reader
does not hold; `SEEDS` are inputs to begin with, `WORDS` what a random change may insert, `GUIDED` the modules in which
new branches count as progress. Must not know the fuzzer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

NAMES = ("numbers", "reports", "answers", "policies", "bodies")
"""Phone numbers, delivery reports, upstream answers, policy documents, JSON bodies."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[str]
    guided: Sequence[str]


def load(name: str) -> Target:
    """Import a target, and with it what it tries."""
    module = import_module(f"tests.fuzz.targets.{name}")
    return Target(module.check, module.SEEDS, module.WORDS, module.GUIDED)
