"""Bodies: length, media type and strict JSON."""

import gzip
import io
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otp_service.errors import Invalid
from otp_service.http.body import _no_duplicates, _strict_json
from tests.conftest import OPS, SECRET
from tests.support.http_api import NO_ID, NUMBER, Api
from tests.support.http_calls import problem

pytest_plugins = ["tests.support.http_fixtures"]


@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1])
def test_a_body_of_unknown_length_has_the_same_limit(api: Api, size: int) -> None:
    """A chunked body that does not state its length is cut off at 16 KiB, too."""
    raw = b'{"to": "+12025550100"}'
    answer = api.flask.test_client().open(
        "/otp/send",
        method="POST",
        input_stream=io.BytesIO(raw + b" " * (size - len(raw))),
        headers={"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == (202 if size == 16 * 1024 else 413)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [("application/json", 202), ("text/plain", 415), ("application/x-www-form-urlencoded", 415)],
)
def test_an_empty_body_of_another_type_is_refused(api: Api, media_type: str, status: int) -> None:
    """A form without fields is still a form, which any page could send."""
    challenge_id = api.opened()
    api.later(60)
    assert api.resend(challenge_id, raw=b"", headers={"Content-Type": media_type}).status_code == status


def test_a_resend_needs_no_body(api: Api) -> None:
    """Without a body it needs no media type either."""
    challenge_id = api.opened()
    api.later(60)
    assert api.resend(challenge_id).status_code == 202


LIMIT = 16 * 1024


def padded(size: int) -> bytes:
    """Return a good body of so many bytes."""
    body = json.dumps({"to": NUMBER}).encode()
    return body + b" " * (size - len(body))


NO_JSON = {"field": "body", "rule": "must be valid JSON in UTF-8"}
TOO_LARGE = {"field": "body", "rule": "must be at most 16 KiB"}


STRICT: list[tuple[bytes, int, str, list[dict[str, str]]]] = [
    (b"", 400, "malformed_json", [NO_JSON]),
    (b"{", 400, "malformed_json", [NO_JSON]),
    (b"to=1", 400, "malformed_json", [NO_JSON]),
    (b'{"to": "+12025550100"} {}', 400, "malformed_json", [NO_JSON]),
    (b"{'to': '+12025550100'}", 400, "malformed_json", [NO_JSON]),
    (b'{"to": "+12025550100",}', 400, "malformed_json", [NO_JSON]),
    (b'{"to": "\xff\xfe"}', 400, "malformed_json", [NO_JSON]),
    (b'\xef\xbb\xbf{"to": "+12025550100"}', 400, "malformed_json", [NO_JSON]),
    ('{"to": "+12025550100"}'.encode("utf-16"), 400, "malformed_json", [NO_JSON]),
    (b'{"to": "+12025550100\n"}', 400, "malformed_json", [NO_JSON]),
    (b'{"to": "+12025550100", "binding": "\\ud800"}', 400, "malformed_json", [NO_JSON]),
    (b'{"to": "+12025550100", "\\udfff": "x"}', 400, "malformed_json", [NO_JSON]),
    (b'{"to": ' + b"[" * 8000 + b"]" * 8000 + b"}", 400, "malformed_json", [NO_JSON]),
    (b'{"a":' * 3000 + b"1" + b"}" * 3000, 413, "body_too_large", [TOO_LARGE]),
    (b'{"a":' * 2500 + b"1" + b"}" * 2500, 400, "malformed_json", [NO_JSON]),
    (b'{"to": ' + b"1" * 5000 + b"}", 400, "malformed_json", [NO_JSON]),
    (b"[]", 422, "invalid_request", [{"field": "body", "rule": "must be a JSON object"}]),
    (b'["+12025550100"]', 422, "invalid_request", [{"field": "body", "rule": "must be a JSON object"}]),
    (b'"+12025550100"', 422, "invalid_request", [{"field": "body", "rule": "must be a JSON object"}]),
    (b"null", 422, "invalid_request", [{"field": "body", "rule": "must be a JSON object"}]),
    (b"12025550100", 422, "invalid_request", [{"field": "body", "rule": "must be a JSON object"}]),
    (
        b'{"to": "+12025550101", "to": "+12025550100"}',
        422,
        "invalid_request",
        [{"field": "to", "rule": "must not be given twice"}],
    ),
    (
        b'{"to": "+12025550100", "binding": {"a": "1", "a": "2"}}',
        422,
        "invalid_request",
        [{"field": "a", "rule": "must not be given twice"}],
    ),
    *(
        (
            b'{"to": "+12025550100", "binding": %s}' % word,
            422,
            "invalid_request",
            [{"field": "body", "rule": "must not contain NaN or Infinity, which are not JSON"}],
        )
        for word in (b"NaN", b"Infinity", b"-Infinity")
    ),
    (padded(LIMIT + 1), 413, "body_too_large", [TOO_LARGE]),
]


@pytest.mark.parametrize("path", ["/otp/send", f"/otp/{NO_ID}/resend"])
@pytest.mark.parametrize(("raw", "status", "code", "rules"), STRICT)
def test_only_strict_json_is_read(
    api: Api, path: str, raw: bytes, status: int, code: str, rules: list[dict[str, str]]
) -> None:
    """RFC 8259 and I-JSON, one object of at most 16 KiB; everything else is refused and stores nothing."""
    if raw or path == "/otp/send":  # a resend needs no body
        found = problem(api.call("POST", path, raw=raw), status, code)
        assert found.get("errors", []) == rules
    assert api.kept() == {}


def test_a_body_of_exactly_16_kib_is_read(api: Api) -> None:
    """The limit itself is allowed."""
    assert api.call("POST", "/otp/send", raw=padded(LIMIT)).status_code == 202


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/problem+json",
        "text/json",
        "",
        "json",
    ],
)
@pytest.mark.parametrize("path", ["/otp/send", "/otp/verify", f"/otp/{NO_ID}/resend", "/otp/token/redeem"])
def test_only_json_is_accepted_so_that_no_page_can_post_a_form(api: Api, path: str, media_type: str) -> None:
    """What a page can post without a preflight is refused by its media type."""
    answer = api.call("POST", path, raw=padded(100), headers={"Content-Type": media_type})
    problem(answer, 415, "unsupported_media_type")
    assert api.kept() == {}


