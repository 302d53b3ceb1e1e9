"""The page /errors, to which the `type` of every problem points: docs/errors.md as HTML.

`python -m tests.house.errors_page` writes it; with `--check` it exits with 1 if the file differs. It reads what that
document uses of Markdown: headings, paragraphs, lists, bold and code.
"""

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "docs" / "errors.md"
FILE = PROJECT / "otp_service" / "http" / "pages" / "errors.html"
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; }
h3 { margin: 2rem 0 0.5rem; font-family: ui-monospace, monospace; scroll-margin-top: 1rem; }
h3:target { outline: 2px solid; outline-offset: 0.25rem; }
ul { margin: 0; padding-left: 1.25rem; }
</style>
<main>
"""


def page(text: str) -> str:
    """Write a document as a page."""
    return HEAD + "\n".join(_blocks(text)) + "\n</main>\n</html>\n"


def _blocks(text: str) -> Iterator[str]:
    for block in text.strip().split("\n\n"):
        heading = re.fullmatch(r"(#+) (.+)", block)
        if heading:
            level, title = len(heading[1]), heading[2]
            name = title.lower().replace(" ", "-")
            yield f'<h{level} id="{name}">{_inline(title)}</h{level}>'
        elif block.startswith("- "):
            items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
            yield "<ul>\n" + "\n".join(f"<li>{_inline(item)}</li>" for item in items) + "\n</ul>"
        else:
            yield f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    """Write bold and code; nothing else is marked in the document."""
    plain = html.escape(" ".join(text.split()), quote=False)
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", plain)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", bold)


def main() -> int:
    """Write the page, or compare it; return the exit code."""
    wanted = page(SOURCE.read_text(encoding="utf-8"))
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text(encoding="utf-8") != wanted)
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
