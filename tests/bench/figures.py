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
    least: float | None = None
    most: float | None = None
    """What the value has to be at least, or at most, if anything is asked of it."""

    @property
    def asked(self) -> str:
        """What is asked of the value, in words."""
        bounds = (("at least", self.least), ("at most", self.most))
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)

    @property
    def reached(self) -> bool:
        """Whether the value is what is asked."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )


def as_line(figure: Figure, earlier: Mapping[str, float]) -> str:
    """Return a figure's line of the table, with its ratio to the earlier value if there is one."""
    before = earlier.get(figure.name)
    ratio = f"{figure.value / before:6.2f} x" if before else " " * (8 if earlier else 0)
    said = f"[{figure.asked}: {'reached' if figure.reached else 'MISSED'}] " if figure.asked else ""
    return f"{figure.name:56}{figure.value:10.2f} {figure.unit:10}{ratio}  {said}{figure.note}".rstrip()


def verdict(figures: Iterable[Figure]) -> Iterator[str]:
    """Give a line for each figure of which something is asked, and how many are reached."""
    judged = [figure for figure in figures if figure.asked]
    if not judged:
        return
    yield f"{'asked':56}{'found':>10} {'unit':10}  {'bound':16}reached"
    for figure in judged:
        name = figure.name.strip()
        yield (
            f"{name:56}{figure.value:10.2f} {figure.unit:10}  {figure.asked:16}{'yes' if figure.reached else 'NO'}"
        )
    yield f"{sum(figure.reached for figure in judged)} of {len(judged)} reached"


def show(figures: Iterable[Figure], earlier: Mapping[str, float]) -> Iterator[Figure]:
    """Print each figure as soon as it is known, and pass it on."""
    for figure in figures:
        print(as_line(figure, earlier), flush=True)
        yield figure


def write(path: Path, figures: Iterable[Figure], about: Mapping[str, str]) -> None:
    """Write a run as JSON: `about` the machine, and the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [asdict(one) | ({"reached": one.reached} if one.asked else {}) for one in figures]
    path.write_text(json.dumps({"about": about, "figures": listed}, indent=1) + "\n")


def read(path: Path) -> dict[str, float]:
    """Read the values of an earlier run, by name."""
    return {one["name"]: one["value"] for one in json.loads(path.read_text())["figures"]}
