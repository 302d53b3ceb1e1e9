"""The sandbox answers like the documented API, over real HTTP."""

import re

import pytest
import requests

from otp_service.sandbox import SandboxConfig
from otp_service.sandbox.api.account import Account
from tests.support.patience import PATIENCE
from tests.support.sandbox_server import DELIVERED, TOKEN, Running, Start, usual

pytest_plugins = ("tests.support.sandbox_fixtures",)

FIELDS = {"to": DELIVERED, "message": "Your code is 482913", "sender": "TXTSMS", "service": "T"}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_a_send_is_answered_field_by_field(sandbox: Running) -> None:
    """The answer has exactly the documented fields."""
    answer = sandbox.send(message="Your code is 482913", custom="ref-1")
    body = answer.json()
    row = body["data"][0]
    assert answer.status_code == 200
    assert (body["status"], body["message"]) == (200, "1 numbers accepted for delivery.")
    assert re.fullmatch(UUID + ":1", row.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop("submitted_at"))
    assert row == {
        "mobile": DELIVERED,
        "status": "AWAITING-DLR",
        "units": 1,
        "length": 19,
        "charges": 1,
        "customid": "ref-1",
        "iso_code": None,
    }


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("verb", "form"), [("GET", "params"), ("POST", "params"), ("POST", "data"), ("POST", "json")]
)
def test_a_send_works_in_every_form(sandbox: Running, verb: str, form: str, slash: str) -> None:
    """By GET or POST, with parameters in query, form or JSON, with or without a slash at the end."""
    url = f"{sandbox.url}/api/v2/sms/send{slash}"
    answer = sandbox.client.request(verb, url, **{form: FIELDS}, allow_redirects=False, timeout=PATIENCE)  # type: ignore[arg-type]  # one of three
    assert answer.json()["data"][0]["status"] == "AWAITING-DLR"
    assert sandbox.inbox()[0]["code"] == "482913"


@pytest.mark.parametrize("form", ["params", "data", "json"])
def test_the_token_may_be_a_parameter(sandbox: Running, form: str) -> None:
    """`access_token` counts in query, form and JSON where a header is impossible."""
    url = f"{sandbox.url}/api/v2/sms/send"
    answer = requests.post(url, **{form: {**FIELDS, "access_token": TOKEN}}, timeout=PATIENCE)  # type: ignore[arg-type]  # one of three
    assert answer.json()["status"] == 200


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}"])
def test_a_bad_token_is_unauthenticated(sandbox: Running, token: str) -> None:
    """Clients that ask for JSON get JSON, all others the login page; nothing is sent."""
    url = f"{sandbox.url}/api/v2/sms/send"
    headers = {"Authorization": token} if token else {}
    as_json = requests.post(url, FIELDS, headers={**headers, "Accept": "application/json"}, timeout=PATIENCE)
    as_html = requests.post(url, FIELDS, headers=headers, timeout=PATIENCE)
    assert (as_json.status_code, as_json.json()) == (
        401,
        {"status": 401, "code": 401, "message": "Unauthenticated."},
    )
    assert as_html.status_code == 401
    assert as_html.headers["Content-Type"].startswith("text/html")
    assert f"{sandbox.url}/login" in as_html.text
    assert sandbox.inbox() == []


@pytest.mark.parametrize(
    "raw", [b"{", b'{"to": }', b"\xff", b"[" * 100_000, b"nothing", b'{"to": NaN}', b"\xef\xbb\xbf{}"]
)
def test_malformed_json_is_400(sandbox: Running, raw: bytes) -> None:
    """It is not read as a request without fields."""
    url, headers = f"{sandbox.url}/api/v2/sms/send", {"Content-Type": "application/json"}
    answer = sandbox.client.post(url, data=raw, headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()) == (
        400,
        {"status": "ERROR", "code": 400, "message": "The body is not valid JSON."},
    )


@pytest.mark.parametrize(
    ("verb", "path", "code"),
    [("POST", "no/such/call", 404), ("DELETE", "sms/send", 405), ("GET", "sms/send/json", 405)],
)
def test_every_error_has_status_code_and_message(sandbox: Running, verb: str, path: str, code: int) -> None:
    """The vendor's own clients read all three, and misread an error that lacks one."""
    answer = sandbox.client.request(verb, f"{sandbox.url}/api/v2/{path}", timeout=PATIENCE)
    said = answer.json()
    assert (answer.status_code, said["status"], said["code"], bool(said["message"])) == (
        code,
        "ERROR",
        code,
        True,
    )


