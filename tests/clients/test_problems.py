"""Each code of openapi.yaml is an exception with the fields of its problem."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from otp_client import HumanCheck, Problem, problems
from tests.support.http_api import documented

PLAIN = {"type", "title", "status", "detail", "code", "request_id", "errors"}
"""Members of every problem."""


def codes() -> list[str]:
    """List all codes that openapi.yaml allows."""
    found: list[str] = documented()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    return found


def examples(part: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - YAML
    """Yield every problem that stands as an example in openapi.yaml."""
    if isinstance(part, dict):
        if {"type", "code", "status", "detail"} <= part.keys() and isinstance(part["status"], int):
            yield part
        for below in part.values():
            yield from examples(below)
    elif isinstance(part, list):
        for below in part:
            yield from examples(below)


EXAMPLES = {one["code"]: one for one in examples(documented())}


def class_of(code: str) -> type[Problem]:
    """Return the class that is named as the code."""
    found: type[Problem] = getattr(problems, "".join(word.capitalize() for word in code.split("_")))
    return found


def test_every_code_has_an_example() -> None:
    """So the walk below leaves none out."""
    assert set(EXAMPLES) == set(codes())
    assert len(codes()) > 40


@pytest.mark.parametrize("code", codes())
def test_each_code_is_an_exception_with_its_fields(code: str) -> None:
    """The class has the code's name, and whatever a problem has beside its text is an attribute."""
    document = EXAMPLES[code]
    error = problems.problem_from(document)
    assert type(error) is class_of(code)
    for name in PLAIN & document.keys() - {"errors"}:
        assert getattr(error, name) == document[name]
    assert [(one.field, one.rule) for one in error.errors] == [
        (one["field"], one["rule"]) for one in document.get("errors", [])
    ]
    for name in document.keys() - PLAIN - {"human_check", "warnings"}:
        assert getattr(error, name) == document[name], name


def test_no_class_has_a_code_that_the_service_lacks() -> None:
    """A code that was dropped from the service leaves the client, too."""
    kinds = {kind for kind in vars(problems).values() if isinstance(kind, type) and issubclass(kind, Problem)}
    assert {kind.CODE for kind in kinds if kind.CODE} == set(codes())


def test_every_member_of_a_problem_is_read() -> None:
    """A new one needs an attribute here."""
    known = PLAIN | {"retry_after", "checks_left", "version", "warnings", "rule", "human_check"}
    assert set(documented()["components"]["schemas"]["Problem"]["properties"]) == known


def test_a_human_check_is_typed() -> None:
    """Of both kinds."""
    error = problems.problem_from(EXAMPLES["human_check_required"])
    assert isinstance(error, problems.HumanCheckRequired)
    assert error.human_check.kind == "altcha"
    assert set(documented()["components"]["schemas"]["HumanCheck"]["properties"]) == set(
        HumanCheck.__dataclass_fields__
    )
    vendor = {"kind": "siteverify", "site_key": "1x00AA", "expires_in": 300}
    other = problems.problem_from({**EXAMPLES["human_check_required"], "human_check": vendor})
    assert isinstance(other, problems.HumanCheckRequired)
    assert other.human_check == HumanCheck(kind="siteverify", site_key="1x00AA", expires_in=300)


def test_a_mismatch_names_what_differs() -> None:
    """Without the prefix of the request's field."""
    error = problems.problem_from(EXAMPLES["token_mismatch"])
    assert isinstance(error, problems.TokenMismatch)
    assert error.unmet == ("purpose",)


def test_a_conflict_has_version_and_warnings() -> None:
    """As the operator's call returns them."""
    error = problems.problem_from(EXAMPLES["policy_conflict"] | {"warnings": ["a", "b"]})
    assert isinstance(error, problems.PolicyConflict)
    assert error.warnings == ("a", "b")


def test_a_new_code_is_a_problem() -> None:
    """A service that is newer than the client is still understood."""
    error = problems.problem_from(
        {"code": "moon_too_full", "status": 422, "detail": "Wait.", "retry_after": 9}
    )
    assert type(error) is Problem
    assert (error.code, error.retry_after) == ("moon_too_full", 9)


def test_the_text_of_a_problem_is_for_a_log() -> None:
    """Code, detail and the id under which the service logged it."""
    text = str(problems.problem_from(EXAMPLES["wrong_code"]))
    assert re.match(r"wrong_code: The code is wrong\..* \(request_id \S+\)$", text)
