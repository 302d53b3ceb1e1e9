"""The table of settings in docs/settings.md: name, default and meaning of each, as the code has them.

`python -m tests.house.settings_document` writes it; with `--check` it exits with 1 if the file differs.
"""

import sys
from collections.abc import Iterator

from otp_service import settings
from tests.house import made

MODULE = "tests.house.settings_document"
FILE = made.DOCS / "settings.md"


def table() -> str:
    """Return a row for each setting."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "| --- | --- | --- |"
    for name, about, default in settings.variables():
        shown = "required" if default is None else f"`{default}`" if default else "empty"
        yield f"| `{name}` | {shown} | {about} |"


if __name__ == "__main__":
    sys.exit(made.main(MODULE, FILE, table, sys.argv[1:]))