def test_missing_fields_are_all_named(sandbox: Running) -> None:
    """A 422 says of each missing field that it is required."""
    answer = sandbox.post("sms/send", {"to": DELIVERED})
    assert answer.status_code == 422
    assert answer.json() == {
        "status": "ERROR",
        "code": 422,
        "message": "The given data was invalid.",
        "errors": {
            "message": ["The message field is required."],
            "sender": ["The sender field is required."],
            "service": ["The service field is required."],
        },
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "+12025550100"),
        ("to", "0012025550100"),
        ("to", "12025550100,abc"),
        ("to", "1"),
        ("message", "x" * 4097),
        ("type", "X"),
        ("time", "tomorrow"),
        ("webhook_id", "unknown"),
        ("service", "no such service"),
        ("max_units", "-1"),
    ],
)
def test_a_wrong_field_is_named(sandbox: Running, field: str, value: str) -> None:
    """A 422 names the field that is wrong, and nothing is sent."""
    answer = sandbox.send(**{field: value})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
    assert sandbox.inbox() == []


@pytest.mark.parametrize("body", ["[]", "null", '"text"', '{"to": {"a": 1}}', " "])
def test_a_body_that_is_no_object_counts_as_empty(sandbox: Running, body: str) -> None:
    """As in PHP, so the answer says what is missing."""
    url = f"{sandbox.url}/api/v2/sms/send"
    headers = {"Content-Type": "application/json"}
    answer = sandbox.client.post(url, body.encode("latin-1"), headers=headers, timeout=PATIENCE)
    assert answer.status_code == 422
    assert "to" in answer.json()["errors"]


def test_several_numbers_are_several_messages(sandbox: Running) -> None:
    """A list separated by commas makes one group of numbered messages."""
    rows = sandbox.send(to="12025550100, 12025550101").json()["data"]
    groups, numbers = zip(*(row["id"].split(":") for row in rows), strict=True)
    assert [row["mobile"] for row in rows] == ["12025550100", "12025550101"]
    assert (len(set(groups)), numbers) == (1, ("1", "2"))


def test_a_normal_text_is_brought_to_its_alphabet(sandbox: Running) -> None:
    """Type N, also the default, replaces; type U and A keep."""
    for text_type in ("N", "", "U", "A"):
        sandbox.send(message="код 4829", type=text_type)
    kept, replaced = "код 4829", "??? 4829"
    assert [row["text"] for row in sandbox.inbox()] == [kept, kept, replaced, replaced]


@pytest.mark.parametrize(("unicode", "text"), [("1", "код"), ("auto", "код"), ("0", "???")])
def test_the_older_name_of_the_type_is_honoured(sandbox: Running, unicode: str, text: str) -> None:
    """`unicode`, as it was until 2018."""
    sandbox.send(message="код", unicode=unicode)
    assert sandbox.inbox()[0]["text"] == text


def test_the_balance_goes_down_by_the_charges(start: Start) -> None:
    """Both paths show it, for the service that was used only."""
    sandbox = start(usual(credits=10))
    assert sandbox.send(message="a" * 161).json()["data"][0]["charges"] == 2
    for path in ("account/balance", "finance/balance"):
        body = sandbox.get(path).json()
        assert (body["status"], body["message"]) == (200, "OK")
        credits_left = {row["service"]: row["credits"] for row in body["data"]}
        assert (credits_left["T"], credits_left["P"]) == (8, 10)
        assert set(body["data"][0]) == {"service", "name", "postpaid", "credits", "charges"}


def test_without_credits_nothing_is_sent(start: Start) -> None:
    """The recipient's status says so, and the balance stays."""
    sandbox = start(usual(credits=1))
    row = sandbox.send(message="a" * 161).json()["data"][0]
    assert (row["status"], row["charges"]) == ("NO-CREDITS", 0)
    assert sandbox.inbox() == []
    statuses = [sandbox.send().json()["data"][0]["status"] for _ in range(2)]
    assert statuses == ["AWAITING-DLR", "NO-CREDITS"]


def test_a_white_labels_own_service_code_is_taken(sandbox: Running) -> None:
    """Service codes are free text per white label."""
    sandbox.send(service="MKT")
    rows = sandbox.get("account/balance", service="MKT").json()["data"]
    assert [row["service"] for row in rows] == ["MKT"]


def test_service_codes_do_not_grow_without_end() -> None:
    """One code too many has no credits."""
    account = Account(10)
    taken = [account.charge(f"X{number}", 1) for number in range(300)]
    assert 100 < taken.count(True) < 300
    assert account.charge("X0", 1)
    assert len(account.rows()) == 200


