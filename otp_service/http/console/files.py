"""The console's style and script.

Knows two files. Must not know pages. Their address contains a hash of them, so that an update is seen at once.
"""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, url_for

from otp_service import errors
from otp_service.http.console.frame import for_all

FOLDER = Path(__file__).parent / "static"
TYPES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
views = Blueprint("files", __name__)


@views.get("/files/<asset>")
@for_all
def get_file(asset: str) -> Response:
    """Return a file, which caches may keep for a day."""
    if asset not in TYPES:
        raise errors.NotFound("There is no such file.")
    response = Response(_text(asset), content_type=TYPES[asset])
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


@views.app_template_global()
def file_url(file: str) -> str:
    """Return the address of a file as it is now."""
    return url_for("console.files.get_file", asset=file, of=_hash(file))


@cache
def _text(file: str) -> bytes:
    return (FOLDER / file).read_bytes()


@cache
def _hash(file: str) -> str:
    return hashlib.sha256(_text(file)).hexdigest()[:8]
