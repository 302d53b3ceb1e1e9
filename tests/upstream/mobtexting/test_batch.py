"""Several SMS in one call: the request, the outcome of each message, and which caller waits for which."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from otp_service.upstream.channels import SmsSettings, TemplateId
from otp_service.upstream.mobtexting import AccountSettings, Batcher, MobtextingClient
from otp_service.upstream.port import Message, Outcome, Verdict
from tests.support.fault_server import Action, FaultServer, Received, close, http, http_json, say, wait_for
from tests.support.patience import PATIENCE, until

SENDER = SmsSettings(service="T", sender="ACMEIN", entity_id="e1")
LONG = 60.0
"""Seconds that no test waits: whoever waits for them fails."""


def message(place: int, text: str = "Your code is 4938{:02}.") -> Message:
    """Write a message; each place has its own number, reference and code."""
    return Message(
        to=f"+9190000000{place:02}",
        reference=f"ref-{place}",
        code=f"4938{place:02}",
        text=text.format(place),
        language="en",
        seconds=300 - place,
    )


MESSAGES = [message(place) for place in range(4)]


def row(place: int, status: str = "AWAITING-DLR", **more: object) -> dict[str, object]:
    """Write the row that the upstream has for a message."""
    return {
        "id": f"a1b2:{place}",
        "mobile": f"9190000000{place:02}",
        "status": status,
        "customid": f"ref-{place}",
        **more,
    }


def accepted(place: int) -> Outcome:
    """Give the outcome of an accepted row."""
    return Outcome(Verdict.ACCEPTED, "accepted", upstream_id=f"a1b2:{place}")


LOST = Outcome(Verdict.UNKNOWN, "no_recipient")


def echo(request: Received) -> bytes:
    """Accept every message, and return its reference as its id."""
    sent = request.json["nodes"] if request.path.endswith("/json") else [request.fields]
    rows = [{"id": one["custom"], "customid": one["custom"], "status": "AWAITING-DLR"} for one in sent]
    return http_json({"status": 200, "data": rows})


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Serve an API that accepts everything unless a test changes it."""
    with FaultServer() as running:
        running.respond(echo)
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[MobtextingClient]:
    """Give a client with a long time limit."""
    patient = AccountSettings(name="main", base_url=server.url, token="secret", total_timeout=20)
    with closing(MobtextingClient(patient)) as made:
        yield made