def test_a_message_of_too_many_units_is_not_sent(sandbox: Running) -> None:
    """`max_units` caps the parts."""
    assert sandbox.send(message="a" * 161, max_units=1).json()["data"][0]["status"] == "NOTALLOWED"
    assert sandbox.send(message="a" * 161, max_units=2).json()["data"][0]["status"] == "AWAITING-DLR"


def test_nodes_override_their_root_except_for_three_fields(sandbox: Running) -> None:
    """A node has its own text and sender, but not its own service."""
    body = {
        "root": {"sender": "ROOTID", "message": "global", "service": "P", "name": "campaign"},
        "nodes": [
            {"to": "12025550100", "custom": "a", "message": "own", "sender": "NODEID", "service": "T"},
            {"to": "12025550101", "custom": "b"},
        ],
    }
    answer = sandbox.post("sms/send/json", body).json()
    assert answer["message"] == "2 numbers accepted for delivery."
    assert answer["data"][0]["id"] == f"{answer['group_id']}:1"
    assert [row["customid"] for row in answer["data"]] == ["a", "b"]
    assert [(row["from"], row["text"]) for row in sandbox.inbox()] == [
        ("ROOTID", "global"),
        ("NODEID", "own"),
    ]
    assert sandbox.get("sms/status", cid="a").json()["data"][0]["service"] == "P"


def test_nodes_are_answered_one_by_one(sandbox: Running) -> None:
    """In their order, each with its own id and reference, also where one of them is refused."""
    numbers = [DELIVERED, "12025550125", "12025550130", "12025550101"]
    nodes = [{"to": number, "custom": f"ref-{place}"} for place, number in enumerate(numbers)]
    body = {"root": {"sender": "S", "message": "m", "service": "T"}, "nodes": nodes}
    answer = sandbox.post("sms/send/json", body).json()
    assert (answer["status"], answer["message"]) == (200, "2 numbers accepted for delivery.")
    rows = answer["data"]
    assert [(row["mobile"], row["customid"]) for row in rows] == [
        (node["to"], node["custom"]) for node in nodes
    ]
    assert [row["status"] for row in rows] == ["AWAITING-DLR", "NOTALLOWED", "NO-CREDITS", "AWAITING-DLR"]
    assert [row["charges"] for row in rows] == [1, 0, 0, 1]
    assert [row["id"].split(":")[1] for row in rows] == ["1", "2", "3", "4"]


def test_without_a_name_a_campaign_shows_no_group(sandbox: Running) -> None:
    """`group_id` is in the answer only if `root.name` is given; without nodes there is nothing to send."""
    body = {"root": {"sender": "S", "message": "m", "service": "T"}, "nodes": [{"to": DELIVERED}]}
    assert "group_id" not in sandbox.post("sms/send/json", body).json()
    assert sandbox.post("sms/send/json", {"root": {}, "nodes": []}).status_code == 422


def post_xml(sandbox: Running, text: str) -> requests.Response:
    """POST a text as XML."""
    headers = {"Content-Type": "application/xml"}
    url = f"{sandbox.url}/api/v2/sms/send/xml"
    return sandbox.client.post(url, text.encode(), headers=headers, timeout=PATIENCE)


def test_the_same_is_taken_as_xml(sandbox: Running) -> None:
    """With CDATA and all; the answer is JSON."""
    answer = post_xml(
        sandbox,
        """<?xml version="1.0" encoding="UTF-8"?>
        <data>
          <root><message><![CDATA[a & b]]></message><sender>S</sender><service>T</service></root>
          <nodes><node><to>12025550100</to><custom>7</custom></node></nodes>
        </data>""",
    ).json()
    assert answer["data"][0]["customid"] == "7"
    assert sandbox.inbox()[0]["text"] == "a & b"


DANGEROUS = """<!DOCTYPE d [<!ENTITY a 'b'>]><data>
  <root><message>&a;</message><sender>S</sender><service>T</service></root>
  <nodes><node><to>12025550100</to></node></nodes>
</data>"""


@pytest.mark.parametrize("text", ["<data", "", DANGEROUS])
def test_xml_that_is_none_or_dangerous_is_refused(sandbox: Running, text: str) -> None:
    """A broken text and a document type are 422."""
    assert post_xml(sandbox, text).status_code == 422


