"""The tables of the headline figures, and of the goals that are not reached, in README.md and docs/evidence.md.

`python -m tests.prove.page` makes them from the evidence; `--check` ends with an error if they differ from it.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.prove import alerts, evidence, fallback, faults, load, pumping, races

CLAIMS = (races.CLAIM, pumping.CLAIM, fallback.CLAIM, load.CLAIM, alerts.CLAIM, faults.CLAIM)
PAGES = {Path("README.md"): "docs/evidence/", Path("docs/evidence.md"): "evidence/"}
"""Pages with the table, and where the evidence is from there."""
_TABLE = re.compile(r"(?<=<!-- evidence -->\n).*?(?=<!-- /evidence -->)", re.DOTALL)
_MISSED = re.compile(r"(?<=<!-- missed -->\n).*?(?=<!-- /missed -->)", re.DOTALL)


def table(folder: str) -> str:
    """Return the table, with links into a folder."""
    lines = ["| claim | found | command |", "| --- | --- | --- |"]
    for claim in CLAIMS:
        kept = evidence.read(evidence.FOLDER, claim.name)
        said, command = (kept["said"], kept["about"]["command"]) if kept else ("not measured yet", "")
        links = f"[figures]({folder}{claim.name}.json), [picture]({folder}{claim.name}.svg)"
        found = f"{said}{_reached(kept, folder)} ({links})" if kept else said
        lines.append(f"| {claim.title} | {found} | `{command or f'make prove ARGS={claim.name}'}` |")
    return "\n".join(lines) + "\n"


def _reached(record: Mapping[str, Any], folder: str) -> str:
    """Say how many goals a run did not reach; nothing if it reached all."""
    asked = [figure for figure in evidence.figures_of(record) if figure.asked]
    if not (count := sum(not figure.reached for figure in asked)):
        return ""
    page = folder.removesuffix("/")
    return f"; {count} of the run's {len(asked)} goals [not reached]({page}.md#goals-that-are-not-reached)"


def missed(records: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of the goals that runs did not reach."""
    lines = ["| claim | figure | found | goal |", "| --- | --- | --- | --- |"]
    for record in records:
        lines += [
            f"| {record['claim']} | {one.name.strip()} | {evidence.plain(one.value)} {one.unit} | {one.asked} |"
            for one in evidence.figures_of(record)
            if not one.reached
        ]
    return "\n".join(lines) + "\n"


def written(page: Path, folder: str) -> str:
    """Return a page with its tables."""
    kept = [record for claim in CLAIMS if (record := evidence.read(evidence.FOLDER, claim.name))]
    return _MISSED.sub(lambda _: missed(kept), _TABLE.sub(lambda _: table(folder), page.read_text()))


def write_all() -> None:
    """Write the tables into all pages."""
    for page, folder in PAGES.items():
        page.write_text(written(page, folder))


def main() -> int:
    """Write the table, or check it; gives the exit code."""
    if "--check" not in sys.argv[1:]:
        write_all()
        return 0
    stale = [str(page) for page, folder in PAGES.items() if page.read_text() != written(page, folder)]
    for page in stale:
        print(f"{page}: the tables are not what docs/evidence says; run python -m tests.prove.page")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
