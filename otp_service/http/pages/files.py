"""A file that browsers of any site may load: packed for those that accept it, with a tag for caches that ask again.

Knows files and headers. Must not know what is in a file.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path

from flask import Response, request

DAY = 24 * 3600
YEAR = 365 * DAY


def public_file(path: Path, content_type: str, kept_for: int) -> Response:
    """Answer with a file; `kept_for` is the number of seconds for which caches do not ask again."""
    packed = request.accept_encodings.quality("gzip") > 0
    body, tag = _packed(path) if packed else _plain(path)
    response = Response(body, content_type=content_type)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    final = ", immutable" if kept_for == YEAR else ""
    response.headers["Cache-Control"] = f"public, max-age={kept_for}{final}"
    # Browsers load a module from another origin, and check a hash, only with this header; the file holds no secret.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.set_etag(tag)
    response.make_conditional(request)
    return response


@cache
def _plain(path: Path) -> tuple[bytes, str]:
    return _tagged(path.read_bytes())


@cache
def _packed(path: Path) -> tuple[bytes, str]:
    return _tagged(gzip.compress(_plain(path)[0], mtime=0))


def _tagged(body: bytes) -> tuple[bytes, str]:
    return body, hashlib.sha256(body).hexdigest()[:32]
