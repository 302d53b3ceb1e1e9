"""What the upstream pushes, in every format that is documented or possible; nothing causes an exception."""

import hashlib
import hmac
import json
import string
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.upstream.mobtexting import (
    Fields,
    ReceiptError,
    content_of,
    handshake,
    parse,
    parse_content,
    signed,
)
from otp_service.upstream.mobtexting.words import WORDS
from otp_service.upstream.port import Receipt, Reply, Stage

SMS = {
    "id": "52ecf5da-259b:1",
    "mobile": "919000000001",
    "status": "DELIVRD",
    "credits": "2.0000",
    "units": 2,
    "deliv_time": "2026-11-23 17:30:02",
    "sent_time": "2026-11-23 17:30:00",
    "submit_time": "2026-11-23 17:30:01",
    "deliv_at": "1795521602",
    "sent_at": "1795521600",
    "submit_at": "1795521601",
    "cid": "ref-1",
    "custom": "ref-1",
    "provider_code": "x",
}
DELIVERED = Receipt(
    channel="sms",
    stage=Stage.DELIVERED,
    reason="delivered",
    upstream_id="52ecf5da-259b:1",
    reference="ref-1",
    in_parts=True,
)
OPT_OUT = {
    "id": 41,
    "receiver": "919000000001",
    "type": "all",
    "value": None,
    "created_at": "2026-11-23 17:30:02",
    "status": "Unsubscriber created successfully",
}
CALL = {
    "bridge": "918045000000",
    "from": "918045000000",
    "to": "919000000001",
    "source": "OBD",
    "mid": "8456bf26",
    "flow_id": 24,
    "start_at": "2026-11-23 17:30:02",
    "end_at": "2026-11-23 17:30:12",
    "duration": 10,
    "status": "ANSWER",
    "recording_url": "https://portal.example/r/1",
}
ANSWERED = Receipt(
    channel="voice", stage=Stage.DELIVERED, reason="delivered", upstream_id="8456bf26", seconds=10.0
)


def wrapped(channel: str, status: object, **more: object) -> dict[str, Any]:
    """Write a push of one of the newer channels as documented."""
    payload = {
        "id": "a418d672",
        "channel": channel,
        "from": "919888000000",
        "to": "919000000001",
        "status": status,
        "delivered_at": "2026-11-23T12:00:02.886358Z",
        "read_at": None,
        "foreign_id": "ref-1",
        **more,
    }
    return {"event": f"{channel}:message:status", "payload": payload}


def inbound(event: str, sender: object, payload: object, kind: str = "text") -> dict[str, Any]:
    """Write a reply of a person as documented."""
    return {
        "event": event,
        "payload": {
            "id": "in-1",
            "channels": [{"name": event.partition(":")[0], "to": "919888000000"}],
            "recipient": {"from": sender, "user": {"first_name": "Asha"}},
            "message": {"type": kind, "payload": payload, "id": "m1"},
        },
    }


