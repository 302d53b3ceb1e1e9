"""The console as a browser without JavaScript sees it: pages are read, forms are sent with the session's token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import OPS
from tests.support.http_api import Api

HOME = "/ops/console/"
OWN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form that a page of the same origin sends."""


@dataclass
class Console:
    """A browser at the console. Each answer is kept in `answers`."""

    client: FlaskClient
    answers: list[TestResponse] = field(default_factory=list)
    token: str = ""

    def get(self, page: str = "", **options: Mapping[str, str]) -> TestResponse:
        """Open a page by its path below the console."""
        answer = self.client.get(HOME + page, headers=options.get("headers"))
        self._remember(answer)
        return answer

    def post(self, page: str, headers: Mapping[str, str] = OWN, **fields: str) -> TestResponse:
        """Send a form. A field of a name with a space is written with two underscores."""
        named = {name.replace("__", " "): value for name, value in fields.items()}
        data = {"form_token": self.token, **named}
        answer = self.client.post(
            HOME + page, data=data, headers=dict(headers), content_type="multipart/form-data"
        )
        self._remember(answer)
        return answer

    def sign_in(self, key: str = OPS) -> TestResponse:
        """Show a key; if it is an operator's, open the first page."""
        answer = self.post("sign-in", key=key)
        if answer.status_code == 303:
            self.get()
        return answer

    def _remember(self, answer: TestResponse) -> None:
        self.answers.append(answer)
        if found := re.search(r'name="form-token" content="([^"]+)"', answer.get_data(as_text=True)):
            self.token = found[1]


def console_of(api: Api, key: str | None = OPS) -> Console:
    """Give a browser at the console of an application whose policy is in the store, signed in with a key."""
    api.core.begin_policy()
    api.core.active.refresh()
    console = Console(api.flask.test_client())
    if key:
        assert console.sign_in(key).status_code == 303
    return console
