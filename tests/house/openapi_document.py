"""openapi.yaml, made from the views and their schemas. Must not hold a field's description of its own.

`python -m tests.house.openapi_document` writes it; with `--check` it exits with 1 if the file differs.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema
from werkzeug.routing import Rule

from otp_service import __version__, errors
from otp_service.http import app as http_app
from otp_service.http.operation import Operation
from otp_service.http.origins import SecretKeyInPage
from otp_service.http.problems import STATUS
from otp_service.http.schemas.fields import Strict
from otp_service.http.schemas.health import HealthSchema
from otp_service.http.schemas.paths import PathSchema
from otp_service.http.schemas.problem import ProblemSchema
from otp_service.http.server import refusals
from otp_service.policy import ROLES
from tests.conftest import make_core
from tests.house import (
    openapi_examples,
    openapi_query,
    openapi_reports,
    openapi_shared,
    openapi_webhooks,
    openapi_yaml,
)

FILE = Path(__file__).parents[2] / "openapi.yaml"
HEADER = "# Made by python -m tests.house.openapi_document from the views and schemas of otp_service.\n"
TAGS = {
    "Verification": "Send a code to a phone number and check what the person types.",
    "Tokens": "Redeem or check the signed token of a verified number.",
    "Callbacks": "What upstream accounts call: delivery reports and inbound messages.",
    "Operators": "Manage the policy, keys, blocks and numbers. These paths can have an address of their own.",
    "Health": "Probes and metrics.",
}
SERVERS = [
    {
        "url": "{apps}",
        "description": "The address for apps and upstream accounts.",
        "variables": {
            "apps": {"default": "http://127.0.0.1:8000", "description": "The default is the demo's."}
        },
    },
    {
        "url": "{operators}",
        "description": "For /ops and /metrics if OTP_OPS_LISTEN is set, otherwise the same as the first; /healthz and "
        "/readyz are on both.",
        "variables": {
            "operators": {"default": "http://127.0.0.1:8000", "description": "The default is the demo's."}
        },
    },
]
SECURITY_SCHEMES = {
    "publishableKey": "pk_..., an app's key for browsers and mobile apps.",
    "secretKey": "sk_..., an app's key for its servers.",
    **{
        f"opsKey{role.capitalize()}": f"ops_..., the key of an operator with the role `{role}` or a higher one."
        for role in ROLES
    },
    "upstreamSecret": "A secret whose SHA-256 is in the upstream account's receipts.secrets.",
}
_UNREAD = (
    errors.InternalError,
    refusals.MalformedRequest,
    errors.MethodNotAllowed,
    refusals.UriTooLong,
    refusals.HeadersTooLarge,
    refusals.RequestTimeout,
    errors.MalformedJson,
    errors.UnsupportedMediaType,
    errors.BodyTooLarge,
)
"""Why no call could read the request: together they are the answer `default`."""
_OF_BODIES = {errors.MalformedJson, errors.UnsupportedMediaType, errors.BodyTooLarge}
_WITH_KEY = (errors.MissingKey, errors.UnknownKey, errors.KeyNotAllowed)
_WITH_STORE = (errors.StoreUnavailable,)


def application() -> Flask:
    """Make the application to describe; it is never asked anything, so its store need not exist."""
    return http_app.web(make_core("unix:///nowhere", "http://127.0.0.1:9"))


def document(app: Flask) -> str:
    """Write the OpenAPI 3.1 document of an application as YAML."""
    return HEADER + openapi_yaml.text(described(app))


def described(app: Flask) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of an application."""
    plugin = MarshmallowPlugin(schema_name_resolver=name_of)
    spec = APISpec(
        title="OTP verification service", version=__version__, openapi_version="3.1.0", plugins=[plugin]
    )
    for path, operations in _paths(app):
        spec.path(path=path, operations=operations)
    made = spec.to_dict()
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": made["info"]["title"],
            "version": made["info"]["version"],
            "description": "Proves that a person holds a phone number. SMS and calls are restricted authenticators "
            "(NIST SP 800-63B-4): docs/security.md says what an app owes its users. Answers may get new "
            "fields: ignore those that you do not know. Every path also answers OPTIONS, and HEAD if it answers GET.",
            "contact": {"name": "The operators of this service"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": SERVERS,
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": made["paths"],
        "webhooks": openapi_webhooks.webhooks(),
        "components": {
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer", "description": about}
                for name, about in SECURITY_SCHEMES.items()
            },
            "schemas": _schemas(made["components"]["schemas"], plugin) | openapi_webhooks.schemas(),
        },
    }
    whole["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = sorted(k.code for k in STATUS)
    openapi_examples.add(whole, app)
    finished: dict[str, Any] = openapi_shared.shared(whole)
    return finished


def _schemas(found: dict[str, Any], plugin: MarshmallowPlugin) -> dict[str, Any]:
    """Say of each schema what it is, and of an answer that extends another only what it adds."""
    if plugin.converter is None:
        raise TypeError("the plugin was given to no document")
    kinds = {name: key[0] for key, name in plugin.converter.refs.items()}
    for name, schema in found.items():
        kind = kinds[name]
        closed = issubclass(kind, Strict)
        for field in schema["properties"].values():
            field.pop("default", None)  # generators take a field with a default for one that must be there
            if field.get("additionalProperties") == {}:
                del field["additionalProperties"]  # what every object may have
        found[name] = {"description": sentence(kind), **schema}
        if closed:
            continue
        found[name].pop("additionalProperties", None)  # answers may get new fields
        bases = [base for base in kind.__bases__ if name_of(base) in found]
        if bases:
            inherited = {field for base in bases for field in base().fields}
            own = {n: of for n, of in schema["properties"].items() if n not in inherited}
            required = [n for n in schema.get("required", []) if n not in inherited]
            extra = [{"type": "object", "required": required, "properties": own}] if own else []
            parts = [{"$ref": f"#/components/schemas/{name_of(base)}"} for base in bases]
            found[name] = {"description": sentence(kind), "allOf": [*parts, *extra]}
    return found


def _paths(app: Flask) -> Iterator[tuple[str, dict[str, Any]]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        about = getattr(app.view_functions[rule.endpoint], "operation", None)
        if isinstance(about, Operation):
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)
            yield path, {method.lower(): _operation(app, rule, about, method) for method in methods}


def _operation(app: Flask, rule: Rule, about: Operation, method: str) -> dict[str, Any]:
    view = app.view_functions[rule.endpoint]
    only = (rule.methods or set()) <= {"HEAD", "OPTIONS", method}
    role = about.role.capitalize() if about.keys == ("ops",) else ""
    operation: dict[str, Any] = {
        "operationId": operation_id(view.__name__, "" if only else method),
        "tags": [tag_of(rule.rule)],
        "summary": about.summary,
        "description": view.__doc__ or "",
        "security": [{f"{kind}Key{role}": []} for kind in about.keys] + [{}] * about.open_on_own_port,
        "parameters": [path_parameter(name) for name in sorted(rule.arguments)],
        "requestBody": None,
        "responses": dict(sorted(_responses(rule.rule, about).items())),
    }
    if about.query:
        operation["parameters"] += openapi_query.parameters(about.query)
    if about.idempotent:
        operation["parameters"].append(_IDEMPOTENCY)
    if about.body:
        fields = about.body().fields
        required = "since" in fields or any(field.required for field in fields.values())
        content = {"application/json": {"schema": about.body}}
        operation["requestBody"] = {"required": required, "content": content}
    if operation["tags"] == ["Callbacks"]:
        openapi_reports.add(operation, method, by_path="secret" in rule.arguments)
    return {key: value for key, value in operation.items() if value or key == "security"}


def name_of(schema: Any) -> str:  # noqa: ANN401 - a schema's class or instance
    """Give a schema's name in the document."""
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


def operation_id(view: str, method: str) -> str:
    """Give the name of the method of a generated client: the view's, noun first, and an HTTP method if it has several.

    `list_keys` becomes keysList, `receive_reports_by_path` with PUT becomes reportsReceiveByPathPut.
    """
    what, by, how = view.partition("_by_")
    verb, _, noun = what.partition("_")
    name = openapi_shared.camel(f"{noun}_{verb}{by}{how}_{method.replace('POST', '')}")
    return name[0].lower() + name[1:]


def tag_of(path: str) -> str:
    """Say under which heading a path stands."""
    for beginning, tag in _TAGS.items():
        if path.startswith(beginning):
            return tag
    raise ValueError(f"no tag for {path}")


_TAGS = {
    "/.well-known/": "Tokens",
    "/otp/token/": "Tokens",
    "/otp": "Verification",
    "/webhooks/": "Callbacks",
    "/ops/": "Operators",
    "/errors": "Verification",
    "/healthz": "Health",
    "/readyz": "Health",
    "/metrics": "Health",
}


def _responses(path: str, about: Operation) -> dict[str, Any]:
    responses = _answers(path, about)
    by_status = _by_status(about)
    for kind in _UNREAD:
        if kind not in _OF_BODIES or about.body:
            by_status.get(STATUS[kind], []).append(kind)
    for status, kinds in sorted(by_status.items()):
        responses.setdefault(str(status), _problem(kinds))
    if not any(status.startswith("4") for status in responses):
        responses["400"] = _problem([refusals.MalformedRequest])
    return responses | {"default": _problem(_UNREAD, *_HEADERS_OF[405])}


def _answers(path: str, about: Operation) -> dict[str, Any]:
    """Describe the answers that are no problems."""
    if about.answer is None:
        body: dict[str, Any] = {"schema": {"type": "string"}, "example": openapi_examples.TEXTS[about.media]}
        answer = _response("OK.", about.media, body, "X-Request-Id")
    else:
        budget = ("RateLimit", "RateLimit-Policy") if errors.TooManyRequests in about.problems else ()
        answer = _response("OK.", "application/json", {"schema": about.answer}, "X-Request-Id", *budget)
    if about.csv:
        answer["content"]["text/csv"] = {
            "schema": {"type": "string"},
            "example": openapi_examples.TEXTS["text/csv"],
        }
    found = {str(about.status): answer}
    if "<file>" in path:
        answer["content"]["application/json"] = {
            "schema": {"type": "object"},
            "example": {"send": "Send code"},
        }
    if about.media == "text/javascript":
        answer["headers"]["ETag"] = openapi_shared.HEADERS["ETag"]
        found["304"] = {
            "description": "The caller has this version already.",
            "headers": {name: answer["headers"][name] for name in ("ETag", "X-Request-Id")},
        }
    if about.answer is HealthSchema and path == "/readyz":
        found["503"] = _response(
            "A part does not answer.",
            "application/json",
            {
                "schema": about.answer,
                "example": {"status": "unavailable", "parts": {"store": "store_unavailable"}},
            },
            "X-Request-Id",
            "Retry-After",
        )
    return found


def sentence(schema: type[Schema]) -> str:
    """Give the first line of a schema's docstring."""
    return (schema.__doc__ or "").partition("\n")[0]


_HEADERS_OF = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}


