"""What Schemathesis is told beyond openapi.yaml: a request that fits its schema is refused for other reasons only."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.generation import GenerationMode

from tests.fuzz.beyond import BEYOND


def refusal_beyond_schema(_: CheckContext, response: Response, case: "Case[Any]") -> None:
    """A valid request that is refused as invalid_request breaks a rule that its schema could not say."""
    meta = case.meta
    if meta is None or meta.generation.mode is not GenerationMode.POSITIVE or response.status_code != 422:
        return
    problem = response.json()
    if problem["code"] != "invalid_request":
        return
    unsaid = [one for one in problem["errors"] if not BEYOND.search(one["rule"])]
    assert not unsaid, f"the schema does not say {unsaid}"


schemathesis.check(refusal_beyond_schema)
