"""openapi.yaml: valid, made from the code, and each field's description taken from its schema."""

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from marshmallow import Schema, missing
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from otp_service import http
from otp_service.events.standard_webhooks import EventType
from otp_service.guard.decision_hook import TYPE
from otp_service.http import schemas
from otp_service.http.console import site
from otp_service.http.operation import Operation
from otp_service.http.problems import STATUS
from otp_service.http.schemas.challenge import RouteSchema
from otp_service.http.schemas.fields import Strict
from tests.house import openapi_document, openapi_webhooks, openapi_yaml
from tests.support.http_api import documented, followed

ABSTRACT = {Strict, RouteSchema}
"""What others are made of; no call takes one of them by itself."""
SCHEMAS = {
    kind.__name__.removesuffix("Schema"): kind
    for module in pkgutil.iter_modules(schemas.__path__, f"{schemas.__name__}.")
    for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
    if issubclass(kind, Schema) and kind.__module__ == module.name and kind not in ABSTRACT
}
FIRST_OPERATIONS, FIRST_BYTES, MOST_BYTES_EACH = 45, 120 * 1024, 2560
"""The operations that fit into 120 KB, and the room that each later one brings with it."""
OF_BODIES = {name: kind for name, kind in SCHEMAS.items() if name not in {"Path", "FiguresQuery"}}
"""All but the fields of paths and queries, which the document has as parameters."""


@pytest.fixture(scope="module")
def application() -> Flask:
    """Build the application that the document describes."""
    return openapi_document.application()


def components() -> dict[str, Any]:
    """Return the schemas of the document."""
    found: dict[str, Any] = documented()["components"]["schemas"]
    return found


