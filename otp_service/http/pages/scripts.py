"""The human check's widget as a script that any page may load.

Knows the vendored file. The path stays the same through updates, so that no app need follow them: caches ask again
after a day, and a widget of yesterday solves a check of today.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from otp_service.http.operation import operation

SCRIPT = Path(__file__).parent / "altcha" / "altcha.min.js"
KEPT_FOR = 24 * 3600
"""Seconds in which caches do not ask again."""

views = Blueprint("widget", __name__)


@views.get("/otp/human-check/widget.js")
@operation(summary="The widget of the human check, a module for pages", answer=None, media="text/javascript")
def get_human_check_widget() -> Response:
    """Define `<altcha-widget>`; a Content-Security-Policy must allow it `worker-src blob:` and its style."""
    packed = request.accept_encodings.quality("gzip") > 0
    body, tag = _packed() if packed else _plain()
    response = Response(body, content_type="text/javascript; charset=utf-8")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = f"public, max-age={KEPT_FOR}"
    # Any page: browsers load a module of another origin only so, and there is nothing to hide in it.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.set_etag(tag)
    response.make_conditional(request)
    return response


@cache
def _plain() -> tuple[bytes, str]:
    return _tagged(SCRIPT.read_bytes())


@cache
def _packed() -> tuple[bytes, str]:
    return _tagged(gzip.compress(_plain()[0], mtime=0))


def _tagged(body: bytes) -> tuple[bytes, str]:
    return body, hashlib.sha256(body).hexdigest()[:32]
