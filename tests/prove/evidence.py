"""Evidence: a run's figures as JSON and a picture, with the machine, the versions, the date and the command.

Knows the files below docs/evidence. Must not know how anything is measured.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otp_service import __version__
from tests.bench.figures import Figure

FOLDER = Path("docs/evidence")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one figure claims. `headline` has a place for each figure that `shown` names."""

    name: str
    title: str
    headline: str
    shown: Sequence[str]


def about(command: str, load: float) -> dict[str, Any]:
    """Describe a run. `load` is the machine's load (one minute) before it."""
    return {
        "command": command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
    }


def write(folder: Path, claim: Claim, figures: Sequence[Figure], described: dict[str, Any]) -> None:
    """Write a claim's JSON: the sentence that it shows, the run, and all figures."""
    values = {figure.name: figure.value for figure in figures}
    said = claim.headline.format(*(plain(values[name]) for name in claim.shown))
    listed = [asdict(one) | ({"reached": one.reached} if one.asked else {}) for one in figures]
    record = {"claim": claim.title, "said": said, "about": described, "figures": listed}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{claim.name}.json").write_text(json.dumps(record, indent=1) + "\n")


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """Read what is kept of a claim; None if nothing is."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def figures_of(record: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of what is kept of a claim."""
    return [Figure(**{name: one[name] for name in one if name != "reached"}) for one in record["figures"]]


def plain(value: float) -> str:
    """Return a value as a page shows it."""
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"