class TestShapes:
    """One report in each of its formats."""

    def test_a_flat_sms_report(self) -> None:
        """The documented body; times are ignored, as their zones are unknown."""
        assert parse(SMS) == [DELIVERED]

    @pytest.mark.parametrize("missing", ["custom", "cid"])
    def test_either_name_of_the_reference(self, missing: str) -> None:
        """The documentation has two names for the caller's own id."""
        assert parse({name: value for name, value in SMS.items() if name != missing}) == [DELIVERED]
        assert parse(SMS | {missing: ""}) == [DELIVERED]
        assert parse(SMS | {missing: None}) == [DELIVERED]

    @pytest.mark.parametrize("channel", ["sms", "whatsapp", "rcs", "mip", "viber"])
    def test_a_report_in_an_envelope(self, channel: str) -> None:
        """The envelope names the channel."""
        assert parse(wrapped(channel, "delivered")) == [
            Receipt(
                channel=channel,
                stage=Stage.DELIVERED,
                reason="delivered",
                upstream_id="a418d672",
                reference="ref-1",
            )
        ]

    @pytest.mark.parametrize(
        "content",
        [
            CALL,
            CALL | {"id": "other"},
            {"event": "voice:message:out", **CALL},
            {"event": "voice:message:out", "payload": CALL},
            {"event": "Voice:Message:Out", "payload": [CALL]},
        ],
    )
    def test_a_call_report(self, content: dict[str, Any]) -> None:
        """Flat or wrapped; `mid` is the call's id."""
        assert parse(content) == [ANSWERED]

    @pytest.mark.parametrize(
        ("told", "seconds"),
        [
            ({"duration": "4"}, 4),
            ({"duration": "00:00:03"}, 3),
            ({"duration": "1:02"}, 62),
            ({"duration": None}, 10),
            ({"duration": "", "end_at": "2026-11-23T17:30:03"}, 1),
            ({"duration": "long"}, None),
            ({"duration": "", "end_at": ""}, None),
            ({"duration": None, "end_at": "2026-11-23T17:30:03Z"}, None),
        ],
    )
    def test_the_length_of_a_call(self, told: dict[str, object], seconds: float | None) -> None:
        """From its duration in any form, else from its times."""
        (receipt,) = parse(CALL | told)
        assert isinstance(receipt, Receipt)
        assert receipt.seconds == seconds

    @pytest.mark.parametrize("told", [{"duration": "-2"}, {"duration": "", "end_at": "2026-11-23T17:29:59"}])
    def test_a_call_that_ended_before_it_began_is_not_taken_for_one_that_was_hung_up(
        self, told: dict[str, object]
    ) -> None:
        """The upstream's clock may be set back within a call: a code that was heard is not sent once more."""
        (receipt,) = parse(CALL | told)
        assert isinstance(receipt, Receipt)
        assert (receipt.stage, receipt.seconds) == (Stage.DELIVERED, None)

    def test_custom_and_cid_are_both_kept(self) -> None:
        """Either may be ours; the same text counts once."""
        (receipt,) = parse(SMS | {"custom": "theirs", "foreign_id": "theirs"})
        assert isinstance(receipt, Receipt)
        assert (receipt.reference, receipt.other_references) == ("theirs", ("ref-1",))

    def test_a_call_without_an_answer(self) -> None:
        """The person has heard nothing."""
        (receipt,) = parse(CALL | {"status": "NOANSWER"})
        assert isinstance(receipt, Receipt)
        assert (receipt.stage, receipt.reason) == (Stage.FAILED, "no_answer")

    def test_a_custom_webhook(self) -> None:
        """An operator may choose the names of fields; missing ones are not required."""
        fields = Fields(
            upstream_id=("message_id",), status=("message_status",), reference=("ours",), otherwise="whatsapp"
        )
        content = {"message_id": "a418", "message_status": "read", "ours": "ref-1", "status": "x"}
        assert parse(content, fields) == [
            Receipt(
                channel="whatsapp", stage=Stage.READ, reason="read", upstream_id="a418", reference="ref-1"
            )
        ]

    @pytest.mark.parametrize(
        ("named", "channel"), [("outgoing", "voice"), ("IP_Message", "mip"), ("pigeon", "sms"), (7, "sms")]
    )
    def test_a_report_may_name_its_channel(self, named: object, channel: str) -> None:
        """In the upstream's words; an unknown channel is replaced by the default one."""
        (receipt,) = parse(SMS | {"channel": named})
        assert receipt.channel == channel

    @pytest.mark.parametrize(
        "content", [{"data": [SMS, SMS]}, {"event": "sms:message:status", "payload": [SMS, SMS]}]
    )
    def test_several_in_one_body(self, content: dict[str, Any]) -> None:
        """Each is read."""
        assert parse(content) == [DELIVERED, DELIVERED]

    def test_a_broken_report_does_not_affect_others(self) -> None:
        """The readable ones would not be pushed again."""
        assert parse({"data": [{"id": "1"}, 7, SMS]}) == [DELIVERED]

    def test_a_nested_report(self) -> None:
        """Some white labels wrap an object without naming its kind."""
        assert parse({"data": SMS}) == [DELIVERED]

    @pytest.mark.parametrize(
        "event",
        [
            "sms:unsubscription",
            "contacts:subscriber:subscription",
            "pigeon:message:status",
            "x:message:y",
            "",
        ],
    )
    def test_pushes_of_other_kinds_are_skipped(self, event: str) -> None:
        """They are not errors."""
        assert parse({"event": event, "payload": SMS}) == []

    @pytest.mark.parametrize(
        "push",
        [
            OPT_OUT,
            OPT_OUT | {"receiver": "+919000000001"},
            OPT_OUT | {"receiver": "SUPPORT", "value": "919000000001"},
            {"event": "sms:unsubscription", **OPT_OUT},
            {"event": "sms:unsubscription", "payload": [OPT_OUT]},
            {"data": [OPT_OUT]},
        ],
    )
    def test_an_opt_out_by_link_is_a_stop(self, push: dict[str, Any]) -> None:
        """Also if it names no event; the person wrote nothing, so no channel opens."""
        (reply,) = parse(push)
        assert isinstance(reply, Reply)
        assert reply.sender.removeprefix("+") == "919000000001"
        assert (reply.channel, reply.text, reply.written) == ("sms", "STOP", False)

    def test_an_opt_out_that_was_removed_is_a_start(self) -> None:
        """The number gets messages again."""
        (reply,) = parse(OPT_OUT | {"status": "Unsubscriber deleted successfully", "channel": "whatsapp"})
        assert reply == Reply(channel="whatsapp", sender="919000000001", text="START", written=False)

    @pytest.mark.parametrize(
        "push",
        [
            OPT_OUT | {"status": "Subscriber created successfully"},
            OPT_OUT | {"status": "Contact updated successfully"},
            {"id": 7, "name": "Asha", "status": "Contact imported"},
            OPT_OUT | {"receiver": "SUPPORT", "value": None},
        ],
    )
    def test_news_of_an_address_book_are_no_reports(self, push: dict[str, Any]) -> None:
        """They change nothing and are no errors, also beside a report."""
        assert parse(push) == []
        assert parse_content([push, SMS]) == [DELIVERED]

    def test_a_report_does_not_show_the_number(self) -> None:
        """Reports may be logged."""
        assert "9000000001" not in repr(parse(SMS))


