"""The stories that are kept: what is told of each journey, how it is found, and how it goes."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from otp_service import phone
from otp_service.crypto.sealing import Seal
from otp_service.errors import ChallengeNotFound, Invalid, OtpError
from otp_service.history.dropper import Dropper
from otp_service.history.note import Note, What
from otp_service.history.scan import Scan, Wanted
from otp_service.history.store import HOUR, StoryStore
from otp_service.history.story import Story
from otp_service.history.sweeper import Sweeper
from otp_service.history.writer import HistoryWriter
from otp_service.ops.stories import Search, Stories
from otp_service.ops.timeline import deliveries, summary
from otp_service.policy import Budget, Window
from otp_service.telemetry.logs import log
from otp_service.upstream.port import Outcome, Receipt, Stage, Verdict
from otp_service.verification.resend import ResendRequest
from otp_service.verification.send import SendRequest
from tests.support.spine import NUMBERS, OPEN, Phone, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer

STRICT = replace(OPEN, number=Budget(refuse=(Window(1, 3600),)))
DAILY = replace(OPEN, number=Budget(refuse=(Window(1, 86_400),)))
KEEP = 24 * HOUR


@dataclass
class Desk:
    """A spine whose stories are kept, and the operator who reads them."""

    spine: Spine
    stories: Stories
    kept: StoryStore
    sweeper: Sweeper

    def __post_init__(self) -> None:
        self.count = 0

    def request(self) -> Any:  # noqa: ANN401 - a caller
        """Give the caller of a new request."""
        self.count += 1
        return replace(self.spine.caller, request_id=f"r{self.count:015d}")

    def send(self, to: str = NUMBERS[0], **more: Any) -> str:  # noqa: ANN401 - as SendRequest
        """Open a challenge; gives its id."""
        return self.spine.send.send(self.request(), SendRequest(to=to, **more)).challenge_id

    def deliver(self, id_: str) -> str:
        """Let a worker send what is due; gives the code."""
        self.spine.dispatcher.dispatch(id_, lambda: False)
        return self.spine.phone.next()[1]

    def report(self, id_: str, stage: Stage, place: int = -1) -> None:
        """Let the account report a delivery."""
        delivery = seen(self.spine.store, id_).deliveries[place]
        receipt = Receipt(
            channel=delivery.channel, stage=stage, reason=str(stage), upstream_id=delivery.upstream_id
        )
        self.spine.receipts.record_receipt("main", receipt)

    def move(self, milliseconds: int) -> None:
        """Let time pass."""
        self.spine.store.scripts.offset += milliseconds

    def sweep(self) -> int:
        """Drop what has to go, however long it takes; gives how many stories."""
        return self.sweeper.sweep(clock=lambda: 0.0)

    def told(self, id_: str) -> dict[str, Any]:
        """Read a timeline, after all that was noted is written."""
        self.spine.journal.hand_over()
        return self.stories.read_timeline(id_)

    def line(self, id_: str) -> list[str]:
        """Read a timeline in short."""
        return [
            f"{one['what']} {one.get('result') or one.get('reason', '')}".strip()
            for one in self.told(id_)["timeline"]
        ]

    def found(self, **wanted: Any) -> list[str]:  # noqa: ANN401 - as Search
        """Search; gives the ids."""
        return [one["id"] for one in self.search(**wanted)["challenges"]]

    def search(self, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - as Search
        """Search, after all that was noted is written."""
        self.spine.journal.hand_over()
        return self.stories.search(Search(**wanted), by="anna")


def at_desk(spine: Spine, *, memory: int = 256 * 1024**2) -> Desk:
    """Keep the stories of a spine."""
    store = spine.store
    kept = StoryStore(spine.scripts, store.partitions, keep=KEEP)
    spine.journal.listen(HistoryWriter(kept, spine.seal, dropped=lambda _: None))
    reader = Scan(kept, clock=store.facts.time, keep=KEEP)
    stories = Stories(stories=kept, challenges=store.challenges, seal=spine.seal, scan=reader, record=log)
    sweeper = Sweeper(
        stories=kept, facts=store.facts, dropper=Dropper(kept, spine.seal), keep=KEEP, memory=memory
    )
    return Desk(spine, stories, kept, sweeper)


@pytest.fixture
def desk(valkey: ValkeyServer) -> Iterator[Desk]:
    """Give the use cases, with their stories."""
    with open_spine(valkey) as spine:
        yield at_desk(spine)


def other(code: str) -> str:
    """Give a wrong code."""
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_wrong_code_then_the_right_one_and_the_token(desk: Desk) -> None:
    """What was done is what is told, in order, with the channel, the account and the best status."""
    id_ = desk.send(reference="order-1")
    code = desk.deliver(id_)
    desk.report(id_, Stage.DELIVERED)
    with pytest.raises(OtpError):
        desk.spine.check.verify(desk.request(), id_, other(code))
    token = desk.spine.check.verify(desk.request(), id_, code).token
    desk.spine.journal.hand_over()
    desk.spine.redeem.redeem(desk.request(), token)
    assert desk.line(id_) == [
        "asked",
        "admitted allow",
        "sent accepted",
        "reported delivered",
        "guessed wrong",
        "guessed right",
        "ended verified",
        "redeemed",
    ]
    told = desk.told(id_)
    assert (told["state"], told["kind"], told["app"], told["country"]) == (
        "verified",
        "challenge",
        "web",
        "US",
    )
    assert told["to"] == phone.mask(NUMBERS[0])
    assert told["reference"] == "order-1"
    assert told["deliveries"] == [{"channel": "sms", "account": "main", "status": "delivered", "reason": ""}]


def test_a_message_that_fails_and_the_one_that_replaces_it(valkey: ValkeyServer) -> None:
    """The reason of the fallback, and both deliveries with their statuses."""
    with open_spine(valkey, phone=Phone(Outcome(Verdict.ACCEPTED, "accepted", upstream_id="m1"))) as spine:
        desk = at_desk(spine)
        id_ = desk.send()
        desk.deliver(id_)
        desk.report(id_, Stage.FAILED)
        desk.spine.dispatcher.dispatch(id_, lambda: False)
        desk.deliver(id_)
        assert desk.line(id_) == [
            "asked",
            "admitted allow",
            "sent accepted",
            "reported failed",
            "fell_back failed",
            "sent accepted",
        ]
        told = desk.told(id_)
        assert [(one["channel"], one["status"]) for one in told["deliveries"]] == [
            ("sms", "failed"),
            ("voice", "accepted"),
        ]
        assert (told["state"], told["reason"]) == ("pending", "")
        assert told["message"] == {"channel": "voice", "status": "accepted"}


def test_a_refused_send_is_told_under_its_request_id(valkey: ValkeyServer) -> None:
    """With the rule, what was counted and the threshold; its number leads to it, and to the one before."""
    with open_spine(valkey, guard=STRICT) as spine:
        desk = at_desk(spine)
        first = desk.send()
        with pytest.raises(OtpError):
            desk.send()
        (refused,) = desk.found(request_id=f"r{desk.count:015d}")
        told = desk.told(refused)
        assert (told["kind"], told["state"], told["rule"]) == ("refused", "refused", "number")
        assert told["reason"] == "too_many_requests"
        last = told["timeline"][-1]
        assert (last["counter"], last["threshold"], last["window"]) == (1, 1, 3600)
        assert set(desk.found(number=NUMBERS[0])) == {first, refused}
        assert set(desk.found(number="(212) 555-0100", country="US")) == set()


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (lambda desk, id_: desk.spine.manage.cancel(desk.request(), id_), "cancelled"),
        (lambda desk, _: desk.move(301_000), "expired"),
    ],
)
def test_an_end_is_told_before_a_worker_has_recorded_it(
    desk: Desk, end: Callable[[Desk, str], object], state: str
) -> None:
    """The live record says what no note says yet."""
    id_ = desk.send()
    desk.deliver(id_)
    end(desk, id_)
    told = desk.told(id_)
    assert (told["state"], told["timeline"][-1]["what"]) == (state, "ended")
    desk.spine.dispatcher.dispatch(id_, lambda: False)
    assert desk.line(id_)[-1] == f"ended {state}"
    assert desk.line(id_).count(f"ended {state}") == 1


def test_a_running_challenge_shows_truly_before_anything_is_written(desk: Desk) -> None:
    """The live record alone tells what was sent and reported."""
    id_ = desk.send()
    desk.deliver(id_)
    desk.report(id_, Stage.DELIVERED)
    told = desk.stories.read_timeline(id_)
    assert [one["what"] for one in told["timeline"]] == ["asked", "admitted", "sent", "reported"]
    assert told["deliveries"][0]["status"] == "delivered"
    assert (told["state"], told["to"]) == ("pending", phone.mask(NUMBERS[0]))


def test_a_challenge_whose_end_was_lost_is_not_pending_for_ever(desk: Desk) -> None:
    """It is while its record is there. Then it has ended, and only how is not known; a search tells them apart."""
    lost, running = desk.send(), desk.send(NUMBERS[1])
    desk.spine.journal.hand_over()
    in_state = {state: Wanted(state=state) for state in ("pending", "unknown", "expired")}

    def found() -> dict[str, list[str]]:
        return {state: desk.found(since=0, wanted=wanted) for state, wanted in in_state.items()}

    assert found() == {"pending": [running, lost], "unknown": [], "expired": []}
    desk.spine.store.challenge_eraser.erase(lost)
    assert [desk.told(id_)["state"] for id_ in (lost, running)] == ["unknown", "pending"]
    assert [desk.told(id_)["message"]["status"] for id_ in (lost, running)] == ["unknown", "queued"]
    assert found() == {"pending": [running], "unknown": [lost], "expired": []}
    assert set(desk.found(since=0)) == {running, lost}


def test_a_status_is_never_worse_than_the_best_report(desk: Desk) -> None:
    """A message that failed and was delivered, in either order, was delivered; also when the record is gone."""
    for stages in ((Stage.FAILED, Stage.DELIVERED), (Stage.DELIVERED, Stage.FAILED)):
        id_ = desk.send()
        desk.deliver(id_)
        for stage in stages:
            desk.report(id_, stage, 0)
        assert desk.told(id_)["deliveries"][0]["status"] == "delivered"
        desk.spine.store.challenge_eraser.erase(id_)
        assert desk.told(id_)["deliveries"][0]["status"] == "delivered"


def test_a_running_challenge_tells_of_its_newest_message_only(valkey: ValkeyServer) -> None:
    """Before it is sent, after it was, and when it has failed; what became of the one before is over."""
    with open_spine(valkey, phone=Phone(Outcome(Verdict.ACCEPTED, "accepted", upstream_id="m1"))) as spine:
        desk = at_desk(spine)
        id_ = desk.send()

        def said() -> tuple[str, str, str]:
            told = desk.told(id_)
            return told["message"]["channel"], told["message"]["status"], told["reason"]

        assert said() == ("sms", "queued", "")
        desk.deliver(id_)
        assert said() == ("sms", "accepted", "")
        desk.report(id_, Stage.FAILED)
        assert said() == ("sms", "failed", "failed")
        desk.spine.dispatcher.dispatch(id_, lambda: False)
        assert said() == ("voice", "queued", "")
        desk.deliver(id_)
        assert said() == ("voice", "accepted", "")
        desk.report(id_, Stage.FAILED)
        assert said() == ("voice", "failed", "failed")
        desk.spine.manage.cancel(desk.request(), id_)
        assert said() == ("voice", "failed", "failed")


def test_what_a_better_report_overruled_is_no_trouble(desk: Desk) -> None:
    """In whichever order the reports come, before and after the end."""
    for stages in ((Stage.FAILED, Stage.DELIVERED), (Stage.DELIVERED, Stage.FAILED)):
        id_ = desk.send()
        desk.deliver(id_)
        for stage in stages:
            desk.report(id_, stage, 0)
        assert (desk.told(id_)["reason"], desk.told(id_)["message"]["status"]) == ("", "delivered")
        desk.spine.manage.cancel(desk.request(), id_)
        assert desk.told(id_)["reason"] == ""


def test_what_one_account_defers_another_one_may_take() -> None:
    """The message was not refused then; if none takes it, it was."""
    deferred, accepted = (
        Note(what=what, at=at, channel="sms", account=account, place=0, result=result, reason=result)
        for what, at, account, result in (
            (What.NOT_SENT, 1, "main", "deferred"),
            (What.SENT, 2, "spare", "accepted"),
        )
    )
    notes = [Note(what=What.ADMITTED, at=1, channel="sms", result="allow"), deferred]
    for told_, status, reason in ((notes, "refused", "deferred"), ([*notes, accepted], "accepted", "")):
        found = summary(Story("c", is_challenge=True, notes=told_), None)
        assert (found["message"]["status"], found["reason"]) == (status, reason)
    assert deliveries([deferred, accepted])[0]["account"] == "spare"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ((), "queued"),
        ((Note(what=What.DROPPED, at=2, place=0, channel="sms"),), "not_sent"),
        ((Note(what=What.ENDED, at=2, result="cancelled"),), "not_sent"),
    ],
)
def test_a_message_that_never_left_says_so(more: tuple[Note, ...], status: str) -> None:
    """It waits, unless it came too late or its challenge has ended; to a review number there is none."""
    first = Note(what=What.ADMITTED, at=1, channel="sms", result="allow")
    assert summary(Story("c", is_challenge=True, notes=(first, *more)), None)["message"] == {
        "channel": "sms",
        "status": status,
    }
    review = replace(first, result="review")
    assert summary(Story("c", is_challenge=True, notes=(review,)), None)["message"] is None


def test_the_best_of_the_kept_statuses_is_shown() -> None:
    """Also if the notes of two reports were written by processes whose clocks differ."""
    reports = [
        Note(what=What.REPORTED, at=1, channel="sms", place=0, result=result) for result in ("read", "failed")
    ]
    for notes in (reports, reports[::-1]):
        assert [one["status"] for one in deliveries(notes)] == ["read"]


def test_every_request_about_a_challenge_finds_it(desk: Desk) -> None:
    """Send, resend, check and redeem each have a request id of their own."""
    id_ = desk.send(reference="order-2")
    desk.deliver(id_)
    desk.move(31_000)
    desk.spine.resend.resend(desk.request(), id_, ResendRequest(channel="voice"))
    code = desk.deliver(id_)
    token = desk.spine.check.verify(desk.request(), id_, code).token
    desk.spine.journal.hand_over()
    desk.spine.redeem.redeem(desk.request(), token)
    desk.spine.journal.hand_over()
    for count in range(1, desk.count + 1):
        assert desk.found(request_id=f"r{count:015d}") == [id_], count
    assert desk.found(reference="order-2") == [id_]
    assert desk.found(challenge_id=id_) == [id_]
    assert desk.found(reference="order-3") == []


def test_a_token_that_is_redeemed_before_its_proof_is_written_waits_for_it(desk: Desk) -> None:
    """Another process may write the guess a second later."""
    id_ = desk.send()
    code = desk.deliver(id_)
    token = desk.spine.check.verify(desk.request(), id_, code).token
    desk.spine.redeem.redeem(desk.request(), token)
    for _ in range(2):
        desk.spine.journal.hand_over()
    assert desk.line(id_)[-1] == "redeemed"


def test_lines_that_come_before_their_beginning_are_told_with_it(desk: Desk) -> None:
    """A worker may write its notes before the process that was asked."""
    notes: list[Note] = []
    desk.spine.journal.listen(notes.extend)
    id_ = desk.send()
    desk.deliver(id_)
    desk.spine.journal.hand_over()
    desk.sweeper._dropper.drop([id_])  # noqa: SLF001 - as if nothing had been written
    writer = HistoryWriter(desk.kept, desk.spine.seal, dropped=lambda _: None)
    for note in reversed(notes):
        writer([note])
    assert desk.line(id_) == ["asked", "admitted allow", "sent accepted"]
    assert sum(desk.kept.count_bytes().values()) > 0


def test_a_time_range_is_paged_newest_first(desk: Desk) -> None:
    """Each story comes once, over hours and pages of any size."""
    ids = []
    for number in NUMBERS[:7]:
        ids.append(desk.send(number))
        desk.spine.journal.hand_over()
        desk.move(20 * 60_000)
    for limit in (1, 3, 100):
        page = desk.search(since=0, limit=limit)
        pages = [one["id"] for one in page["challenges"]]
        while page["next_cursor"]:
            page = desk.search(since=0, limit=limit, cursor=page["next_cursor"])
            pages += [one["id"] for one in page["challenges"]]
        assert pages == ids[::-1]


def test_stories_of_one_name_are_paged_newest_first(desk: Desk) -> None:
    """Also those of one hour, and whenever they were written."""
    ids = []
    for number in NUMBERS[:7]:
        ids.append(desk.send(number, reference="order-1"))
        desk.move(10)
    desk.spine.journal.hand_over()
    page = desk.search(reference="order-1", limit=2)
    pages = [one["id"] for one in page["challenges"]]
    while page["next_cursor"]:
        page = desk.search(reference="order-1", limit=2, cursor=page["next_cursor"])
        pages += [one["id"] for one in page["challenges"]]
    assert pages == ids[::-1]


def test_a_time_range_is_narrowed(valkey: ValkeyServer) -> None:
    """By app, country, channel, state and reason; each alone finds what has it and nothing else."""
    with open_spine(valkey, guard=STRICT) as spine:
        desk = at_desk(spine)
        verified, running = desk.send(), desk.send(NUMBERS[1])
        desk.spine.check.verify(desk.request(), verified, desk.deliver(verified))
        with suppress(OtpError):
            desk.send(NUMBERS[1])
        desk.spine.journal.hand_over()
        (refused,) = desk.found(request_id=f"r{desk.count:015d}")
        wants = {
            frozenset({verified}): [Wanted(state="verified")],
            frozenset({running}): [Wanted(state="pending")],
            frozenset({refused}): [
                Wanted(state="refused"),
                Wanted(reason="number"),
                Wanted(reason="too_many_requests"),
            ],
            frozenset({verified, running, refused}): [Wanted(), Wanted(app="web"), Wanted(country="US")],
            frozenset({verified, running}): [Wanted(channel="sms")],
            frozenset(): [Wanted(app="we"), Wanted(country="IN"), Wanted(channel="voice")],
        }
        for expected, all_wanted in wants.items():
            for wanted in all_wanted:
                assert set(desk.found(since=0, wanted=wanted)) == expected, wanted
        assert desk.found(since=desk.spine.store.facts.time() + 1) == []
        assert desk.found(since=0, until=1) == []


def test_a_page_reads_a_bounded_number_of_stories(desk: Desk) -> None:
    """A page of which nothing fits ends early and has a cursor that leads on."""
    desk.stories._scan = Scan(desk.kept, clock=desk.spine.store.facts.time, keep=KEEP, most=2)  # noqa: SLF001 - two, not 2000
    for number in NUMBERS[:5]:
        desk.send(number)
    pages = [desk.search(since=0, wanted=Wanted(app="another"))]
    while pages[-1]["next_cursor"]:
        pages.append(desk.search(since=0, wanted=Wanted(app="another"), cursor=pages[-1]["next_cursor"]))
    assert [page["challenges"] for page in pages] == [[], [], []]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"number": NUMBERS[0], "reference": "x"},
        {"number": NUMBERS[0], "since": 0},
        {"reference": "x", "wanted": Wanted(app="web")},
        {"request_id": "x", "until": 5},
        {"since": 0, "cursor": "x"},
        {"since": 0, "cursor": "472222-c1-x2"},
        {"reference": "x", "cursor": "472222-c1"},
    ],
)
def test_a_search_is_by_exactly_one_thing(desk: Desk, wrong: dict[str, Any]) -> None:
    """And with a cursor of its own kind."""
    with pytest.raises(Invalid):
        desk.search(**wrong)


def test_an_unknown_id_is_not_found(desk: Desk) -> None:
    """Neither a made-up one nor one of another length."""
    for id_ in ("0" * 24, "x"):
        with pytest.raises(ChallengeNotFound):
            desk.told(id_)
        assert desk.found(challenge_id=id_) == []


def kept_keys(server: ValkeyServer, spine: Spine) -> dict[str, Any]:
    """Read every key of the history, with its value."""
    with server.client() as client:
        keys = [str(key) for key in client.scan_iter("*") if spine.store.prefix in str(key)]
        history = [key for key in keys if key.rpartition("}:")[2].startswith("h") or ":ht:" in key]
        readers = {
            "string": client.get,
            "hash": client.hgetall,
            "list": lambda key: client.lrange(key, 0, -1),
        }
        return {key: readers[str(client.type(key))](key) for key in history}


def test_nothing_that_is_kept_shows_a_number_a_code_or_its_hash(desk: Desk, valkey: ValkeyServer) -> None:
    """The number is only sealed and as an HMAC; each key has a time to live."""
    id_ = desk.send(reference="order-3")
    code = desk.deliver(id_)
    digest = seen(desk.spine.store, id_).last.code_hash
    with pytest.raises(OtpError):
        desk.spine.check.verify(desk.request(), id_, other(code))
    desk.spine.check.verify(desk.request(), id_, code)
    desk.spine.journal.hand_over()
    kept = json.dumps(kept_keys(valkey, desk.spine))
    assert id_[2:] in kept
    for secret in (NUMBERS[0][1:], NUMBERS[0][-8:], code, other(code), digest):
        assert secret not in kept
    with valkey.client() as client:
        assert all(int(client.pttl(key)) > 0 for key in kept_keys(valkey, desk.spine))


def test_a_number_is_erased_with_all_that_leads_to_it(desk: Desk, valkey: ValkeyServer) -> None:
    """Nothing is left but what belongs to others."""
    other_id = desk.send(NUMBERS[1])
    desk.spine.journal.hand_over()
    before = kept_keys(valkey, desk.spine)
    id_ = desk.send(NUMBERS[0], reference="order-4")
    desk.spine.check.verify(desk.request(), id_, desk.deliver(id_))
    desk.spine.journal.hand_over()
    assert desk.sweeper._dropper.erase_number(NUMBERS[0], []) == 1  # noqa: SLF001 - as an erasure does
    after = kept_keys(valkey, desk.spine)
    assert {key: value for key, value in after.items() if not key.endswith(":hb")} == {
        key: value for key, value in before.items() if not key.endswith(":hb")
    }
    assert desk.found(since=0) == [other_id]


def test_stories_are_dropped_when_their_time_is_over(desk: Desk, valkey: ValkeyServer) -> None:
    """With all names; what is younger stays."""
    old = desk.send()
    desk.spine.journal.hand_over()
    desk.move(KEEP // 2)
    young = desk.send(NUMBERS[1])
    desk.spine.journal.hand_over()
    desk.move(KEEP // 2 + 4 * HOUR)
    assert desk.sweep() == 1
    assert desk.found(since=0) == [young]
    assert desk.found(number=NUMBERS[0]) == []
    assert old[2:] not in json.dumps(kept_keys(valkey, desk.spine))
    desk.move(KEEP)
    assert desk.sweep() == 1
    assert {key: value for key, value in kept_keys(valkey, desk.spine).items() if value} == {}


def test_the_oldest_go_first_and_refused_sends_before_challenges(valkey: ValkeyServer) -> None:
    """An attack that is refused pushes out no challenge."""
    with open_spine(valkey, guard=DAILY) as spine:
        desk = at_desk(spine, memory=1)
        kept = []
        for number in NUMBERS[:4]:
            kept.append(desk.send(number))
            desk.spine.journal.hand_over()
            desk.move(HOUR)
        for _ in range(20):
            with suppress(OtpError):
                desk.send(NUMBERS[3])
        desk.spine.journal.hand_over()
        sizes = desk.kept.count_bytes()
        refused = sum(size for hour, size in sizes.items() if hour[0] == "r")
        desk.sweeper._memory = sum(sizes.values()) - refused  # noqa: SLF001 - no room for what was refused
        assert desk.sweep() == 20
        assert desk.found(since=0) == kept[::-1]
        desk.sweeper._memory = sum(desk.kept.count_bytes().values()) - 1  # noqa: SLF001 - nor for all others
        assert desk.sweep() == 1
        assert desk.found(since=0) == kept[:0:-1]


def test_a_key_that_is_rotated_still_finds_and_opens(desk: Desk) -> None:
    """As long as it is in the ring; a number whose key is gone is not shown."""
    id_ = desk.send()
    desk.spine.journal.hand_over()
    old = desk.spine.seal
    fresh = {"number": secrets.token_bytes(32), "lookup": secrets.token_bytes(32)}
    for seal, ids in ((old, [id_]), (_fresh(fresh), [])):
        told = Stories(
            stories=desk.kept,
            challenges=desk.spine.store.challenges,
            seal=seal,
            scan=Scan(desk.kept, clock=desk.spine.store.facts.time, keep=KEEP),
            record=log,
        )
        found = told.search(Search(number=NUMBERS[0]), by="anna")["challenges"]
        assert [one["id"] for one in found] == ids
        (one,) = told.search(Search(since=0), by="anna")["challenges"]
        assert one["to"] == (phone.mask(NUMBERS[0]) if ids else None)


def _fresh(keys: dict[str, bytes]) -> Seal:
    return Seal({"n9": keys["number"]}, {"l9": keys["lookup"]}, subject_key=secrets.token_bytes(32))


def test_a_note_says_the_same_after_it_was_kept(desk: Desk) -> None:
    """Marks that divide fields are escaped, and numbers keep their kind."""
    note = Note(
        what=What.REFUSED,
        at=1_700_000_000_123,
        request_id="q" * 16,
        reference="a|b%7C\nc",
        counter=3,
        threshold=2.5,
        window=86_400,
        price=0.125,
    )
    writer = HistoryWriter(desk.kept, desk.spine.seal, dropped=lambda _: None)
    writer([replace(note, what=What.ASKED), note])
    (id_,) = desk.found(request_id="q" * 16)
    (asked, refused) = desk.told(id_)["timeline"]
    assert refused == {
        "what": "refused",
        "at": 1_700_000_000_123,
        "request_id": "q" * 16,
        "counter": 3,
        "threshold": 2.5,
        "window": 86_400,
        "price": 0.125,
    }
    assert desk.told(id_)["reference"] == "a|b%7C\nc"
    assert asked["what"] == "asked"
