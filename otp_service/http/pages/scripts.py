"""The human check's widget, a script that any page may load.

Knows the vendored file. Must not know how a check is made. The path stays the same when the widget is updated:
caches ask again after a day, and yesterday's widget solves today's checks.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from otp_service.http.operation import operation

SCRIPT = Path(__file__).parent / "altcha" / "altcha.min.js"
KEPT_FOR = 24 * 3600
"""Seconds for which caches do not ask again."""

views = Blueprint("widget", __name__)


@views.get("/otp/human-check/widget.js")
@operation(summary="The widget of the human check", answer=None, media="text/javascript")
def get_human_check_widget() -> Response:
    """Define `<altcha-widget>`. A Content-Security-Policy must allow `worker-src blob:` and the widget's style."""
    packed = request.accept_encodings.quality("gzip") > 0
    body, tag = _packed() if packed else _plain()
    response = Response(body, content_type="text/javascript; charset=utf-8")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = f"public, max-age={KEPT_FOR}"
    # Browsers load a module from another origin only with this header, and the file holds no secret.
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
