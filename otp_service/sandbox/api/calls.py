"""One call of the API for its handler: verb, parameters, arguments in the path.

Knows where the upstream accepts parameters: query, form and JSON body. Must not know the meaning of any call.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Never

from flask import Request, Response
from werkzeug.datastructures import FileStorage

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.customers import Customer

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NOTHING: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Call:
    """A request and the customer with its token. `arguments` come from the path."""

    customer: Customer
    verb: str
    parameters: Mapping[str, object]
    arguments: Mapping[str, str]
    files: Mapping[str, FileStorage]
    body: bytes
    address: str

    def text(self, name: str) -> str:
        """Return a parameter as text, empty if it is missing."""
        return as_text(self.parameters.get(name))

    def nested(self, name: str) -> Mapping[str, object]:
        """Return a parameter that is an object: in JSON, or in PHP's form with keys such as `name[key]`."""
        opening = f"{name}["
        spelt = {
            key[len(opening) : -1]: value
            for key, value in self.parameters.items()
            if key.startswith(opening) and key.endswith("]")
        }
        return {**as_object(self.parameters.get(name)), **spelt}

    def page(self) -> int:
        """Return the number of the requested page, from 1."""
        wanted = self.text("page")
        return max(1, int(wanted)) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else 1  # noqa: PLR2004 - no list has a billion pages

    def require(self, *names: str) -> None:
        """Refuse the call unless it has every parameter of `names`."""
        missing = [name for name in names if not self.text(name)]
        if missing:
            raise answers.required(*missing)


Handler = Callable[[Call], Response]
Endpoints = Mapping[str, Mapping[str, Handler]]
"""Path below `/api/v2/` to verb to handler."""


def as_text(value: object) -> str:
    """Return a scalar as a form would send it, or an empty text for anything else."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value).strip() if isinstance(value, str | int | float) else ""


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object as it is; an empty one for anything else."""
    return value if isinstance(value, dict) else NOTHING


def as_list(value: object) -> list[object]:
    """Return a JSON list as it is; an empty one for anything else."""
    return value if isinstance(value, list) else []


def parameters_of(request: Request) -> dict[str, object]:
    """Return the parameters of `request`, in whatever form they were sent. Refuses JSON that cannot be read."""
    parameters: dict[str, object] = dict(request.args.items())
    if request.is_json:
        parameters |= as_object(json_of(request))
    else:
        parameters |= request.form
    return parameters


def json_of(request: Request) -> object:
    """Parse the body. An empty one has no parameters, so the upstream reports the missing ones. Raises `Refusal`."""
    body = request.get_data()
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant) if body.strip() else NOTHING
    except (ValueError, RecursionError):
        raise answers.malformed() from None


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def call_from(
    request: Request, parameters: Mapping[str, object], customer: Customer, arguments: Mapping[str, str]
) -> Call:
    """Return the call that `request` makes with its `parameters`."""
    return Call(
        customer=customer,
        verb=_verb(request, parameters),
        parameters=parameters,
        arguments=arguments,
        files=request.files,
        body=request.get_data() if request.mimetype.endswith("xml") else b"",
        address=request.base_url,
    )


def _verb(request: Request, parameters: Mapping[str, object]) -> str:
    # Documented (v2, common rules): `_method` states the verb when the client cannot send it.
    stated = as_text(parameters.get("_method")).upper()
    if request.method in {"GET", "POST"} and stated in VERBS:
        return stated
    return "GET" if request.method == "HEAD" else request.method
