"""The part of openapi.yaml for some tags: whole, small and a real part."""

from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from otp_service.alerts.bulletin import AlertType
from otp_service.events.standard_webhooks import EventType
from tests.house import openapi_cut
from tests.house.openapi_document import FILE, TAGS


def part(*tags: str) -> Any:  # noqa: ANN401 - YAML
    """Return the part of the document for some tags."""
    return yaml.safe_load(openapi_cut.cut(FILE.read_text(encoding="utf-8"), list(tags)))


@pytest.mark.parametrize("tag", TAGS)
def test_a_part_has_the_operations_of_its_tag_and_is_valid(tag: str) -> None:
    """Every reference leads somewhere."""
    found = part(tag)
    validate(found)
    operations = [operation for item in found["paths"].values() for operation in item.values()]
    assert operations
    assert all(operation["tags"] == [tag] for operation in operations)
    assert [one["name"] for one in found["tags"]] == [tag]


def test_the_parts_together_are_the_whole() -> None:
    """No operation is in none of them, and none is in two."""
    whole = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    ids = [one["operationId"] for item in whole["paths"].values() for one in item.values()]
    cut = [
        one["operationId"] for tag in TAGS for item in part(tag)["paths"].values() for one in item.values()
    ]
    assert sorted(cut) == sorted(ids)


def test_all_tags_give_the_whole_document() -> None:
    """Nothing is lost on the way: no component is without a use."""
    assert part(*TAGS) == yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_events_are_where_their_receivers_look() -> None:
    """Those of challenges are for apps, alerts are for operators, and others get none."""
    assert set(part("Operators")["webhooks"]) == {str(one) for one in AlertType}
    assert {str(one) for one in EventType} < set(part("Verification")["webhooks"])
    assert not set(part("Operators")["webhooks"]) & set(part("Verification")["webhooks"])
    assert "webhooks" not in part("Tokens")
    assert "upstreamSecret" not in part("Operators")["components"]["securitySchemes"]


def test_the_command_prints_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/develop.md says it; another tag is refused."""
    assert openapi_cut.main(["Verification", "Tokens"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == part("Verification", "Tokens")
    with pytest.raises(SystemExit):
        openapi_cut.main(["Verifications"])