class TestOneCall:
    """The request, and how the rows of the answer are matched to messages."""

    def test_the_request(self, server: FaultServer, client: MobtextingClient) -> None:
        """Shared fields are in the root; texts are not, so a code cannot reach the number of another message."""
        client.send_sms_batch(MESSAGES[:2], SENDER)
        (request,) = server.received
        assert (request.verb, request.target) == ("POST", "/api/v2/sms/send/json")
        assert request.headers["content-type"] == "application/json"
        assert request.json == {
            "root": {"sender": "ACMEIN", "service": "T", "type": "N", "entity_id": "e1"},
            "nodes": [
                {"to": "919000000000", "custom": "ref-0", "message": "Your code is 493800."},
                {"to": "919000000001", "custom": "ref-1", "message": "Your code is 493801."},
            ],
        }

    def test_the_path_is_a_setting(self, server: FaultServer) -> None:
        """White labels have their own paths."""
        account = AccountSettings(name="main", base_url=server.url, token="secret", sms_batch_path="own/json")
        with closing(MobtextingClient(account)) as client:
            client.send_sms_batch(MESSAGES, SENDER)
        assert server.received[0].target == "/api/v2/own/json"

    def test_each_message_has_its_own_expiry(self, server: FaultServer, client: MobtextingClient) -> None:
        """The settings name the field of a white label for it; a message that leaves alone has it, too."""
        sender = replace(SENDER, expiry_field="validity")
        client.send_sms_batch(MESSAGES[:2], sender)
        assert [node["validity"] for node in server.received[0].json["nodes"]] == ["300", "299"]
        client.send_sms(MESSAGES[1], sender)
        assert server.received[1].fields["validity"] == "299"

    def test_alphabets_do_not_mix(self, server: FaultServer, client: MobtextingClient) -> None:
        """One text outside GSM would make all others longer: there are two calls, with outcomes in the given order."""
        mixed = [message(0), message(1, "आपका कोड {}"), message(2), message(3, "कोड {}")]
        outcomes = client.send_sms_batch(mixed, SENDER)
        assert [outcome.upstream_id for outcome in outcomes] == [f"ref-{place}" for place in range(4)]
        assert [
            (request.json["root"]["type"], [node["custom"] for node in request.json["nodes"]])
            for request in server.received
        ] == [("N", ["ref-0", "ref-2"]), ("U", ["ref-1", "ref-3"])]

    def test_registered_templates_do_not_mix(self, server: FaultServer, client: MobtextingClient) -> None:
        """The id is in the root. It depends on language, app and purpose; the first that fits counts."""
        sender = replace(
            SENDER,
            template_id="t0",
            template_ids=(
                TemplateId(id="t1", language="en", purpose="payment"),
                TemplateId(id="t2", language="en"),
                TemplateId(id="t3", app="shop"),
            ),
        )
        mixed = [
            replace(message(0), template="en-IN", app="web", purpose="payment"),
            replace(message(1), template="en", app="shop", purpose="login"),
            replace(message(2), template="hi", app="shop", purpose="login"),
            replace(message(3), template="hi", app="web", purpose="login"),
        ]
        client.send_sms_batch(mixed, sender)
        sent = {one.json["nodes"][0]["custom"]: one.json["root"]["template_id"] for one in server.received}
        assert sent == {"ref-0": "t1", "ref-1": "t2", "ref-2": "t3", "ref-3": "t0"}
        client.send_sms(mixed[0], sender)
        assert server.received[-1].fields["template_id"] == "t1"

    def test_an_empty_list_makes_no_call(self, server: FaultServer, client: MobtextingClient) -> None:
        """Without messages no request leaves."""
        assert client.send_sms_batch([], SENDER) == []
        assert server.received == []

    def test_a_wrong_number_stops_all(self, server: FaultServer, client: MobtextingClient) -> None:
        """Even if an earlier call would not contain it."""
        with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
            client.send_sms_batch([message(0), replace(message(1, "कोड {}"), to="+1,+2")], SENDER)
        assert server.received == []

    @pytest.mark.parametrize(
        ("rows", "outcomes"),
        [
            ([row(3), row(1), row(0), row(2)], [accepted(place) for place in range(4)]),
            ([row(0), row(2), row(3)], [accepted(0), LOST, accepted(2), accepted(3)]),
            ([row(0), row(1), row(1), row(2), row(3)], [accepted(0), LOST, accepted(2), accepted(3)]),
            ([row(n, customid=None) for n in range(4)], [accepted(place) for place in range(4)]),
            ([row(n, customid=f"own-{n}") for n in range(4)], [accepted(place) for place in range(4)]),
            ([row(n, customid=None) for n in range(3)], [LOST] * 4),
            ([row(n, customid=None) for n in (1, 0, 2, 3)], [LOST, LOST, accepted(2), accepted(3)]),
            ([row(n, customid=None, mobile=None) for n in range(4)], [accepted(n) for n in range(4)]),
            ([], [LOST] * 4),
        ],
        ids=[
            "in another order",
            "one is missing",
            "one stands twice",
            "no references",
            "references of the upstream's own",
            "no references and one is missing",
            "no references and two are exchanged",
            "neither references nor numbers",
            "no rows",
        ],
    )
    def test_each_message_gets_its_own_row(
        self, server: FaultServer, client: MobtextingClient, rows: list[object], outcomes: list[Outcome]
    ) -> None:
        """By reference, else by order; a missing or repeated row makes the outcome unknown."""
        server.play(say(http_json({"status": 200, "data": rows})))
        assert client.send_sms_batch(MESSAGES, SENDER) == outcomes

    def test_some_are_refused(self, server: FaultServer, client: MobtextingClient) -> None:
        """A refusal, or an unknown word, counts for its own node only."""
        rows = [row(0), row(1, "DNDNUMB"), row(2, "NEWS"), row(3, "THROTTLED")]
        server.play(say(http_json({"status": 200, "data": rows}, headers=["Retry-After: 9"])))
        assert [(o.verdict, o.reason, o.retry_after) for o in client.send_sms_batch(MESSAGES, SENDER)] == [
            (Verdict.ACCEPTED, "accepted", None),
            (Verdict.REFUSED, "do_not_disturb", None),
            (Verdict.UNKNOWN, "unknown_word", None),
            (Verdict.DEFERRED, "throttled", 9.0),
        ]

    @pytest.mark.parametrize(
        ("raw", "outcome"),
        [
            (http(b"", "401 Unauthorized"), Outcome(Verdict.REFUSED, "bad_token")),
            (
                http(b"", "429 Too Many", ["Retry-After: 9"]),
                Outcome(Verdict.DEFERRED, "throttled", retry_after=9.0),
            ),
            (http(b"", "500 Oops"), Outcome(Verdict.UNKNOWN, "server_error")),
            (http_json({"status": "ERROR", "code": 402}), Outcome(Verdict.REFUSED, "no_credits")),
            (b"220 smtp.example ESMTP\r\n", Outcome(Verdict.UNKNOWN, "unreadable")),
        ],
    )
    def test_the_outcome_of_the_call_is_that_of_all_messages(
        self, server: FaultServer, client: MobtextingClient, raw: bytes, outcome: Outcome
    ) -> None:
        """Each message gets the reason of the call."""
        server.play(say(raw))
        assert client.send_sms_batch(MESSAGES, SENDER) == [outcome] * 4
        assert len(server.received) == 1