class TestInbound:
    """Replies of people."""

    @pytest.mark.parametrize(
        ("event", "channel"),
        [("vmn:message:in", "sms"), ("whatsapp:message:in", "whatsapp"), ("rcs:message:in", "rcs")],
    )
    def test_a_text(self, event: str, channel: str) -> None:
        """Number and text, which the repr hides."""
        (found,) = parse(inbound(event, "919000000001", {"text": "STOP 1234"}))
        assert found == Reply(channel=channel, sender="919000000001", text="STOP 1234")
        assert "919000000001" not in repr(found)
        assert "STOP" not in repr(found)

    @pytest.mark.parametrize("sender", ["+919000000001", 919000000001, " 919000000001 ", "28444", "TXTSMS"])
    def test_a_sender_is_passed_on_as_the_upstream_names_it(self, sender: object) -> None:
        """One reader of numbers decides elsewhere what it is."""
        (found,) = parse(inbound("vmn:message:in", sender, {"text": "x"}))
        assert isinstance(found, Reply)
        assert found.sender == str(sender).strip()

    @pytest.mark.parametrize(
        ("payload", "text"),
        [
            ({"url": "https://portal.example/p.png", "caption": "stop"}, "stop"),
            ({"url": "https://portal.example/p.png"}, ""),
            ({"text": ["x"]}, ""),
            ("x", ""),
            ({"text": "x" * 5000}, "x" * 4096),
        ],
    )
    def test_other_content_than_text(self, payload: object, text: str) -> None:
        """A picture has a caption at most."""
        (found,) = parse(inbound("whatsapp:message:in", "919000000001", payload, "image"))
        assert isinstance(found, Reply)
        assert found.text == text

    @pytest.mark.parametrize("sender", [None, "", " ", {"x": 1}])
    def test_a_reply_without_a_sender_is_refused(self, sender: object) -> None:
        """Without a number there is nothing to record."""
        with pytest.raises(ReceiptError, match=r"^no_sender$"):
            parse(inbound("vmn:message:in", sender, {"text": "STOP"}))


