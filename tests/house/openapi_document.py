"""openapi.yaml, made from the views and their schemas. Must not hold a field's description of its own.

`python -m tests.house.openapi_document` writes it; with `--check` it exits with 1 when the file differs.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask

from otp_service import __version__, errors
from otp_service.http import app as http_app
from otp_service.http.operation import Operation
from otp_service.http.problems import STATUS
from otp_service.http.schemas.health import HealthSchema
from otp_service.http.schemas.paths import PathSchema
from otp_service.http.schemas.problem import ProblemSchema
from tests.conftest import make_core

FILE = Path(__file__).parents[2] / "openapi.yaml"
_EVERYWHERE = (errors.InternalError,)
_WITH_KEY = (errors.MissingKey, errors.UnknownKey, errors.KeyNotAllowed)
_WITH_BODY = (errors.MalformedJson, errors.UnsupportedMediaType, errors.BodyTooLarge, errors.Invalid)
_WITH_STORE = (errors.StoreUnavailable,)
_REQUEST_ID = {"description": "Also in logs and problems.", "schema": {"type": "string"}}
_RETRY_AFTER = {
    "description": ProblemSchema().fields["retry_after"].metadata["description"],
    "schema": {"type": "integer"},
}


def application() -> Flask:
    """Make the application to describe; it is never asked anything, so its store need not exist."""
    return http_app.web(make_core("unix:///nowhere", "http://127.0.0.1:9"))


class _Plain(yaml.SafeDumper):
    """Writes everything out where it stands."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the dumper's signature
        return True


def document(app: Flask) -> str:
    """Write the OpenAPI 3.1 document of an application as YAML."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="OTP verification service",
        version=__version__,
        openapi_version="3.1.0",
        info={
            "description": "Proves that a person holds a phone number. SMS and calls are restricted authenticators "
            "(NIST SP 800-63B-4): docs/security.md says what an app owes its users.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        servers=[{"url": "/"}],
        plugins=[plugin],
    )
    for scheme, about in (("appKey", "pk_... from browsers, sk_... from servers"), ("opsKey", "ops_...")):
        spec.components.security_scheme(scheme, {"type": "http", "scheme": "bearer", "description": about})
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        described = getattr(view, "operation", None)
        if isinstance(described, Operation):
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            name = rule.endpoint.rpartition(".")[2]
            parameters = [_path_parameter(argument) for argument in sorted(rule.arguments)]
            operations = {}
            for method in sorted(methods):
                operation = _operation(
                    name if len(methods) == 1 else f"{name}_{method.lower()}", view.__doc__ or "", described
                )
                operation["parameters"] = parameters + operation["parameters"]
                operations[method.lower()] = operation
            spec.path(path=re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), operations=operations)
    body: str = yaml.dump(spec.to_dict(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    return (
        f"# Made by python -m tests.house.openapi_document from the views and schemas of otp_service.\n{body}"
    )


def _name(schema: Any) -> str:  # noqa: ANN401 - a schema's class or instance
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


def _operation(name: str, about: str, described: Operation) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": name, "summary": described.summary, "description": about}
    if described.keys:
        operation["security"] = [{"opsKey": []} if described.keys == ("ops",) else {"appKey": []}]
    if described.keys == ("ops",):
        operation["description"] += f" For operators of the role `{described.role}` or a higher one."
    operation["parameters"] = [_IDEMPOTENCY] if described.idempotent else []
    if described.body:
        required = bool([f for f in described.body().fields.values() if f.required])
        content = {"application/json": {"schema": described.body}}
        operation["requestBody"] = {"required": required, "content": content}
    operation["responses"] = _responses(described)
    return operation


def _responses(described: Operation) -> dict[str, Any]:
    if described.answer is None:
        content: dict[str, Any] = {described.media: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": described.answer}}
    good = {"description": described.summary, "headers": {"X-Request-Id": _REQUEST_ID}, "content": content}
    responses: dict[str, Any] = {str(described.status): good}
    if described.answer is HealthSchema:
        headers = {"X-Request-Id": _REQUEST_ID, "Retry-After": _RETRY_AFTER}
        responses["503"] = {**good, "description": "A part does not answer", "headers": headers}
    for status, kinds in sorted(_by_status(described).items()):
        headers = {"X-Request-Id": _REQUEST_ID} | (
            {"Retry-After": _RETRY_AFTER} if status in {429, 503} else {}
        )
        codes = ", ".join(f"`{kind.code}`" for kind in kinds)
        responses.setdefault(
            str(status),
            {
                "description": f"Problem: {codes}",
                "headers": headers,
                "content": {"application/problem+json": {"schema": ProblemSchema}},
            },
        )
    return responses


def _by_status(described: Operation) -> dict[int, list[type[errors.OtpError]]]:
    kinds = [*described.problems, *_EVERYWHERE]
    if described.keys:
        kinds += [*_WITH_KEY, *_WITH_STORE]
    if described.keys == ("ops",):
        kinds.append(errors.RoleNotAllowed)
    if "publishable" in described.keys:
        kinds.append(errors.OriginNotAllowed)  # only browsers' keys are tied to origins
    if described.body:
        kinds += _WITH_BODY
    found: dict[int, list[type[errors.OtpError]]] = {}
    for kind in kinds:
        found.setdefault(STATUS[kind], []).append(kind)
    return found


def _path_parameter(name: str) -> dict[str, Any]:
    field = PathSchema().fields[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": field.metadata["description"],
        "schema": {"type": "string", "pattern": field.metadata["pattern"]},
    }


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body does the work once and gives the same challenge again, "
    "for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 130},
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}


def main(arguments: list[str]) -> int:
    """Write the file, or check it; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.openapi_document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 when it differs")
    parser.add_argument("--file", type=Path, default=FILE, help="openapi.yaml at the top unless named")
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