@contextmanager
def held(server: FaultServer, *, calls: int = 1) -> Iterator[threading.Event]:
    """Hold the first calls until the event is set; answer all others at once."""
    release, seen = threading.Event(), [0]

    def choose(request: Received) -> Sequence[Action]:
        seen[0] += 1
        reply = say(echo(request))
        return [wait_for(release), reply] if seen[0] <= calls else [reply]

    server.react(choose)
    try:
        yield release
    finally:
        release.set()


class Senders:
    """Many callers of one batcher, each in its own thread."""

    def __init__(self, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
        self._batcher = batcher
        self._pool = pool

    def send(self, one: Message, *, waiting: int | None = None) -> Future[Outcome]:
        """Send in another thread, and return when `waiting` messages wait."""
        sent = self._pool.submit(self._batcher, one)
        if waiting is not None:
            until(lambda: self._batcher.waiting == waiting)
        return sent


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for callers."""
    with ThreadPoolExecutor(128) as threads:
        yield threads


def sizes(server: FaultServer) -> list[int]:
    """List how many messages each call held; 0 for a message that left alone."""
    return [
        len(request.json["nodes"]) if request.path.endswith("/json") else 0 for request in server.received
    ]


def ids(sent: Sequence[Future[Outcome]]) -> list[str | None]:
    """Wait for outcomes, and return their ids."""
    return [one.result(PATIENCE).upstream_id for one in sent]


class TestBatcher:
    """Which messages leave at once, which wait, and that none waits for ever."""

    def test_alone_while_there_is_room(self, server: FaultServer, client: MobtextingClient) -> None:
        """Each message leaves by its own call and without a wait."""
        batcher = Batcher(client, SENDER, parallel=1, linger=LONG)
        assert [batcher(one).upstream_id for one in MESSAGES] == ["ref-0", "ref-1", "ref-2", "ref-3"]
        assert sizes(server) == [0, 0, 0, 0]

    def test_together_when_a_place_comes_free(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """Waiting messages leave in one call, before the linger is over."""
        senders = Senders(Batcher(client, SENDER, parallel=1, linger=LONG), pool)
        with held(server) as release:
            sent = [senders.send(message(0))]
            until(lambda: len(server.received) == 1)
            sent += [senders.send(message(n), waiting=n) for n in range(1, 4)]
            assert len(server.received) == 1
            release.set()
            assert ids(sent) == ["ref-0", "ref-1", "ref-2", "ref-3"]
        assert sizes(server) == [0, 3]

    def test_not_beyond_the_linger(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """A message leaves even if no place becomes free, alone if no other joined."""
        senders = Senders(Batcher(client, SENDER, parallel=1, linger=0.1), pool)
        with held(server) as release:
            first = senders.send(message(0))
            until(lambda: len(server.received) == 1)
            assert ids([senders.send(message(1))]) == ["ref-1"]
            assert not first.done()
            release.set()
            first.result(PATIENCE)
        assert sizes(server) == [0, 0]

    def test_at_most_so_many_together(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """A batch that is full leaves at once, however many calls are on their way; the rest waits for a place."""
        senders = Senders(Batcher(client, SENDER, parallel=1, size=2, linger=LONG), pool)
        with held(server, calls=3) as release:
            sent = [senders.send(message(0))]
            until(lambda: len(server.received) == 1)
            for first in (1, 3):
                sent.append(senders.send(message(first), waiting=1))
                sent.append(senders.send(message(first + 1)))
                until(lambda: len(server.received) == 1 + first // 2 + 1)  # noqa: B023
            sent.append(senders.send(message(5), waiting=1))
            assert sizes(server) == [0, 2, 2]
            release.set()
            assert ids(sent) == [f"ref-{n}" for n in range(6)]
        assert sizes(server) == [0, 2, 2, 0]

    def test_one_number_is_not_twice_in_a_batch(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """The upstream might treat the second message as a copy of the first."""
        senders = Senders(Batcher(client, SENDER, parallel=1, linger=LONG), pool)
        with held(server) as release:
            sent = [senders.send(message(0))]
            until(lambda: len(server.received) == 1)
            twin = replace(message(3), to=message(1).to)
            sent += [senders.send(one, waiting=n) for n, one in enumerate([message(1), message(2), twin], 1)]
            release.set()
            assert ids(sent) == ["ref-0", "ref-1", "ref-2", "ref-3"]
        assert sizes(server) == [0, 2, 0]

    def test_alphabets_wait_apart(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """So that a batch is one call."""
        senders = Senders(Batcher(client, SENDER, parallel=1, size=3, linger=LONG), pool)
        with held(server) as release:
            sent = [senders.send(message(0))]
            until(lambda: len(server.received) == 1)
            texts = ["code {}", "कोड {}", "code {}", "कोड {}"]
            sent += [senders.send(message(n, text), waiting=n) for n, text in enumerate(texts, 1)]
            release.set()
            assert ids(sent) == [f"ref-{n}" for n in range(5)]
        assert sizes(server) == [0, 2, 2]
        assert [request.json["root"]["type"] for request in server.received[1:]] == ["N", "U"]

    def test_places_are_given_back(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """After a crowd, even one that waited too long, a message leaves alone and at once again."""
        batcher = Batcher(client, SENDER, parallel=2, size=3, linger=0.05)
        with held(server, calls=4) as release:
            sent = [pool.submit(batcher, message(n)) for n in range(12)]
            until(lambda: len(server.received) >= 4)
            release.set()
            assert ids(sent) == [f"ref-{n}" for n in range(12)]
        patient = Senders(batcher, pool)
        batcher._linger = LONG  # noqa: SLF001 - a place that was lost would now be waited for
        assert ids([patient.send(message(20))]) == ["ref-20"]
        assert sizes(server)[-1] == 0

    def test_a_batch_after_its_linger_takes_a_place_too(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """While more calls than the limit are running, a call that ends frees no place."""
        gates = [threading.Event(), threading.Event()]

        def choose(request: Received) -> Sequence[Action]:
            gate = gates[min(len(server.received), len(gates)) - 1]
            return [wait_for(gate), say(echo(request))]

        server.react(choose)
        batcher = Batcher(client, SENDER, parallel=1, linger=0.05)
        senders = Senders(batcher, pool)
        sent = []
        for n in (0, 1):
            sent.append(senders.send(message(n)))
            until(lambda: len(server.received) == len(sent))
        batcher._linger = LONG  # noqa: SLF001 - from here on, only a place lets one go
        sent.append(senders.send(message(2), waiting=1))
        gates[0].set()
        assert ids(sent[:1]) == ["ref-0"]
        assert batcher.waiting == 1
        gates[1].set()
        assert ids(sent) == ["ref-0", "ref-1", "ref-2"]

    def test_a_crowd(self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor) -> None:
        """Each of a thousand messages is sent once and gets its own outcome."""
        batcher = Batcher(client, SENDER, parallel=4, linger=0.02)
        crowd = [
            replace(
                message(0), reference=f"ref-{n}", to=f"+91900000{n % 700:04}", text=("код" * (n % 2)) or "x"
            )
            for n in range(1000)
        ]
        assert ids([pool.submit(batcher, one) for one in crowd]) == [one.reference for one in crowd]
        sent = [
            one
            for request in server.received
            for one in (request.json["nodes"] if request.path.endswith("/json") else [request.fields])
        ]
        assert sorted(one["custom"] for one in sent) == sorted(one.reference for one in crowd)
        assert len(server.received) < 1000
        for request in server.received:
            if request.path.endswith("/json"):
                numbers = [node["to"] for node in request.json["nodes"]]
                assert len(set(numbers)) == len(numbers) <= 20

    def test_a_leader_that_fails_blocks_no_other_caller(
        self, server: FaultServer, pool: ThreadPoolExecutor
    ) -> None:
        """Its own caller gets the error, the others an unknown outcome, and the place becomes free."""

        class Broken(MobtextingClient):
            def send_sms_batch(self, messages: Sequence[Message], settings: SmsSettings) -> list[Outcome]:
                raise RuntimeError(f"broken on purpose, with {len(messages)} for {settings.sender}")

        account = AccountSettings(name="main", base_url=server.url, token="secret", total_timeout=20)
        with closing(Broken(account)) as client, held(server) as release:
            senders = Senders(Batcher(client, SENDER, parallel=1, linger=LONG), pool)
            first = senders.send(message(0))
            until(lambda: len(server.received) == 1)
            leader, *others = [senders.send(message(n), waiting=n) for n in range(1, 4)]
            release.set()
            assert ids([first]) == ["ref-0"]
            with pytest.raises(RuntimeError, match="broken on purpose, with 3 for ACMEIN"):
                leader.result(PATIENCE)
            assert {one.result(PATIENCE) for one in others} == {Outcome(Verdict.UNKNOWN, "abandoned")}
            assert ids([senders.send(message(4))]) == ["ref-4"]

    def test_a_call_that_fails_fails_for_all_in_it(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """A connection that breaks leaves the outcome of each message unknown."""
        release = threading.Event()
        server.play_each([wait_for(release), say(http(b"", "500 Oops"))], [close])
        senders = Senders(Batcher(client, SENDER, parallel=1, linger=LONG), pool)
        first = senders.send(message(0))
        until(lambda: len(server.received) == 1)
        others = [senders.send(message(n), waiting=n) for n in (1, 2)]
        release.set()
        assert first.result(PATIENCE).reason == "server_error"
        lost = Outcome(Verdict.UNKNOWN, "connection_lost")
        assert [one.result(PATIENCE) for one in others] == [lost, lost]

    def test_a_wrong_number_concerns_only_its_own_caller(
        self, server: FaultServer, client: MobtextingClient, pool: ThreadPoolExecutor
    ) -> None:
        """It joins no batch and takes no place."""
        senders = Senders(Batcher(client, SENDER, parallel=1, linger=LONG), pool)
        wrong = replace(message(9), to="+1,+2")
        with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
            senders.send(wrong).result(PATIENCE)
        with held(server) as release:
            sent = [senders.send(message(0))]
            until(lambda: len(server.received) == 1)
            sent.append(senders.send(message(1), waiting=1))
            with pytest.raises(ValueError, match=r"^to must be E\.164 with a plus$"):
                senders.send(wrong).result(PATIENCE)
            release.set()
            assert ids(sent) == ["ref-0", "ref-1"]

    @pytest.mark.parametrize("settings", [{"parallel": 0}, {"size": 0}, {"linger": -1}])
    def test_a_setting_that_cannot_work(self, client: MobtextingClient, settings: dict[str, int]) -> None:
        """It is refused at once."""
        with pytest.raises(ValueError, match="must"):
            Batcher(client, SENDER, **settings)