ODD: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.lower,
    str.title,
    lambda word: f" {word.replace('-', '_')}\n",
    lambda word: word.replace("-", " "),
    lambda word: word.replace("-", ""),
)


class TestWords:
    """The table of status words."""

    @pytest.mark.parametrize("word", sorted(WORDS))
    @pytest.mark.parametrize("spelt", ODD)
    def test_each_in_any_spelling(self, word: str, spelt: Callable[[str], str]) -> None:
        """The upstream's own samples differ in case and separators."""
        (receipt,) = parse(SMS | {"status": spelt(word)})
        assert isinstance(receipt, Receipt)
        assert (receipt.stage, receipt.reason, receipt.word) == (*WORDS[word], None)
        assert (receipt.said or "").replace("-", "") == word.replace("-", "")

    @given(word=st.sampled_from(sorted(WORDS)), data=st.data())
    def test_each_with_separators_anywhere(self, word: str, data: st.DataObject) -> None:
        """Also where the documentation has no separators."""
        cut = data.draw(st.integers(0, len(word)))
        separator = data.draw(st.text(alphabet=" _-\t", max_size=3))
        (receipt,) = parse(SMS | {"status": f"{word[:cut]}{separator}{word[cut:]}".swapcase()})
        assert isinstance(receipt, Receipt)
        assert (receipt.stage, receipt.reason) == WORDS[word]

    @pytest.mark.parametrize(
        ("word", "stage"),
        [
            ("AWAITING-DLR", Stage.PENDING),
            ("", Stage.PENDING),
            ("dispatched", Stage.PENDING),
            ("sent", Stage.SENT),
            ("DELIVRD", Stage.DELIVERED),
            ("COMPLETED", Stage.DELIVERED),
            ("read", Stage.READ),
            ("UNDELIV", Stage.FAILED),
            ("blacklist", Stage.FAILED),
            ("expired", Stage.FAILED),
            ("CHANUNAVAIL", Stage.FAILED),
            ("TIMEOUT-DLR", Stage.UNKNOWN),
            ("deleted", Stage.FAILED),
            ("NEWS", Stage.UNKNOWN),
        ],
    )
    def test_the_stages(self, word: str, stage: Stage) -> None:
        """One word for each stage."""
        (receipt,) = parse(SMS | {"status": word})
        assert isinstance(receipt, Receipt)
        assert receipt.stage is stage

    @pytest.mark.parametrize(
        ("word", "shown"), [("shiny new", "SHINY-NEW"), ("CODE 493817", None), ("<b>", None), (807, None)]
    )
    def test_a_new_word_is_unknown(self, word: object, shown: str | None) -> None:
        """It is shown only if it can contain no number and no code."""
        (receipt,) = parse(SMS | {"status": word})
        assert isinstance(receipt, Receipt)
        assert (receipt.stage, receipt.reason, receipt.word) == (Stage.UNKNOWN, "unknown_word", shown)
        assert receipt.said == shown


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({}, "no_status"),
        ({"id": "1"}, "no_status"),
        (SMS | {"status": None}, "no_status"),
        (SMS | {"status": ["DELIVRD"]}, "no_status"),
        (SMS | {"status": True}, "no_status"),
        (SMS | {"status": 10**5000}, "no_status"),
        ({"id": 10**5000, "status": "DELIVRD", "credits": 10**5000}, "no_id"),
        ({"status": "DELIVRD"}, "no_id"),
        ({"status": "DELIVRD", "id": "x" * 200, "custom": "a\nb"}, "no_id"),
        ({"data": []}, "empty"),
        ({"event": "sms:message:status", "payload": []}, "empty"),
        ({"data": [SMS] * 1001}, "too_many"),
        ({"data": [7]}, "not_an_object"),
        ({"event": "sms:message:status", "payload": 7}, "no_status"),
        ({"event": "whatsapp:message:in", "payload": {}}, "no_sender"),
    ],
)
def test_what_is_no_report_is_refused(content: dict[str, Any], word: str) -> None:
    """With a stable word, which is all that is told."""
    with pytest.raises(ReceiptError, match=f"^{word}$") as caught:
        parse(content)
    assert caught.value.word == word


