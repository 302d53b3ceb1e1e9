"""openapi.yaml: valid, made from the code, and each field's description taken from its schema."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from marshmallow import Schema
from openapi_spec_validator import validate

from otp_service import errors, http
from otp_service.http import schemas
from otp_service.http.operation import Operation
from otp_service.http.problems import STATUS
from otp_service.http.schemas.challenge import RouteSchema
from otp_service.http.schemas.fields import Strict
from tests.house import openapi_document
from tests.support.http_api import documented

ABSTRACT = {Strict, RouteSchema}
"""What others are made of; no call takes one of them by itself."""
SCHEMAS = {
    kind.__name__.removesuffix("Schema"): kind
    for module in pkgutil.iter_modules(schemas.__path__, f"{schemas.__name__}.")
    for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
    if issubclass(kind, Schema) and kind.__module__ == module.name and kind not in ABSTRACT
}
OF_BODIES = {name: kind for name, kind in SCHEMAS.items() if name != "Path"}
"""All but the fields of paths, which the document has as parameters."""


@pytest.fixture(scope="module")
def application() -> Flask:
    """Build the application that the document describes."""
    return openapi_document.application()


def components() -> dict[str, Any]:
    """Return the schemas of the document."""
    found: dict[str, Any] = documented()["components"]["schemas"]
    return found


def test_the_document_is_valid_openapi() -> None:
    """An OpenAPI 3.1 validator accepts it, examples' types and defaults included."""
    assert documented()["openapi"].startswith("3.1")
    validate(documented())


def test_the_file_is_what_the_code_says(application: Flask) -> None:
    """A change of a view or schema without a new openapi.yaml fails here."""
    wanted = openapi_document.document(application)
    assert openapi_document.FILE.read_text(encoding="utf-8") == wanted, (
        "python -m tests.house.openapi_document"
    )


def test_the_document_does_not_depend_on_the_order_of_sets(application: Flask, tmp_path: Path) -> None:
    """A run with another hash seed writes the same bytes, so that the drift test is no lottery."""
    file = tmp_path / "openapi.yaml"
    command = [sys.executable, "-m", "tests.house.openapi_document", "--file", str(file)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "4711"})
    assert file.read_text(encoding="utf-8") == openapi_document.document(application)


def test_the_check_finds_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` changes nothing, passes on the written file, and fails on another or none."""
    file = tmp_path / "openapi.yaml"
    check = ["--check", "--file", str(file)]
    assert openapi_document.main(check) == 1
    assert not file.exists()
    assert openapi_document.main(["--file", str(file)]) == 0
    assert openapi_document.main(check) == 0
    changed = file.read_text(encoding="utf-8").replace("masked", "in full")
    file.write_text(changed, encoding="utf-8")
    assert openapi_document.main(check) == 1
    assert file.read_text(encoding="utf-8") == changed
    assert "run python -m tests.house.openapi_document" in capsys.readouterr().err


def test_every_schema_of_the_api_is_in_the_document() -> None:
    """No more schemas than the code has, and none left out."""
    assert set(components()) == set(OF_BODIES)


@pytest.mark.parametrize("name", OF_BODIES)
def test_each_field_is_described_as_its_schema_says(name: str) -> None:
    """The description is the field's own, word by word; a field without one fails."""
    properties = components()[name]["properties"]
    fields = SCHEMAS[name]().fields
    assert set(properties) == set(fields)
    for field, described in properties.items():
        about = fields[field].metadata.get("description")
        assert about, f"{name}.{field} has no description"
        assert described["description"] == about
        assert about.endswith(".")


def test_no_description_of_a_field_stands_anywhere_else() -> None:
    """Their only place is `http/schemas/`: no view and no line of the generator repeats one."""
    elsewhere = inspect.getsource(openapi_document) + "".join(
        file.read_text(encoding="utf-8")
        for file in Path(http.__path__[0]).rglob("*.py")
        if file.parent.name != "schemas"
    )
    for kind in SCHEMAS.values():
        for field in kind().fields.values():
            assert field.metadata["description"] not in elsewhere


def test_unknown_fields_are_documented_as_refused() -> None:
    """What the service refuses the document forbids."""
    for name in ("Send", "Verify", "Resend", "Redeem", "PolicyApply", "PolicyRollback", "Simulate", "Number"):
        assert components()[name]["additionalProperties"] is False


def test_patterns_are_ones_that_any_language_reads() -> None:
    r"""JSON Schema's patterns are ECMA's: anchored by ^ and $, no \Z, no (?P<...>)."""
    found = re.findall(r"pattern: (.*)", openapi_document.FILE.read_text(encoding="utf-8"))
    assert found
    for pattern in found:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert "\\Z" not in pattern
        assert "(?P" not in pattern


def test_each_part_of_a_path_is_described_as_its_schema_says() -> None:
    """Every parameter has the words and the pattern of its field, and no field is left over."""
    seen: dict[str, Any] = {}
    for item in documented()["paths"].values():
        for operation in item.values():
            seen |= {one["name"]: one for one in operation["parameters"] if one["in"] == "path"}
    fields = SCHEMAS["Path"]().fields
    assert set(seen) == set(fields)
    for name, described in seen.items():
        assert described["description"] == fields[name].metadata["description"]
        assert described["schema"]["pattern"] == fields[name].metadata["pattern"]


@pytest.mark.parametrize("name", ["Send", "Verify", "Redeem", "PolicyRollback", "Number"])
def test_examples_of_requests_are_taken_by_their_schema(name: str) -> None:
    """Who copies the examples into a request gets no field error for their form."""
    properties = components()[name]["properties"]
    SCHEMAS[name]().load({field: described["example"] for field, described in properties.items()})


def test_every_route_is_documented_with_its_methods(application: Flask) -> None:
    """A new view cannot be forgotten: each rule of the application has its path, and each path its rule."""
    rules = {
        (re.sub(r"<(?:int:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert rules == {(path, method) for path, item in documented()["paths"].items() for method in item}


def test_every_error_is_documented_somewhere() -> None:
    """Each stable code of the table is named by a call that can end so, but for those of no call."""
    of_no_call = {errors.MethodNotAllowed, errors.MalformedRequest, errors.UriTooLong, errors.HeadersTooLarge}
    text = yaml.safe_dump(documented())
    assert {kind for kind in STATUS if f"`{kind.code}`" not in text} == of_no_call


def test_operations_tell_which_key_they_want(application: Flask) -> None:
    """Calls of apps want appKey, of operators opsKey, open ones nothing."""
    for endpoint, view in application.view_functions.items():
        described = getattr(view, "operation", None)
        if not isinstance(described, Operation):
            continue
        known: dict[tuple[str, ...], Any] = {(): None, ("ops",): [{"opsKey": []}]}
        wanted = known.get(described.keys, [{"appKey": []}])
        name = endpoint.rpartition(".")[2]
        found = [
            operation
            for item in documented()["paths"].values()
            for method, operation in item.items()
            if operation["operationId"] in {name, f"{name}_{method}"}
        ]
        assert found
        for operation in found:
            assert operation.get("security") == wanted
            assert operation["summary"]
            assert operation["description"]