def _problem(kinds: Iterable[type[errors.OtpError]], *headers: str) -> dict[str, Any]:
    codes = [kind.code for kind in sorted(kinds, key=lambda kind: kind.code)]
    status = {STATUS[kind] for kind in kinds}
    headers = ("X-Request-Id", *headers)
    if len(status) == 1:
        named = ", ".join(f"`{code}`" for code in codes)
        headers += _HEADERS_OF.get(status.pop(), ())
    else:
        named = openapi_shared.UNREAD
    if {errors.TooManyRequests, errors.HumanCheckRequired} & set(kinds):
        headers += ("RateLimit", "RateLimit-Policy")
    examples = {code: {"value": openapi_examples.PROBLEM} for code in codes}
    body = {"schema": ProblemSchema, "examples": examples}
    return _response(named, "application/problem+json", body, *headers)


def _response(about: str, media: str, body: dict[str, Any], *headers: str) -> dict[str, Any]:
    named = {name: openapi_shared.HEADERS[name] for name in headers}
    return {"description": about, "headers": named, "content": {media: body}}


def _by_status(about: Operation) -> dict[int, list[type[errors.OtpError]]]:
    kinds = [*about.problems]
    if about.keys:
        kinds += [*_WITH_KEY, *_WITH_STORE]
    if about.keys == ("ops",):
        kinds += [errors.RoleNotAllowed, errors.Busy] + [errors.OperatorLimited] * (not about.by_app)
    if "publishable" in about.keys:
        kinds.append(errors.OriginNotAllowed)  # only browsers' keys are tied to origins
    if "secret" in about.keys:
        kinds.append(SecretKeyInPage)
    if about.body:
        kinds.append(errors.Invalid)
    found: dict[int, list[type[errors.OtpError]]] = {}
    for kind in set(kinds):
        found.setdefault(STATUS[kind], []).append(kind)
    return found


def path_parameter(name: str) -> dict[str, Any]:
    """Describe a part of a path as its field says."""
    data = PathSchema().fields[name].metadata
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": data["description"],
        "schema": {"type": "string", "pattern": data["pattern"]},
        "example": data["example"],
    }


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body get the same answer: of a send for 24 hours, of a check or redemption while "
    "its token lives. A page's has 22 characters or more.",
    "schema": {"type": "string", "pattern": r'^(?:"[ !#-\[\]-~]{1,128}"|[!#-~]{1,128})$'},
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}


def main(arguments: list[str]) -> int:
    """Write the file, or check it; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.openapi_document", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if the file differs"
    )
    parser.add_argument("--file", type=Path, default=FILE, help="default: openapi.yaml at the top")
    options = parser.parse_args(arguments)
    wanted = document(application())
    if not options.check:
        options.file.write_text(wanted, encoding="utf-8")
        return 0
    if options.file.is_file() and options.file.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(
        f"{options.file} is not what the code says: run python -m tests.house.openapi_document\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
