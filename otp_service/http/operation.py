"""A view's description, from which openapi.yaml is made and which decides who may call.

Knows roles, kinds of caller and schemas. Must not know any single call.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import request
from marshmallow import Schema

from otp_service import errors
from otp_service.http.auth import authenticate
from otp_service.http.body import MAX_POLICY
from otp_service.http.view import core
from otp_service.policy import ROLES

CLIENT_KEYS = ("publishable", "secret")
"""The kinds of keys that apps have."""
OPS_KEYS = ("ops",)
"""The kind of keys that operators have."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What openapi.yaml says about a view. `keys` are the kinds of keys that may call it; none if all may."""

    summary: str
    answer: type[Schema] | None
    status: int = 200
    body: type[Schema] | None = None
    query: type[Schema] | None = None
    keys: tuple[str, ...] = ()
    role: str = ROLES[-1]
    """The lowest role of an operator who may call it."""
    by_app: bool = False
    """Whether operators who are limited to apps may call it: it shows and does only what belongs to these."""
    idempotent: bool = False
    problems: tuple[type[errors.OtpError], ...] = ()
    media: str = "text/plain"
    """Media type of an answer without a schema."""
    csv: bool = False
    """Whether it also answers with CSV."""
    large: bool = False
    """Whether the body may be as large as a policy, or as a batch of reports."""
    open_on_own_port: bool = False
    """Whether no key is asked for if operators have a port of their own: who reaches that port is known."""


def operation(**kwargs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401 - as Operation
    """Describe a view, and let only callers with one of its kinds of keys call it."""
    described = Operation(**kwargs)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(**arguments: str) -> Any:  # noqa: ANN401 - what the view answers
            if described.large:
                request.max_content_length = MAX_POLICY
            if described.keys and not (described.open_on_own_port and core().settings.ops_port):
                authenticate(described.keys, described.role, by_app=described.by_app)
            with _place(described):
                return view(**arguments)

        guarded.operation = described  # type: ignore[attr-defined]
        return guarded

    return decorate


def _place(described: Operation) -> AbstractContextManager[object]:
    """Take a place among the operators' calls that run at once. Raises Busy if all are taken: nothing waits for one."""
    return core().ops_places.take() if described.keys == OPS_KEYS else nullcontext()
