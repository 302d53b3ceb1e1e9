"""The page of errors: each problem's `type` leads to a section that explains its code."""

import re

import pytest
from flask.testing import FlaskClient

from otp_service.http.problems import STATUS
from tests.house import errors_page
from tests.support.http_api import Api
from tests.support.http_calls import members

pytest_plugins = ("tests.support.http_fixtures",)
_SECTION = re.compile(r"^### (\S+)\n(.*?)(?=^#|\Z)", re.DOTALL | re.MULTILINE)
SECTIONS: dict[str, str] = dict(_SECTION.findall(errors_page.SOURCE.read_text(encoding="utf-8")))


def test_the_page_is_made_from_its_document() -> None:
    """After a change of docs/errors.md: python -m tests.house.errors_page."""
    made = errors_page.page(errors_page.SOURCE.read_text(encoding="utf-8"))
    assert errors_page.FILE.read_text(encoding="utf-8") == made


def test_there_is_a_section_for_each_code_and_no_other() -> None:
    """A new code needs one; a section of a code that is gone must go."""
    assert set(SECTIONS) == {kind.code for kind in STATUS}


@pytest.mark.parametrize(("code", "status"), [(kind.code, status) for kind, status in STATUS.items()])
def test_a_section_says_status_cause_words_and_advice(code: str, status: int) -> None:
    """The status is the one that the service answers with."""
    said = re.findall(r"^- \*\*(.+?):\*\* (\S.*)$", SECTIONS[code], re.MULTILINE)
    assert [name for name, _ in said] == ["Status", "Cause", "Person sees", "Do"]
    assert said[0][1] == str(status)


def test_the_type_of_a_problem_leads_to_its_section(api: Api) -> None:
    """On the same host, whatever its name is."""
    address, _, anchor = members(api.send("+1 555"))["type"].partition("#")
    page = api.call("GET", address, key=None)
    assert anchor == "invalid_number"
    assert f'id="{anchor}"' in page.text


def test_the_page_is_plain_and_public(client: FlaskClient) -> None:
    """No key, no script, nothing from elsewhere; its style is the one that the policy names."""
    answer = client.get("/errors")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert "default-src 'none'" in policy
    assert "script" not in answer.text.lower().replace("transcript", "").replace("description", "")
    assert re.findall(r'(?:href|src)="', answer.text) == []


def test_text_of_the_document_cannot_become_markup() -> None:
    """Only what the document marks is markup."""
    made = errors_page.page("# A & B\n\n`<otp-form>` **is** <b>\n\n- one\n  goes on\n- `two`")
    assert '<h1 id="a-&-b">A &amp; B</h1>' in made
    assert "<p><code>&lt;otp-form&gt;</code> <strong>is</strong> &lt;b&gt;</p>" in made
    assert "<ul>\n<li>one goes on</li>\n<li><code>two</code></li>\n</ul>" in made