def multipart(fields: Mapping[str, str]) -> bytes:
    """Write a form as browsers and PHP do."""
    parts = [
        f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, "--b0--\r\n"]).encode()


def nested(kind: str) -> bytes:
    """Write a form with a part that has parts of its own."""
    return b"--b0\r\nContent-Type: %s\r\n\r\n--b1\r\n\r\nx\r\n--b1--\r\n" % kind.encode() + multipart(FLAT)


FLAT = {name: str(value) for name, value in SMS.items()}
WITHOUT_ID = {name: value for name, value in FLAT.items() if name != "id"}


class TestBodies:
    """The same report as JSON, as a form, or in the query."""

    @pytest.mark.parametrize(
        ("content_type", "raw", "query"),
        [
            ("application/json", json.dumps(SMS).encode(), {}),
            ("application/json; charset=utf-8", b"\xef\xbb\xbf" + json.dumps(SMS).encode(), {"key": "k"}),
            ("", json.dumps([SMS]).encode(), {}),
            ("text/plain", json.dumps(SMS).encode(), {}),
            ("application/x-www-form-urlencoded", urlencode(FLAT).encode(), {}),
            ("Application/X-WWW-Form-Urlencoded; charset=utf-8", urlencode(FLAT).encode(), {}),
            ("multipart/form-data; boundary=b0", multipart(FLAT), {}),
            ("", b"", FLAT),
            ("application/json", b" \n", FLAT),
            ("application/json", json.dumps(SMS).encode(), {"status": "UNDELIV"}),
            ("application/json", json.dumps(SMS | {"id": ""}).encode(), {"id": str(SMS["id"])}),
            ("application/x-www-form-urlencoded", urlencode(WITHOUT_ID).encode(), {"id": str(SMS["id"])}),
        ],
    )
    def test_each_way(self, content_type: str, raw: bytes, query: dict[str, str]) -> None:
        """A custom webhook may use any of them; the query counts where the body says nothing."""
        assert parse_content(content_of(content_type, raw, query)) == [DELIVERED]

    def test_field_names_apply(self) -> None:
        """As for a report that is already decoded."""
        fields = Fields(upstream_id=("n",), status=("s",))
        (receipt,) = parse_content(content_of("", b"", {"n": "1", "s": "DELIVRD"}), fields)
        assert isinstance(receipt, Receipt)
        assert receipt.upstream_id == "1"

    def test_a_list_with_one_that_is_broken(self) -> None:
        """The valid ones are kept."""
        raw = json.dumps([SMS, {"id": "1"}, wrapped("rcs", "read"), 7]).encode()
        found = parse_content(content_of("application/json", raw, {}))
        assert [entry.channel for entry in found] == ["sms", "rcs"]

    @pytest.mark.parametrize(
        ("content_type", "raw", "word"),
        [
            ("application/json", b"{", "unreadable"),
            ("application/json", b'{"status": "DELIVRD", "status": "UNDELIV", "id": "1"}', "unreadable"),
            ("application/json", b"[" * 5000, "unreadable"),
            ("application/json", b"7", "not_an_object"),
            ("application/json", b"[]", "empty"),
            ("application/json", b"[7]", "not_an_object"),
            ("application/x-www-form-urlencoded", b"status=DELIVRD&status=UNDELIV&id=1", "unreadable"),
            (
                "application/x-www-form-urlencoded",
                urlencode(FLAT | {f"x{n}": "" for n in range(300)}).encode(),
                "unreadable",
            ),
            ("application/x-www-form-urlencoded", b"x", "no_status"),
            (
                "multipart/form-data; boundary=b0",
                multipart(FLAT).removesuffix(b"--b0--\r\n") + multipart(FLAT),
                "unreadable",
            ),
            ("multipart/form-data", multipart(FLAT), "unreadable"),
            ("multipart/form-data; boundary=b0", multipart({f"x{n}": "" for n in range(300)}), "unreadable"),
            ("multipart/form-data; boundary=b0", nested("multipart/mixed; boundary=b1"), "unreadable"),
            ("multipart/form-data; boundary=b0", nested("message/rfc822"), "unreadable"),
            ("multipart/form-data; boundary=b0", nested("multipart/digest"), "unreadable"),
            ("text/xml", b"<id>1</id>", "unreadable"),
            ("", b"", "no_status"),
        ],
    )
    def test_what_is_no_report_is_refused(self, content_type: str, raw: bytes, word: str) -> None:
        """With a stable word, whatever parser it broke."""
        with pytest.raises(ReceiptError, match=f"^{word}$"):
            parse_content(content_of(content_type, raw, {}))


