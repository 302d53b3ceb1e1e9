"""What stands once in openapi.yaml and is referred to wherever it is used again.

Knows the document's form. Must not know any operation or schema but by the names that it gives to what repeats.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otp_service.http.schemas.problem import ProblemSchema
from otp_service.ops.figures import TIME_FORM

HEADERS = {
    "X-Request-Id": {
        "description": "The request's id, also in logs and problems.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": ProblemSchema().fields["retry_after"].metadata["description"],
        "schema": {"type": "integer"},
    },
    "Allow": {"description": "The methods that the path takes.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}},
    "ETag": {"description": "The version of the file.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "With a secret key: what is left of the budget that is nearest to its limit, and in how many "
        "seconds there is more (draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
        "example": '"number";r=2;t=540',
    },
    "RateLimit-Policy": {
        "description": "With a secret key: that budget's limit and its seconds.",
        "schema": {"type": "string"},
        "example": '"number";q=3;w=600',
    },
}

UNREAD = (
    "The request could not be read, or the service failed: the status is the one in the problem, and `Allow` comes "
    "with 405."
)
"""Description of the answer `default`."""
_OF_ONE_USE = {"description", "example", "examples", "title"}
"""What a use of a shared schema says for itself."""
_TRIVIAL = {"type", "items", "additionalProperties", "readOnly"}
"""Keys that alone make no schema worth a name."""
_METHODS = frozenset({"get", "put", "post", "delete"})


def shared(whole: Any) -> Any:  # noqa: ANN401 - JSON
    """Copy the document, with what repeats among the components and a reference in its place."""
    whole = json.loads(json.dumps(whole))
    components = whole["components"]
    components["parameters"] = _share(list(_parameter_places(whole)), "parameters", _parameter_name)
    _share_schemas(whole)
    bodies = [(one, "requestBody") for one in _operations(whole) if "requestBody" in one]
    components["requestBodies"] = _share(bodies, "requestBodies", _body_name)
    components["responses"] = _share(list(_response_places(whole)), "responses", _response_name)
    components["headers"] = _share(
        list(_header_places(whole)), "headers", lambda _, key: key.replace("-", "")
    )
    components["examples"] = _share(list(_example_places(whole)), "examples", lambda _, key: key)
    for holder, media in _media_places(whole):
        if len(holder[media].get("examples", {})) == 1:
            _unwrap(holder[media])
    return whole


Place = tuple[Any, Any]
"""A map or list, and the key or place in it."""


def _operations(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in [*whole["paths"].values(), *whole["webhooks"].values()]:
        for method, operation in item.items():
            if method in _METHODS:
                yield operation


def _response_places(whole: dict[str, Any]) -> Iterator[Place]:
    for operation in _operations(whole):
        for status in operation["responses"]:
            yield operation["responses"], status


def _parts(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through all requests and answers, each once."""
    for operation in _operations(whole):
        yield from [operation.get("requestBody", {}), *operation["responses"].values()]
    yield from whole["components"].get("requestBodies", {}).values()
    yield from whole["components"].get("responses", {}).values()


def _header_places(whole: dict[str, Any]) -> Iterator[Place]:
    for part in _parts(whole):
        for name in part.get("headers", {}):
            yield part["headers"], name


def _media_places(whole: dict[str, Any]) -> Iterator[Place]:
    for part in _parts(whole):
        for media in part.get("content", {}):
            yield part["content"], media


def _example_places(whole: dict[str, Any]) -> Iterator[Place]:
    for holder, media in _media_places(whole):
        examples = holder[media].get("examples", {})
        for name in examples:
            yield examples, name


def _unwrap(media: dict[str, Any]) -> None:
    """Write an only example that stands here alone without a name."""
    ((_, one),) = media["examples"].items()
    if "value" in one:
        del media["examples"]
        media["example"] = one["value"]


def _parameter_places(whole: dict[str, Any]) -> Iterator[Place]:
    for operation in _operations(whole):
        for place in range(len(operation.get("parameters", []))):
            yield operation["parameters"], place


def _share(places: list[Place], kind: str, name: Callable[[Any, Any], str]) -> dict[str, Any]:
    """Replace what is there twice by references; gives what they refer to, in the order of its names."""
    alike = defaultdict(list)
    for holder, key in places:
        alike[json.dumps(holder[key], sort_keys=True)].append((holder, key))
    found: dict[str, Any] = {}
    for uses in alike.values():
        holder, key = uses[0]
        body = holder[key]
        if len(uses) == 1 or "$ref" in body:
            continue
        called = name(body, key)
        if called in found:
            raise ValueError(f"two {kind} are called {called}")
        found[called] = body
        for user, place in uses:
            user[place] = {"$ref": f"#/components/{kind}/{called}"}
    return dict(sorted(found.items()))


def _parameter_name(body: Any, _: Any) -> str:  # noqa: ANN401 - JSON
    return camel(body["name"].replace("-", "_"))


def _body_name(body: Any, _: Any) -> str:  # noqa: ANN401 - JSON
    name: str = body["content"]["application/json"]["schema"].get("$ref", "/Report").rpartition("/")[2]
    return name


_WITHOUT_BODY = {"304": "Unchanged", "2XX": "EventTaken", "410": "EventsUnwanted", "default": "EventNotTaken"}