def test_a_charset_in_the_media_type_is_ignored(api: Api) -> None:
    """Some clients add one; JSON is always UTF-8."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert api.call("POST", "/otp/send", raw=padded(100), headers=headers).status_code == 202


FUZZ = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


@FUZZ
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["to", "code"]), inner),
    ),
    path=st.sampled_from(["/otp/send", "/otp/verify", "/otp/token/redeem", f"/otp/{NO_ID}/resend"]),
)
def test_no_json_value_makes_the_service_fail(api: Api, body: object, path: str) -> None:
    """For any body, the answer is a documented problem and never a 500."""
    assert api.call("POST", path, body=body).status_code in {202, 400, 404, 413, 422}


@FUZZ
@given(raw=st.binary(max_size=200))
def test_no_bytes_make_the_service_fail(api: Api, raw: bytes) -> None:
    """Random bytes are refused and store nothing."""
    assert api.call("POST", "/otp/send", raw=raw).status_code in {400, 422}
    assert api.kept() == {}


class CountedName(str):
    """A name that counts how often names are hashed or compared."""

    __slots__ = ()
    work = 0

    def __hash__(self) -> int:
        """Count a lookup."""
        CountedName.work += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        """Count a comparison."""
        CountedName.work += 1
        return super().__eq__(other)


@pytest.mark.parametrize("size", [100, 1000, 10_000])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99, 1])
def test_to_find_members_given_twice_takes_the_same_work_for_each(size: int, share: float) -> None:
    """Whether all members have one name, few names, half as many names as members, or each its own."""
    different = max(1, int(share * size))
    pairs: list[tuple[str, object]] = [(CountedName(f"n{place % different}"), place) for place in range(size)]
    CountedName.work = 0
    with suppress(Invalid):
        _no_duplicates(pairs)
    assert CountedName.work <= 8 * size


@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["to", "code", "a", "A", "b-c", "d_e"]), st.integers() | st.text(max_size=3)
        ),
        max_size=8,
    )
)
def test_members_given_twice_are_found_as_by_comparing_each_with_all(pairs: list[tuple[str, object]]) -> None:
    """Each such name is told once, whatever its values; a body without one is read as it is."""
    members = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs)
    raw = f"{{{members}}}"
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not twice:
        assert _strict_json(raw.encode()) == dict(pairs)
        return
    with pytest.raises(Invalid) as caught:
        _strict_json(raw.encode())
    assert list(caught.value.rules()) == [(name, "must not be given twice") for name in twice]


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, identity", "aws-chunked"])
def test_a_compressed_body_is_refused_by_the_name_of_its_header(api: Api, coding: str) -> None:
    """Otherwise a developer would look for a mistake in the JSON."""
    raw = gzip.compress(b'{"to": "+12025550100"}')
    found = problem(
        api.call("POST", "/otp/send", raw=raw, headers={"Content-Encoding": coding}),
        415,
        "unsupported_media_type",
    )
    assert found["errors"] == [{"field": "Content-Encoding", "rule": "must be omitted or identity"}]
    assert "gzip" in found["detail"]


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "deflate,chunked", "gzip", "identity", "chunked, chunked", "x"]
)
def test_a_transfer_coding_other_than_chunked_is_named(api: Api, coding: str) -> None:
    """A server may undo the last coding only, so the rest would look like broken JSON."""
    headers = {"Transfer-Encoding": coding}
    found = problem(api.call("POST", "/otp/send", raw=padded(100), headers=headers), 400, "malformed_request")
    assert found["errors"] == [{"field": "Transfer-Encoding", "rule": "must be omitted or chunked"}]
    assert "Transfer-Encoding" in found["detail"]
    assert api.kept() == {}


def test_the_coding_identity_is_none(api: Api) -> None:
    """Some clients write it."""
    answer = api.call("POST", "/otp/send", raw=padded(100), headers={"Content-Encoding": "Identity"})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "The body is empty. Send a JSON object."),
        (b" \n", "The body is empty. Send a JSON object."),
        (b'{"to": "+12025550100",}', "see line 1, column 23."),
        (b'{\n "to": 1,\n code: 2}', "see line 3, column 2."),
    ],
)
def test_what_is_not_json_is_told_where_it_stops_being_json(api: Api, raw: bytes, told: str) -> None:
    """Without a word of it: it may hold a number or a code."""
    assert problem(api.call("POST", "/otp/send", raw=raw), 400, "malformed_json")["detail"].endswith(told)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_named(api: Api, encoding: str) -> None:
    """It cannot be seen in an editor."""
    raw = '{"to": "+12025550100"}'.encode(encoding)
    assert (
        "byte order mark" in problem(api.call("POST", "/otp/send", raw=raw), 400, "malformed_json")["detail"]
    )


@pytest.mark.parametrize(
    ("method", "path", "key", "kib"), [("POST", "/otp/send", SECRET, 16), ("PUT", "/ops/policy", OPS, 512)]
)
def test_a_body_that_is_too_large_learns_the_limit_of_its_call(
    api: Api, method: str, path: str, key: str, kib: int
) -> None:
    """A policy may be larger than a send."""
    found = problem(api.call(method, path, key=key, raw=padded(kib * 1024 + 1)), 413, "body_too_large")
    assert found["detail"] == f"The body is larger than {kib} KiB."
    assert found["errors"] == [{"field": "body", "rule": f"must be at most {kib} KiB"}]
