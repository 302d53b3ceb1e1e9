"""What Schemathesis is told beyond openapi.yaml: a request that fits its schema is refused for other reasons only."""

import re
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.generation import GenerationMode

BEYOND = re.compile(
    r"""
      visible\ characters      # as Unicode says which these are
    | characters$              # what is left of a number without its invisible marks
    | phone\ number|digits|must\ start\ with|country
    | IP\ address|one\ subscriber|beginning\ of\ an\ E\.164
    | an\ app\b|no\ app\b|the\ last\ app
    | only\ operators|for\ an\ operator's\ key
    | secret\ key | with\ a\ publishable\ key
    | duration\ such\ as      # whose bounds have several units
    | \[app\.NAME\]
    | must\ be\ before\ (?:to|now) | must\ come\ with
    | exactly\ one\ of | is\ required\ with | must\ give\ at\ most   # of several fields
    | a\ time\ before\ now | within\ the\ last   # a day that exists, and is kept
    | must\ be\ a\ list\ of | must\ be\ pairs
    """,
    re.VERBOSE,
)
"""Rules about numbers, Unicode, and what exists in the policy in force."""


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
