"""Stored SMS templates, with `{{name}}` for each variable.

Knows bodies and aliases. Must not know which call sends them.
"""

import itertools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response

from otp_service.sandbox.api import answers
from otp_service.sandbox.api.calls import Call, Endpoints, as_text

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One stored template."""

    id: int
    alias: str
    name: str
    sender: str
    body: str
    template_id: str
    type: str

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the body with its variables replaced; a variable without a value becomes empty."""
        return _VARIABLE.sub(lambda variable: as_text(values.get(variable[1])), self.body)

    def row(self) -> dict[str, object]:
        """Return the fields that the API shows."""
        names = ("id", "alias", "name", "sender", "body", "template_id", "type")
        return {**{name: getattr(self, name) for name in names}, "status": 1}


class SmsTemplates:
    """The account's templates, with one named `otp` from the start; many threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._templates: dict[str, Template] = {}
        self._add("otp", "VERIFY", "{{code}} is your verification code.", "", "T")

    def endpoints(self) -> Endpoints:
        """Return the handlers by path and verb."""
        return {"sms/templates": {"GET": self.list, "POST": self.create}}

    def template(self, alias_or_id: str) -> Template | None:
        """Return the template with this alias or id."""
        with self._lock:
            by_id = (kept for kept in self._templates.values() if str(kept.id) == alias_or_id)
            return self._templates.get(alias_or_id) or next(by_id, None)

    def list(self, call: Call) -> Response:
        """List the templates."""
        with self._lock:
            rows = [template.row() for template in self._templates.values()]
        return answers.page_of(
            rows, page=call.page(), per_page=15, address=call.address, message="Templates List"
        )

    def create(self, call: Call) -> Response:
        """Store a template; it is approved at once."""
        call.require("sender", "name", "body")
        names = ("name", "sender", "body", "template_id", "type")
        created = self._add(*(call.text(name) for name in names))
        return answers.ok("Created successfully", created.row())

    def _add(self, name: str, sender: str, body: str, template_id: str, kind: str) -> Template:
        alias = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        with self._lock:
            created = Template(next(self._ids), alias, name, sender, body, template_id, kind or "T")
            self._templates[alias] = created
        return created
