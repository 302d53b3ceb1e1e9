"""The page to which the `type` of every problem points: a section for each code.

Knows one file. Must not know any error: the page is made from docs/errors.md.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response

from otp_service.http.operation import operation

FILE = Path(__file__).parent / "errors.html"
KEPT_FOR = 3600
"""Seconds for which caches do not ask again."""

views = Blueprint("errors", __name__)


@views.get("/errors")
@operation(summary="What each error means", answer=None, media="text/html")
def get_errors() -> Response:
    """Show a section for each code: cause, what the person sees, what to do. A problem's `type` points to it."""
    text, style = _read()
    response = Response(text, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = f"public, max-age={KEPT_FOR}"
    return response


@cache
def _read() -> tuple[str, str]:
    """Return the page and the hash of its style, as a Content-Security-Policy names it."""
    text = FILE.read_text(encoding="utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    return text, base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
