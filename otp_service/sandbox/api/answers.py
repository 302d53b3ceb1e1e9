"""The upstream's general answers: errors, lists, the login page.

Knows their fields and statuses. Must not know which call was made.
"""

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Response, render_template, request

from otp_service.sandbox.mailbox import Message
from otp_service.sandbox.times import portal_time

JsonObject = dict[str, object]


class Refusal(Exception):
    """Ends the call with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `body` as compact JSON."""
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, status, headers=headers, content_type="application/json")


def cut_in_half(response: Response) -> Response:
    """Cut the JSON text of an answer in half, with correct framing."""
    whole = response.get_data()
    response.set_data(whole[: len(whole) // 2])
    return response


def ok(message: str, data: object) -> Response:
    """Return a success in the newer form."""
    return json_answer({"status": "OK", "code": 200, "message": message, "data": data})


def error(code: int, message: str, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """Return an error with its `status`, `code` and `message`; the vendor's own clients read all three.

    The `status` is ERROR, or the number for a bad token.
    """
    status = code if code == HTTPStatus.UNAUTHORIZED else "ERROR"
    return json_answer({"status": status, "code": code, "message": message, **more}, code, headers)


def malformed() -> Refusal:
    """Refuse a body that is not the JSON that it claims to be, with 400."""
    return Refusal(error(400, "The body is not valid JSON."))


def unauthenticated() -> Refusal:
    """Refuse a bad token: with JSON if the client asked for it, or else with the login page."""
    # The framework of the upstream checks only the first choice, and `*/*` does not ask for JSON.
    if "json" in (request.accept_mimetypes.best or ""):
        return Refusal(error(401, "Unauthenticated."))
    return Refusal(login_page(401))


def login_page(status: int) -> Response:
    """Return the HTML page that links to the portal's /login."""
    return Response(render_template("login.html"), status, content_type="text/html; charset=utf-8")


def invalid(errors: Mapping[str, Sequence[str]]) -> Refusal:
    """Refuse with 422 and the errors of each field."""
    return Refusal(error(422, "The given data was invalid.", errors=errors))


def required(*fields: str) -> Refusal:
    """Refuse with 422 because `fields` are missing."""
    return invalid({field: [f"The {field.replace('_', ' ')} field is required."] for field in fields})


def not_found(message: str = "Not Found") -> Refusal:
    """Refuse with 404."""
    return Refusal(error(404, message))


def too_many(headers: Mapping[str, str]) -> Refusal:
    """Refuse with 429; `headers` say when to try again."""
    return Refusal(error(429, "Too Many Attempts.", headers))


def page_of(rows: Sequence[object], *, page: int, per_page: int, address: str, message: str) -> Response:
    """Return one page of `rows` with links and meta, as in the newer lists."""
    last = max(1, math.ceil(len(rows) / per_page))
    start = (page - 1) * per_page
    shown = rows[start : start + per_page]

    def link(number: int) -> str | None:
        return f"{address}?page={number}" if 1 <= number <= last else None

    def button(number: int, label: str, *, active: bool = False) -> JsonObject:
        return {"url": link(number), "label": label, "active": active}

    buttons = [
        button(page - 1, "&laquo; Previous"),
        *(button(number, str(number), active=number == page) for number in range(1, last + 1)),
        button(page + 1, "Next &raquo;"),
    ]
    return json_answer(
        {
            "status": "OK",
            "code": 200,
            "message": message,
            "data": shown,
            "links": {"first": link(1), "last": link(last), "prev": link(page - 1), "next": link(page + 1)},
            "meta": {
                "current_page": page,
                "from": start + 1 if shown else None,
                "last_page": last,
                "links": buttons,
                "path": address,
                "per_page": per_page,
                "to": start + len(shown) if shown else None,
                "total": len(rows),
            },
        }
    )


def has_keys(message: Message, keys: Mapping[str, str]) -> bool:
    """Return whether a message has these values, by which a caller asks for its status."""
    values = {
        "id": message.id,
        "mobile": message.to,
        "cid": message.custom,
        "date": portal_time(message.submitted_at)[:10],
        "group_id": message.group_id,
    }
    return all(values[key] == wanted for key, wanted in keys.items())
