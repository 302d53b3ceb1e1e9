"""The scripts that any page may load: the form `<otp-form>`, and the human check's widget.

Knows the files and their addresses. Must not know how a check is made. The widget's path stays the same when it is
updated: caches ask again after a day, and yesterday's widget solves today's checks. The form is also at an address with
its version, whose files never change, so that a page can pin their hashes; versions that were released stay.
"""

from collections.abc import Mapping
from pathlib import Path

from flask import Blueprint, Response

from otp_service import errors
from otp_service.http.operation import operation
from otp_service.http.pages.files import DAY, YEAR, public_file

SCRIPT = Path(__file__).parent / "altcha" / "altcha.min.js"
FORMS = Path(__file__).parent / "form"
"""A folder for each version of the form, built by `make form` from clients/js."""
VERSION = "1.0.0"
"""The version at the addresses without one."""
JAVASCRIPT = "text/javascript; charset=utf-8"
_TYPES = {".js": JAVASCRIPT, ".mjs": JAVASCRIPT, ".json": "application/json"}

views = Blueprint("scripts", __name__)


def _files() -> Mapping[tuple[str, str], Path]:
    return {(file.parent.name, file.name): file for file in FORMS.glob("*/*") if file.suffix in _TYPES}


_FILES = _files()


@views.get("/otp/human-check/widget.js")
@operation(summary="The widget of the human check", answer=None, media="text/javascript")
def get_human_check_widget() -> Response:
    """Define `<altcha-widget>`. A Content-Security-Policy must allow `worker-src blob:` and the widget's style."""
    return public_file(SCRIPT, JAVASCRIPT, DAY)


@views.get("/otp.js")
@operation(summary="The form, as a script", answer=None, media="text/javascript")
def get_form_script() -> Response:
    """Define `<otp-form>` and one global, `Otp`. Pages in production load a version of it by its hash."""
    return public_file(_FILES[VERSION, "otp.js"], JAVASCRIPT, DAY)


@views.get("/otp.mjs")
@operation(summary="The form, as a module", answer=None, media="text/javascript")
def get_form_module() -> Response:
    """Define `<otp-form>` and export `OtpClient`."""
    return public_file(_FILES[VERSION, "otp.mjs"], JAVASCRIPT, DAY)


@views.get("/otp-<release>/<file>")
@operation(
    summary="A file of one version of the form",
    answer=None,
    media="text/javascript",
    problems=(errors.NotFound,),
)
def get_form_file(release: str, file: str) -> Response:
    """Return a script, a language such as `de.json`, or `integrity.json` with the hashes of all of them."""
    found = _FILES.get((release, file))
    if found is None:
        raise errors.NotFound
    return public_file(found, _TYPES[found.suffix], YEAR)