GOOD = {"validation_key": "key-1", "challenge": "c0ffee"}


class TestHandshake:
    """The request that the upstream makes when a webhook is registered."""

    @pytest.mark.parametrize("query", [{"token": "key-1"}, {}])
    def test_the_value_to_echo_is_given(self, query: dict[str, str]) -> None:
        """For the answer to the handshake."""
        assert handshake(query, GOOD) == "c0ffee"

    @pytest.mark.parametrize(
        ("query", "content"),
        [
            ({"token": "other"}, GOOD),
            ({"token": ""}, GOOD),
            ({"token": "key-1"}, {"challenge": "c0ffee"}),
            ({"token": "key-1"}, {"validation_key": "key-1"}),
            ({"token": "key-1"}, GOOD | {"challenge": 7}),
            ({"token": "key-1"}, GOOD | {"challenge": ""}),
            ({"token": "key-1"}, GOOD | {"challenge": "a\nb"}),
            ({"token": "key-1"}, GOOD | {"challenge": "x" * 513}),
            ({"token": "key-1"}, GOOD | {"validation_key": ["key-1"]}),
            ({}, SMS),
        ],
    )
    def test_anything_else_is_none(self, query: dict[str, str], content: dict[str, Any]) -> None:
        """Only the documented request is answered."""
        assert handshake(query, content) is None


class TestSignature:
    """The raw body counts, byte by byte."""

    RAW = b'{"status": "caf\\u00e9\\/x"}'
    GOOD = hmac.new(b"webhook-1", RAW, hashlib.sha256).hexdigest()

    def test_a_good_one(self) -> None:
        """Upper and lower case, as both are valid hex."""
        assert signed(self.RAW, self.GOOD, "webhook-1")
        assert signed(self.RAW, f" {self.GOOD.upper()} ", "webhook-1")

    def test_known_answer(self) -> None:
        """Test case 2 of RFC 4231."""
        expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        assert signed(b"what do ya want for nothing?", expected, "Jefe")

    @pytest.mark.parametrize("signature", ["", "00", GOOD[:-1], f"{GOOD}0", "é", "\ud800"])
    def test_a_bad_one(self, signature: str) -> None:
        """Whatever it contains."""
        assert not signed(self.RAW, signature, "webhook-1")

    def test_another_body_or_webhook(self) -> None:
        """Either alone makes the signature invalid."""
        assert not signed(self.RAW + b" ", self.GOOD, "webhook-1")
        assert not signed(self.RAW, self.GOOD, "webhook-2")


SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["sms:message:status", "voice:message:out", "vmn:message:in", "DELIVRD", "919000000001"]
    )
)
KEY = st.text(max_size=5) | st.sampled_from(
    [
        *("event", "payload", "data", "status", "id", "mid", "custom", "credits", "channel"),
        *("recipient", "from", "message", "text", "validation_key", "challenge"),
    ]
)
ANY_JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=6), max_leaves=12
)
OBJECT = st.dictionaries(KEY, ANY_JSON, max_size=8)


WORD = set(string.ascii_lowercase + "_")


def check(read: Callable[[], list[Receipt | Reply]]) -> None:
    """Expect valid entries, or a ReceiptError."""
    entries: list[Receipt | Reply] = []
    refusal = ""
    try:
        entries = read()
    except ReceiptError as error:
        refusal = error.word
    assert set(refusal) <= WORD
    for entry in entries:
        assert entry.channel in {"sms", "whatsapp", "voice", "rcs", "mip", "viber"}
        if isinstance(entry, Receipt):
            assert entry.upstream_id or entry.reference
            assert set(entry.reason) <= WORD
            assert entry.word is None or entry.stage is Stage.UNKNOWN
        else:
            assert entry.sender.startswith("+")


class TestNothingBreaksIt:
    """Whatever the content, the result is entries or a ReceiptError."""

    @given(content=OBJECT)
    def test_any_json(self, content: dict[str, Any]) -> None:
        """Objects with the documented fields and any values."""
        check(lambda: parse(content))

    @given(content=OBJECT, query=st.dictionaries(KEY, st.text(max_size=8), max_size=3))
    def test_any_handshake(self, content: dict[str, Any], query: dict[str, str]) -> None:
        """The result is a text or None."""
        assert isinstance(handshake(query, content), str | None)

    @given(
        content_type=st.text(max_size=40)
        | st.sampled_from(
            [
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "multipart/form-data; boundary=b0",
                "multipart/form-data; boundary*=utf-8''b0",
            ]
        ),
        raw=st.binary(max_size=200)
        | st.builds(bytes.__add__, st.just(multipart({"id": "1"})), st.binary(max_size=60))
        | OBJECT.map(lambda content: json.dumps(content).encode()),
    )
    def test_any_bytes(self, content_type: str, raw: bytes) -> None:
        """Bodies that do not match their content type."""
        check(lambda: parse_content(content_of(content_type, raw, {})))

    @given(raw=st.binary(max_size=40), signature=st.text(max_size=70), webhook_id=st.text(max_size=20))
    def test_any_signature(self, raw: bytes, signature: str, webhook_id: str) -> None:
        """A guess is never right."""
        assert not signed(raw, signature, webhook_id)


@pytest.mark.parametrize(
    ("changes", "in_parts"),
    [
        ({"units": 2}, True),
        ({"units": "3"}, True),
        ({"units": 1}, False),
        ({"units": ""}, False),
        ({"units": None}, False),
        ({"units": "many"}, False),
        ({"units": 1, "status": "REJ-MULTIPART"}, True),
    ],
)
def test_a_report_says_whether_its_message_has_parts(changes: Mapping[str, object], in_parts: bool) -> None:  # noqa: FBT001 - of a table
    """The vendor reports the number of parts as `units`, and one word says that a part is lost."""
    (found,) = parse({**SMS, **changes})
    assert isinstance(found, Receipt)
    assert found.in_parts is in_parts
    assert found.stage is (Stage.FAILED if "status" in changes else Stage.DELIVERED)
