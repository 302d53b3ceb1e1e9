"""The npm package and the files that the service serves: built from clients/js, small, typed, and run in Node."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from otp_service.http.pages.scripts import FORMS, VERSION
from tests.house import openapi_document
from tests.support.demo_process import Demo
from tests.support.node_tools import CLIENT, Tools
from tests.support.numbers import DELIVERED

pytest_plugins = ("tests.support.demo_fixtures",)

SERVED = FORMS / VERSION
KIB = 1024
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The package, built from its sources and today's openapi.yaml."""
    folder = tmp_path_factory.mktemp("package") / "js"
    shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "spec.ts"))
    tools = Tools(folder, CLIENT)
    for command in (
        ("openapi-typescript", str(openapi_document.FILE), "--output", "src/spec.ts"),
        ("tsc", "--project", "."),
    ):
        done = tools.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    tools.node("build.mjs")
    return tools


@pytest.fixture(scope="module")
def app(package: Tools) -> Tools:
    """An app of Node that has installed the package."""
    folder = package.folder / "app"
    modules = folder / "node_modules"
    modules.mkdir(parents=True)
    (modules / "otp-service-client").symlink_to(package.folder)
    (folder / "package.json").write_text('{"type": "module"}')
    compiler = {
        "strict": True,
        "target": "es2022",
        "module": "nodenext",
        "lib": ["es2023", "dom", "dom.iterable"],
    }
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": {**compiler, "types": []}}))
    (folder / "node.d.ts").write_text("declare const process: { env: Record<string, string | undefined> };\n")
    for name in ("story.ts", "mistakes.ts", "page.ts"):
        shutil.copy(HERE / name, folder)
    done = package.run("tsc", "--project", "app")
    assert done.returncode == 0, done.stdout
    return package


@pytest.mark.needs_node
def test_what_is_served_was_built_from_these_sources(package: Tools, tmp_path: Path) -> None:
    """A change of clients/js needs `make form`; to make one after a release, its version is raised first."""
    package.node("build.mjs", OTP_FORM_FOLDER=str(tmp_path))
    built = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert built == {file.name: file.read_bytes() for file in SERVED.iterdir()}
    assert json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))["version"] == VERSION


@pytest.mark.needs_node
def test_the_client_does_its_work_in_node_and_loses_no_answer(app: Tools, demo: Demo) -> None:
    """Every other answer is lost, and still: one message, one counted guess, one token, one redemption."""
    printed = app.node(
        "app/story.js",
        API=demo.keys["api"],
        SANDBOX=demo.keys["sandbox"],
        PUBLISHABLE_KEY=demo.keys["publishable_key"],
        SECRET_KEY=demo.keys["secret_key"],
        NUMBER=DELIVERED,
    )
    told = json.loads(printed)
    assert told.pop("keys") == 2 * told.pop("distinct")
    assert told == {
        "wrongly": "4 left",
        "early": "wait true",
        "status": "verified",
        "number": DELIVERED,
        "messages": 1,
        "twice": "token_spent",
        "cancelled": "cancelled",
        "invalid": "to",
        "unknown": "unknown_key",
        "away": "none 0",
        "left": "the person left",
    }


@pytest.mark.needs_node
def test_the_package_names_only_files_that_it_has(package: Tools) -> None:
    """Every entry of `exports` leads to a file, and Node can load the form's module, where there are no elements."""
    exports = json.loads((package.folder / "package.json").read_text(encoding="utf-8"))["exports"]
    named = re.findall(r'"(\./(?:dist|languages)/[^"*]+)"', json.dumps(exports))
    assert len(named) == 4
    assert [name for name in named if not (package.folder / name).exists()] == []
    script = 'import { OtpClient, OtpForm, findCode, version } from "./dist/otp.mjs";'
    (package.folder / "load.mjs").write_text(
        f'{script} console.log(typeof OtpClient, typeof OtpForm, findCode("1-2-3", 3).code, version);'
    )
    assert package.node("load.mjs").split() == ["function", "function", "123", VERSION]
    assert len((package.folder / "dist" / "client.mjs").read_bytes()) <= 6 * KIB


def test_the_form_is_small() -> None:
    """At most 15 KiB on the wire, with every state, its style and one language."""
    for name in ("otp.js", "otp.mjs"):
        assert len(gzip.compress((SERVED / name).read_bytes(), mtime=0)) <= 15 * KIB


def test_a_page_can_pin_what_it_loads() -> None:
    """The listed hashes are those of the files, in the form of a script's `integrity`."""
    listed = json.loads((SERVED / "integrity.json").read_text(encoding="utf-8"))
    files = {file.name: file.read_bytes() for file in SERVED.iterdir() if file.name != "integrity.json"}
    assert listed == {
        name: f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}"
        for name, body in files.items()
    }


def test_the_script_names_no_other_host() -> None:
    """No third party is asked for anything."""
    for name in ("otp.js", "otp.mjs"):
        assert (
            re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", (SERVED / name).read_text(encoding="utf-8"))
            == []
        )


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs it asks the registry that is set up there."""
    lock = (CLIENT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert not re.search(r'"integrity": "(?!sha512-)', lock)
    assert (
        "omit-lockfile-registry-resolved=true" in (CLIENT / ".npmrc").read_text(encoding="utf-8").splitlines()
    )