def fields_of(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    """Return what a schema says of each field, with what it takes over from others."""
    whole = followed(schema)
    found = {name: {**followed(of), **of} for name, of in whole.get("properties", {}).items()}
    for part in whole.get("allOf", []):
        found |= fields_of(part)
    return found


def operations() -> Iterator[tuple[str, str, Any]]:
    """Go through the paths, methods and operations of the document."""
    for path, item in documented()["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def contents() -> Iterator[tuple[str, Any]]:
    """Go through the types and contents of all requests and answers."""
    hooks = [item["post"] for item in documented()["webhooks"].values()]
    for operation in [*(operation for _, _, operation in operations()), *hooks]:
        for part in [operation.get("requestBody"), *operation["responses"].values()]:
            yield from followed(part or {}).get("content", {}).items()


def examples_of(content: Any) -> list[Any]:  # noqa: ANN401 - YAML
    """Return the examples of a request or an answer."""
    if "example" in content:
        return [content["example"]]
    return [followed(one)["value"] for one in content["examples"].values()]


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
    """No schema of the code is left out, and what else is there is an event or a form that several fields have."""
    others = set(components()) - set(OF_BODIES)
    assert set(OF_BODIES) <= set(components())
    shared = {name for name in others if "properties" not in components()[name]}
    assert others - shared == set(openapi_webhooks.schemas())


@pytest.mark.parametrize("name", OF_BODIES)
def test_each_field_is_described_as_its_schema_says(name: str) -> None:
    """The description is the field's own, word by word; a field without one fails."""
    properties = fields_of(components()[name])
    fields = SCHEMAS[name]().fields
    assert set(properties) == set(fields)
    for field, described in properties.items():
        about = fields[field].metadata.get("description")
        assert about, f"{name}.{field} has no description"
        assert described["description"] == about
        assert about.endswith(".")


def test_no_description_of_a_field_stands_anywhere_else() -> None:
    """Their only place is `http/schemas/`: no view and no line of the generator repeats one."""
    views = [file for file in Path(http.__path__[0]).rglob("*.py") if file.parent.name != "schemas"]
    generator = Path(openapi_document.__file__).parent.glob("openapi_*.py")
    elsewhere = "".join(file.read_text(encoding="utf-8") for file in [*views, *generator])
    for kind in SCHEMAS.values():
        for field in kind().fields.values():
            assert field.metadata["description"] not in elsewhere


def test_what_a_field_is_when_it_is_left_out_is_told_in_words() -> None:
    """A `default` would make generators ask for the field: they take it for one that is always there."""
    for name, kind in OF_BODIES.items():
        for field, one in kind().fields.items():
            described = fields_of(components()[name])[field]
            assert "default" not in described
            assert (one.load_default is not missing) <= ("if omitted" in described["description"].lower())


def test_unknown_fields_are_refused_in_requests_and_may_come_in_answers() -> None:
    """What the service refuses the document forbids; an answer may get new fields without a new contract."""
    closed = {name for name, one in components().items() if one.get("additionalProperties") is False}
    assert closed == {name for name, kind in OF_BODIES.items() if issubclass(kind, Strict)}
    assert str(documented()).count("'additionalProperties': False") == len(closed)


def test_patterns_are_ones_that_any_language_reads() -> None:
    r"""JSON Schema's patterns are ECMA's: anchored by ^ and $, no \Z, no (?P<...>)."""
    found = re.findall(r"'pattern': '([^']*)'", str(documented()))
    assert found
    for pattern in found:
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert "\\Z" not in pattern
        assert "(?P" not in pattern


def test_each_part_of_a_path_is_described_as_its_schema_says() -> None:
    """Every parameter has the words and the pattern of its field, and no field is left over."""
    parameters = [
        followed(one) for _, _, operation in operations() for one in operation.get("parameters", [])
    ]
    seen = {one["name"]: one for one in parameters if one["in"] == "path"}
    fields = SCHEMAS["Path"]().fields
    assert set(seen) == set(fields)
    for name, described in seen.items():
        assert described["description"] == fields[name].metadata["description"]
        assert followed(described["schema"])["pattern"] == fields[name].metadata["pattern"]


def test_every_request_and_answer_has_a_whole_example_of_its_schema() -> None:
    """Somebody who copies it gets no field error for its form."""
    for media, content in contents():
        found = examples_of(content)
        assert found, media
        for one in found:
            schema = {**content["schema"], "components": documented()["components"]}
            OAS31Validator(schema).validate(one)
            reference = content["schema"].get("$ref", "").rpartition("/")[2]
            if reference in OF_BODIES and issubclass(OF_BODIES[reference], Strict):
                SCHEMAS[reference]().load(one)


def test_examples_leave_out_no_field_of_an_answer() -> None:
    """An answer's example shows all that can be in it."""
    for media, content in contents():
        reference = content["schema"].get("$ref", "").rpartition("/")[2]
        if (
            media == "application/json"
            and reference in OF_BODIES
            and not issubclass(OF_BODIES[reference], Strict)
        ):
            shown = set().union(*(one.keys() for one in examples_of(content)))
            assert shown == set(fields_of(content["schema"])), reference


def test_every_route_is_documented_with_its_methods(application: Flask) -> None:
    """A new view cannot be forgotten: each rule of the application has its path, and each path its rule."""
    rules = {
        (re.sub(r"<(?:[a-z]+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in application.url_map.iter_rules()
        if not rule.rule.startswith(site.PREFIX)  # pages for people
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert rules == {(path, method) for path, item in documented()["paths"].items() for method in item}


def test_every_error_is_documented_somewhere_with_an_example() -> None:
    """Each code of the table is named by a call that can end so, with the problem as the service writes it."""
    found: dict[str, Any] = {}
    for _, _, operation in operations():
        for status, answer in operation["responses"].items():
            content = followed(answer).get("content", {}).get("application/problem+json")
            for one in examples_of(content) if content else []:
                assert status in {str(one["status"]), "default"}
                found[one["code"]] = one
    assert {code: one["status"] for code, one in found.items()} == {
        kind.code: status for kind, status in STATUS.items()
    }
    assert set(fields_of({"$ref": "#/components/schemas/Problem"})["code"]["enum"]) == set(found)


def test_the_tags_are_the_five_and_every_operation_has_one() -> None:
    """Generators make one client of each."""
    names = [tag["name"] for tag in documented()["tags"]]
    assert names == ["Verification", "Tokens", "Callbacks", "Operators", "Health"]
    assert all(tag["description"] for tag in documented()["tags"])
    used = [operation["tags"] for _, _, operation in operations()]
    assert all(len(tags) == 1 for tags in used)
    assert {tags[0] for tags in used} == set(names)


def test_operation_ids_make_names_of_methods() -> None:
    """Each is unique, in camelCase, without a word that a language keeps for itself."""
    hooks = [item["post"] for item in documented()["webhooks"].values()]
    ids = [operation["operationId"] for operation in [*(one for _, _, one in operations()), *hooks]]
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name), name


def test_every_event_has_its_webhook() -> None:
    """No more events than the service sends, and none left out."""
    assert set(documented()["webhooks"]) == {str(one) for one in openapi_webhooks.TYPES} | {TYPE}


def test_the_document_stays_small() -> None:
    """120 KB for the first operations and 2.5 KB for each later one; four that can end in most ways are larger."""
    sizes = {
        operation["operationId"]: len(openapi_yaml.text(operation).encode())
        for _, _, operation in operations()
    }
    largest = sorted(((size, name) for name, size in sizes.items()), reverse=True)
    asked = len(documented()["webhooks"]) - len(EventType)  # what came later
    most = FIRST_BYTES + MOST_BYTES_EACH * max(0, len(sizes) + asked - FIRST_OPERATIONS)
    assert len(openapi_document.FILE.read_bytes()) <= most, f"bytes of each operation: {largest}"
    large = {name for name, size in sizes.items() if size > MOST_BYTES_EACH}
    assert large <= {"codeSend", "codeResend", "codeVerify", "tokenRedeem"}, largest


@pytest.mark.parametrize("kind", ["parameters", "headers", "requestBodies", "responses"])
def test_what_repeats_stands_among_the_components(kind: str) -> None:
    """Written once, it is changed once; clients get one type of it."""
    written = [json.dumps(one, sort_keys=True) for one in inline(documented(), kind)]
    assert {one for one in written if written.count(one) > 1} == set()


def test_a_form_of_a_value_that_repeats_is_a_schema_of_its_own() -> None:
    """Each enum and each pattern has one place."""
    written = [json.dumps(one, sort_keys=True) for one in forms(documented())]
    assert {one for one in written if written.count(one) > 1} == set()


def forms(part: Any) -> Iterator[Any]:  # noqa: ANN401 - YAML
    """Go through all enums and patterns."""
    if isinstance(part, dict):
        yield from (part[key] for key in ("enum", "pattern") if isinstance(part.get(key), list | str))
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else []:
        yield from forms(one)


def inline(part: Any, kind: str) -> Iterator[Any]:  # noqa: ANN401 - YAML
    """Go through all parameters, headers, bodies or responses that are no references."""
    if isinstance(part, list):
        for one in part:
            yield from inline(one, kind)
    elif isinstance(part, dict):
        found = (
            [part["requestBody"]] if kind == "requestBodies" and "requestBody" in part else part.get(kind, [])
        )
        for one in found.values() if isinstance(found, dict) else found:
            if "$ref" not in one:
                yield one
        for one in part.values():
            yield from inline(one, kind)


def test_operations_tell_which_key_they_want(application: Flask) -> None:
    """Calls of apps name the kinds of key that they take, operators' calls the role, open ones nothing."""
    for rule in application.url_map.iter_rules():
        described = getattr(application.view_functions[rule.endpoint], "operation", None)
        if not isinstance(described, Operation):
            continue
        path = re.sub(r"<(?:[a-z]+:)?([^>]+)>", r"{\1}", rule.rule)
        wanted: list[Any] = [{f"{kind}Key": []} for kind in described.keys]
        if described.keys == ("ops",):
            wanted = [{f"opsKey{described.role.capitalize()}": []}] + [{}] * described.open_on_own_port
        if path == "/webhooks/mobtexting/{upstream}":
            wanted = [{"upstreamSecret": []}]
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = documented()["paths"][path][method.lower()]
            assert operation["security"] == wanted
            assert operation["summary"]
            assert operation["description"]
            for one in wanted:
                assert set(one) <= set(documented()["components"]["securitySchemes"])
