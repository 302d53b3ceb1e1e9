"""What a request says in its query, and which form of an answer it accepts.

Must not know any single call.
"""

import csv
import io
from collections.abc import Iterable
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError

from otp_service import errors
from otp_service.http.body import field_rules


def load_query(schema: type[Schema]) -> dict[str, Any]:
    """Read the query and check it. Raises Invalid, also for a parameter that is given twice."""
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    try:
        loaded: dict[str, Any] = schema().load(request.args.to_dict())
    except ValidationError as error:
        raise errors.Invalid(field_rules(error.normalized_messages())) from None  # type: ignore[no-untyped-call]
    if twice:
        raise errors.Invalid({name: ["must not be given twice"] for name in twice})
    return loaded


def accepts_csv(format_: str | None) -> bool:
    """Tell whether CSV is asked for, by the query's `format` or else by Accept."""
    if format_ is not None:
        return format_ == "csv"
    return request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv"


def csv_answer(lines: Iterable[Iterable[Any]]) -> Response:
    """Answer with CSV (RFC 4180)."""
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return Response(written.getvalue(), mimetype="text/csv")