def test_a_file_of_numbers_is_sent_to_each_once(sandbox: Running) -> None:
    """The given column is used, a heading is skipped, a repeated number gets one message; `data` is empty."""
    fields = {"message": "hello", "sender": "S", "service": "T", "column": "2"}
    numbers = "name,number\nann,12025550100\nbob,12025550101\nann,12025550100\nnobody\n"
    url = f"{sandbox.url}/api/v2/sms/bulk"
    answer = sandbox.client.post(url, fields, files={"file": ("n.csv", numbers)}, timeout=PATIENCE)
    assert answer.json() == {"status": 200, "message": "2 numbers accepted for delivery.", "data": []}
    assert [row["to"] for row in sandbox.inbox()] == ["+12025550101", "+12025550100"]
    assert sandbox.client.post(url, fields, timeout=PATIENCE).json()["errors"].keys() == {"file"}
    empty = sandbox.client.post(url, fields, files={"file": ("n.csv", "none")}, timeout=PATIENCE)
    assert empty.json()["errors"].keys() == {"to"}


def test_a_template_is_made_and_sent(sandbox: Running) -> None:
    """Its variables are filled in, and the answer has the channel form."""
    made = {"name": "Login Code", "sender": "ACMEIN", "body": "{{ code }} for {{who}}{{nothing}}"}
    assert sandbox.post("sms/templates", made).json()["data"]["alias"] == "login-code"
    assert len(sandbox.get("sms/templates").json()["data"]) == 2
    body = {
        "alias": "login-code",
        "recipient": {"to": [DELIVERED]},
        "data": {"code": 4829, "who": "Acme"},
        "meta": {"foreign_id": "f-1"},
    }
    answer = sandbox.post("sms/send/template", body).json()
    row = answer["data"][0]
    assert (answer["status"], set(row)) == (
        "OK",
        {"id", "channel", "from", "to", "credits", "created_at", "status", "foreign_id"},
    )
    assert (row["from"], row["foreign_id"], row["status"]) == ("ACMEIN", "f-1", "AWAITING-DLR")
    assert sandbox.inbox()[0]["text"] == "4829 for Acme"
    assert sandbox.post("sms/send/template", {"alias": "none"}).status_code == 422
    assert sandbox.post("sms/send/template", {}).json()["errors"].keys() == {"alias"}


def unified(to: object, **meta: object) -> dict[str, object]:
    """Return a body of the unified shape."""
    return {
        "channels": [{"name": "sms", "from": "ACMEIN", "meta": {"service": "T", **meta}}],
        "recipient": {"to": to},
        "message": {"type": "text", "payload": {"text": "482913 is your code"}},
    }


@pytest.mark.parametrize("to", [DELIVERED, [DELIVERED]])
def test_the_unified_shape_is_taken(sandbox: Running, to: object) -> None:
    """With one number or a list."""
    answer = sandbox.post("sms/message/send", unified(to, foreign_id="f-2")).json()
    row = answer["data"][0]
    assert (answer["status"], answer["message"]) == ("OK", "Message Queued successfully")
    assert (row["channel"], row["to"], row["credits"], row["foreign_id"]) == ("sms", DELIVERED, 1, "f-2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["created_at"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "channels"),
        ({"channels": [{"name": "pigeon"}]}, "channels"),
        ({**unified(DELIVERED), "message": {"type": "image"}}, "message.type"),
        (unified([]), "to"),
        (unified(None), "to"),
        (unified(DELIVERED, service=""), "service"),
    ],
)
def test_a_wrong_unified_body_is_named(sandbox: Running, body: object, field: str) -> None:
    """A 422 names what is wrong."""
    assert sandbox.post("sms/message/send", body).json()["errors"].keys() == {field}


@pytest.mark.parametrize("key", ["id", "mobile", "cid", "date", "group_id"])
def test_the_status_is_found_by_every_documented_key(start: Start, key: str) -> None:
    """Lists by group and date come in pages."""
    sandbox = start(usual(clock=lambda: 1_700_000_000.0))
    sent = sandbox.send(custom="c-1").json()["data"][0]
    sandbox.send(to="12025550101", custom="c-2")
    sandbox.until(lambda: all(row["status"] == "DELIVRD" for row in sandbox.inbox()))
    values = {
        "id": sent["id"],
        "mobile": DELIVERED,
        "cid": "c-1",
        "date": sent["submitted_at"][:10],
        "group_id": sent["id"].split(":")[0],
    }
    body = sandbox.get("sms/status", **{key: values[key]}).json()
    assert (body["status"], body["code"], body["message"]) == ("OK", 200, "OK")
    assert sent["id"] in [row["id"] for row in body["data"]]
    assert len(body["data"]) == (2 if key == "date" else 1)
    assert ("meta" in body) == (key in {"date", "group_id"})


