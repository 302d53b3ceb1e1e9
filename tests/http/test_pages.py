"""What browsers load from any page: the form and the human check's widget."""

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from otp_service.http import app as http_app
from otp_service.http.pages.scripts import FORMS, SCRIPT, VERSION
from tests.conftest import ORIGIN, make_core

WIDGET = "/otp/human-check/widget.js"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    """A client of an API; its store need not exist."""
    core = make_core("unix:///nowhere", "http://127.0.0.1:9")
    yield http_app.web(core).test_client()
    core.close()


def test_the_vendored_files_are_those_that_were_recorded() -> None:
    """A manual edit or an incomplete update fails here; make widget-check asks the registry."""
    record = (SCRIPT.parent / "SHA256SUMS").read_text(encoding="utf-8")
    listed = {name: tag for tag, name in (line.split("  ") for line in record.splitlines()[1:])}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in SCRIPT.parent.iterdir()}
    assert listed == {name: tag for name, tag in found.items() if name != "SHA256SUMS"}
    assert "MIT" in (SCRIPT.parent / "LICENSE.txt").read_text(encoding="utf-8")


def test_make_would_fetch_the_version_that_is_here() -> None:
    """Makefile, record and script name the same version."""
    (wanted,) = re.findall(r"^WIDGET = (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"# altcha@{wanted}," in (SCRIPT.parent / "SHA256SUMS").read_text(encoding="utf-8")
    assert f'"{wanted}"' in SCRIPT.read_text(encoding="utf-8")


@pytest.mark.parametrize("origin", [None, ORIGIN, "https://anywhere.example"])
def test_any_page_may_load_the_widget(client: FlaskClient, origin: str | None) -> None:
    """Without a key, from any origin, as JavaScript, and cached for a day."""
    answer = client.get(WIDGET, headers={"Origin": origin} if origin else {})
    assert answer.status_code == 200
    assert answer.content_type == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", origin}
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.data == SCRIPT.read_bytes()


@pytest.mark.parametrize(
    ("path", "name", "kept"),
    [
        ("/otp.js", "otp.js", "max-age=86400"),
        ("/otp.mjs", "otp.mjs", "max-age=86400"),
        (f"/otp-{VERSION}/otp.js", "otp.js", "max-age=31536000, immutable"),
        (f"/otp-{VERSION}/otp.mjs", "otp.mjs", "max-age=31536000, immutable"),
        (f"/otp-{VERSION}/hi.json", "hi.json", "max-age=31536000, immutable"),
        (f"/otp-{VERSION}/integrity.json", "integrity.json", "max-age=31536000, immutable"),
    ],
)
def test_any_page_may_load_the_form(client: FlaskClient, path: str, name: str, kept: str) -> None:
    """From any origin, which a page that checks a hash needs; a version's files may be kept for ever."""
    answer = client.get(path, headers={"Origin": "https://anywhere.example"})
    assert answer.status_code == 200
    assert answer.content_type == (
        "application/json" if name.endswith("json") else "text/javascript; charset=utf-8"
    )
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Cache-Control"] == f"public, {kept}"
    assert answer.data == (FORMS / VERSION / name).read_bytes()
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] != answer.headers["ETag"]


@pytest.mark.parametrize(
    "path", ["/otp-9.9.9/otp.js", f"/otp-{VERSION}/form.css", f"/otp-{VERSION}/..%2Fotp.js", "/otp-/otp.js"]
)
def test_there_are_only_the_files_of_released_versions(client: FlaskClient, path: str) -> None:
    """Anything else is a problem document that no cache keeps."""
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "gzip"), ("br", None), ("gzip;q=0", None)])
def test_the_widget_is_compressed_for_clients_that_accept_it(
    client: FlaskClient, accepted: str, encoding: str | None
) -> None:
    """A phone on a slow network gets a third of the bytes; caches keep both forms apart."""
    answer = client.get(WIDGET, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert set(answer.vary) == {"Accept-Encoding", "Origin"}
    assert len(answer.data) < (40 if encoding else 120) * 1024


def test_a_cache_that_asks_again_gets_no_second_copy(client: FlaskClient) -> None:
    """As long as the widget did not change."""
    tag = client.get(WIDGET).headers["ETag"]
    again = client.get(WIDGET, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(WIDGET, headers={"If-None-Match": '"old"'}).status_code == 200


def test_the_demos_shop_is_not_part_of_the_service(client: FlaskClient) -> None:
    """Production serves neither the shop nor its files."""
    assert {client.get(path).status_code for path in ("/demo", "/demo/login", "/demo/static/shop.css")} == {
        404
    }


def test_the_wheel_carries_the_widget_the_form_and_the_shop(tmp_path: Path) -> None:
    """An installed package serves them as a checkout does."""
    script = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    names = set(zipfile.ZipFile(tmp_path / done.stdout.strip()).namelist())
    wanted = {*(f"altcha/{name}" for name in ("altcha.min.js", "LICENSE.txt"))}
    wanted |= {"errors.html"}
    wanted |= {f"form/{VERSION}/{file.name}" for file in (FORMS / VERSION).iterdir()}
    shop = ("templates/page.html", "static/shop.css", "static/phone.js", "static/icon.svg")
    wanted = {f"http/pages/{name}" for name in wanted} | {f"demo/shop/{name}" for name in shop}
    assert {f"otp_service/{name}" for name in wanted} <= names