_PROBLEM_NAMES = {
    (
        "human_check_required",
        "key_not_allowed",
        "origin_not_allowed",
        "secret_key_in_page",
    ): "HumanCheckRequired",
    ("busy", "human_check_unavailable", "no_worker", "store_unavailable"): "NotSent",
    ("human_check_unavailable", "store_unavailable"): "NoHumanCheck",
    ("invalid_number", "invalid_request"): "InvalidNumber",
    ("invalid_request", "policy_invalid"): "InvalidPolicy",
    ("malformed_request", "receipt_unreadable"): "NoReport",
    ("missing_key", "unknown_key"): "NoKey",
    ("store_unavailable",): "NoStore",
    ("busy", "store_unavailable"): "Busy",
    ("key_not_allowed", "role_not_allowed"): "NoRole",
    ("key_not_allowed", "origin_not_allowed", "secret_key_in_page"): "NoOrigin",
}
"""Names of answers by the codes of their problems; others have the names of all."""


def _response_name(body: Any, status: Any) -> str:  # noqa: ANN401 - JSON
    if "content" not in body:
        return _WITHOUT_BODY[status]
    (content,) = body["content"].values()
    if "$ref" not in content["schema"]:
        return "Script"
    if content["schema"]["$ref"].endswith("/Problem"):
        codes = tuple(content["examples"])
        if body["description"] == UNREAD:
            return "Unread"
        return _PROBLEM_NAMES.get(codes) or "Or".join(camel(code) for code in codes)
    name: str = content["schema"]["$ref"].rpartition("/")[2]
    return name + ("WithRateLimit" if "RateLimit" in body["headers"] else "")


def camel(name: str) -> str:
    """Write snake_case as CamelCase."""
    return "".join(word.capitalize() for word in name.split("_"))


# Schemas.


def _share_schemas(whole: dict[str, Any]) -> None:
    """Name each form of a value that is used twice; what a use says for itself stays beside the reference."""
    alike = defaultdict(list)
    for place in _schema_places(whole):
        holder, key = place
        form = {name: value for name, value in holder[key].items() if name not in _OF_ONE_USE}
        if not set(form) <= _TRIVIAL and "$ref" not in form:
            alike[json.dumps(form, sort_keys=True)].append((holder, key))
    found = whole["components"]["schemas"]
    for uses in alike.values():
        if len(uses) == 1:
            continue
        first, place = uses[0]
        # The form itself, not a copy: what repeats within it is replaced later.
        form = {name: of for name, of in first[place].items() if name not in _OF_ONE_USE}
        name = _schema_name(form, frozenset(_field(*use) for use in uses))
        if name in found:
            raise ValueError(f"two schemas are called {name}")
        said = [{k: v for k, v in holder[key].items() if k in _OF_ONE_USE} for holder, key in uses]
        same = all(one == said[0] for one in said)
        found[name] = form | (said[0] if same else {})
        for holder, key in uses:
            own = {} if same else {k: v for k, v in holder[key].items() if k in _OF_ONE_USE}
            holder[key] = {"$ref": f"#/components/schemas/{name}"} | own
    whole["components"]["schemas"] = dict(sorted(found.items()))


def _schema_places(whole: dict[str, Any]) -> Iterator[Place]:
    for schema in list(whole["components"]["schemas"].values()):
        yield from _places_in(schema)
    alone = [holder[place] for holder, place in _parameter_places(whole)]
    for parameter in [*whole["components"]["parameters"].values(), *alone]:
        if "schema" in parameter:
            yield parameter, "schema"


def _places_in(schema: dict[str, Any]) -> Iterator[Place]:
    for name, of in schema.get("properties", {}).items():
        yield schema["properties"], name
        yield from _places_in(of)
    if isinstance(schema.get("items"), dict):
        yield schema, "items"
        yield from _places_in(schema["items"])
    for part in schema.get("allOf", []):
        yield from _places_in(part)


def _field(holder: Any, key: Any) -> str:  # noqa: ANN401 - JSON
    return str(holder["name"]).replace("-", "_") if key == "schema" else str(key)


_NAMES_OF_ENUMS = {
    "allow human_check": "GuardVerdict",
    "allow refuse": "PinChoice",
    "number": "PinKind",
    "publishable": "KeyKind",
    "sms": "Channel",
    "human_check": "Level",
}
"""Names of enums, by their first value or their first two."""
_NAMES_OF_FORMS = {
    "^(?:[a-z][a-z0-9_-]{0,31})$": "Name",
    "^(?:[0-9]{1,9})$": "Digits",
    "^[0-9]{1,9}[smhd]$": "Duration",
    r"^(?:[^\x00-\x1f\x7f]{1,200})$": "Line",
    f"^(?:{TIME_FORM})$": "FiguresTime",
    1_000_000_000: "VersionNumber",
    160: "PhoneNumber",
    "^(?:[A-Za-z0-9_-]{1,64})$": "Id",
    "^(?:[a-z0-9._-]{1,64})$": "Word",
    9_999_999_999_999: "Time",
}
"""Names of forms that fields of several names have, by pattern, maximum or length."""
_NAMES_OF_FIELDS = {"data": "MessageData"}


def _schema_name(form: Mapping[str, Any], fields: frozenset[str]) -> str:
    """Name a form: by what it is, else by the only field that has it."""
    words = form.get("enum", ())
    for first in (" ".join(map(str, words[:2])), *words[:1]):
        if first in _NAMES_OF_ENUMS:
            return _NAMES_OF_ENUMS[first]
    if (mark := form.get("pattern", form.get("maximum", form.get("maxLength")))) in _NAMES_OF_FORMS:
        return _NAMES_OF_FORMS[mark]
    fields -= {"items"}
    if len(fields) != 1:
        raise ValueError(f"the form of {sorted(fields)} needs a name in {__name__}: {form}")
    (field,) = fields
    return _NAMES_OF_FIELDS.get(field, camel(field))
