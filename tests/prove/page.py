"""The table of the headline figures in README.md and docs/evidence.md, made from the evidence.

`python -m tests.prove.page` writes it, `--check` ends with an error if it is not what the evidence says.
"""

import re
import sys
from pathlib import Path

from tests.prove import alerts, evidence, fallback, faults, load, pumping, races

CLAIMS = (races.CLAIM, pumping.CLAIM, fallback.CLAIM, load.CLAIM, alerts.CLAIM, faults.CLAIM)
PAGES = {Path("README.md"): "docs/evidence/", Path("docs/evidence.md"): "evidence/"}
"""Pages with the table, and where the evidence is from there."""
_TABLE = re.compile(r"(?<=<!-- evidence -->\n).*?(?=<!-- /evidence -->)", re.DOTALL)


def table(folder: str) -> str:
    """Return the table, with links into a folder."""
    lines = ["| claim | found | command |", "| --- | --- | --- |"]
    for claim in CLAIMS:
        kept = evidence.read(evidence.FOLDER, claim.name)
        said, command = (kept["said"], kept["about"]["command"]) if kept else ("not measured yet", "")
        found = (
            f"{said} ([figures]({folder}{claim.name}.json), [picture]({folder}{claim.name}.svg))"
            if kept
            else said
        )
        lines.append(f"| {claim.title} | {found} | `{command or f'make prove ARGS={claim.name}'}` |")
    return "\n".join(lines) + "\n"


def written(page: Path, folder: str) -> str:
    """Return a page with its table."""
    return _TABLE.sub(lambda _: table(folder), page.read_text())


def write_all() -> None:
    """Write the table into all pages."""
    for page, folder in PAGES.items():
        page.write_text(written(page, folder))


def main() -> int:
    """Write the table, or check it; gives the exit code."""
    if "--check" not in sys.argv[1:]:
        write_all()
        return 0
    stale = [str(page) for page, folder in PAGES.items() if page.read_text() != written(page, folder)]
    for page in stale:
        print(f"{page}: the table is not what docs/evidence says; run python -m tests.prove.page")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
