"""What a benchmark prints: one figure a line, as a table and as JSON, with ratios to an earlier run."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `name` is the same in every run; `note` says how it came about."""

    name: str
    value: float
    unit: str
    note: str = ""


def as_line(figure: Figure, earlier: Mapping[str, float]) -> str:
    """Return a figure's line of the table, with its ratio to the earlier value if there is one."""
    before = earlier.get(figure.name)
    ratio = f"{figure.value / before:6.2f} x" if before else " " * (8 if earlier else 0)
    return f"{figure.name:56}{figure.value:10.2f} {figure.unit:10}{ratio}  {figure.note}".rstrip()


def show(figures: Iterable[Figure], earlier: Mapping[str, float]) -> Iterator[Figure]:
    """Print each figure as soon as it is known, and pass it on."""
    for figure in figures:
        print(as_line(figure, earlier), flush=True)
        yield figure


def write(path: Path, figures: Iterable[Figure], about: Mapping[str, str]) -> None:
    """Write a run as JSON: `about` the machine, and the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"about": about, "figures": [asdict(one) for one in figures]}, indent=1) + "\n"
    )


def read(path: Path) -> dict[str, float]:
    """Read the values of an earlier run, by name."""
    return {one["name"]: one["value"] for one in json.loads(path.read_text())["figures"]}