def test_a_status_row_has_the_documented_fields(sandbox: Running) -> None:
    """And an unknown id finds nothing, and no key is refused."""
    sent = sandbox.send(custom="c-1").json()["data"][0]
    sandbox.until(lambda: sandbox.inbox()[0]["status"] == "DELIVRD")
    row = sandbox.get("sms/status", id=sent["id"]).json()["data"][0]
    assert row.pop("submitted_at") <= row.pop("delivered_at")
    assert row == {
        "id": sent["id"],
        "mobile": DELIVERED,
        "status": "DELIVRD",
        "units": 1,
        "service": "T",
        "length": 5,
        "charges": 1,
        "custom": "c-1",
        "custom1": "",
        "location": "",
        "provider": "",
        "sender": "TXTSMS",
    }
    assert sandbox.get("sms/status", id="unknown:1").json()["data"] == []
    assert sandbox.get("sms/status").status_code == 422


def test_long_lists_are_paged(sandbox: Running) -> None:
    """100 to a page, with links and meta."""
    numbers = ",".join(str(12125550000 + number) for number in range(205))
    group = sandbox.send(to=numbers).json()["data"][0]["id"].split(":")[0]
    pages = [sandbox.get("sms/status", group_id=group, page=page).json() for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [100, 100, 5, 0]
    meta, links = pages[1]["meta"], pages[1]["links"]
    assert (meta["from"], meta["to"], meta["total"], meta["last_page"]) == (101, 200, 205, 3)
    assert (links["prev"][-7:], links["next"][-7:]) == ("?page=1", "?page=3")
    assert [link["label"] for link in meta["links"]] == ["&laquo; Previous", "1", "2", "3", "Next &raquo;"]
    assert sandbox.get("sms/status", group_id=group, page="x").json()["meta"]["current_page"] == 1


def test_auth_me_answers(sandbox: Running) -> None:
    """The documented sample call of a token."""
    assert sandbox.get("auth/me").json()["status"] == "OK"


def test_an_unknown_path_is_404_and_a_wrong_verb_405(sandbox: Running) -> None:
    """405 names the verbs that there are; without a token both are 401."""
    assert sandbox.get("no/such/thing").status_code == 404
    answer = sandbox.get("sms/bulk")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    url = f"{sandbox.url}/api/v2/no/such/thing"
    assert requests.get(url, headers={"Accept": "application/json"}, timeout=PATIENCE).status_code == 401


def test_a_body_of_many_megabytes_is_refused(sandbox: Running) -> None:
    """A request cannot fill the sandbox's memory."""
    assert sandbox.send(message="x" * (5 * 1024 * 1024)).status_code == 413


def test_gets_are_limited_all_together_and_posts_are_not(start: Start) -> None:
    """The request past the limit is 429 and says when to come back; after a minute all is open again."""
    now = 1_700_000_000.0
    sandbox = start(usual(gets_per_minute=3, clock=lambda: now))
    answers = [sandbox.get(path) for path in ("auth/me", "account/balance", "auth/me", "auth/me")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert refused.json() == {"status": "ERROR", "code": 429, "message": "Too Many Attempts."}
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["X-RateLimit-Limit"] == "3"
    assert refused.headers["X-RateLimit-Reset"] == "1700000060"
    assert sandbox.send().status_code == 200
    now += 59.5
    assert sandbox.get("auth/me").headers["Retry-After"] == "1"
    now += 0.5
    assert sandbox.get("auth/me").status_code == 200


def test_the_error_rate_decides_by_the_given_dice(start: Start) -> None:
    """A random number below the rate gives a 500, and nothing is sent."""
    dice = iter([0.29, 0.3, 0.99])
    sandbox = start(usual(error_rate=0.3, random=lambda: next(dice)))
    assert [sandbox.send().status_code for _ in range(3)] == [500, 200, 200]
    assert len(sandbox.inbox()) == 2


def test_latency_is_added_to_each_send(start: Start) -> None:
    """And ends at once when the sandbox closes."""
    sandbox = start(usual(latency=0.2))
    assert sandbox.send().elapsed.total_seconds() >= 0.2


def test_impossible_settings_are_all_named_at_once() -> None:
    """A configuration is refused with every mistake, and shows no token."""
    with pytest.raises(ValueError, match=r"tokens must.*; error_rate must.*; latency must") as caught:
        SandboxConfig(frozenset({""}), error_rate=1.1, latency=-1)
    assert str(caught.value).count(";") == 2
    assert TOKEN not in repr(usual(report_secret=TOKEN))
