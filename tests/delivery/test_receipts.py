"""What receipts change: deliveries and the breakers of accounts."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from otp_service.challenge.model import State, Status, Step
from otp_service.challenge.transitions import Wait
from otp_service.delivery.receipts import Receipts
from otp_service.upstream.port import Receipt, Stage
from tests.support.spine import PLAN, Spine, claimed, open_spine, opened, seen
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the service of two channels."""
    with open_spine(valkey) as made:
        yield made


@pytest.fixture
def receipts(spine: Spine) -> Receipts:
    """Give the receipts of that service."""
    return spine.receipts


def sent(spine: Spine) -> tuple[str, str]:
    """Send a code; gives the challenge's id and the delivery's reference, which is also the upstream's id."""
    id_ = spine.opened()
    spine.dispatcher.dispatch(id_, lambda: False)
    return id_, seen(spine.store, id_).last.reference


def receipt(
    stage: Stage, *, id_: str | None = None, reference: str | None = None, reason: str = ""
) -> Receipt:
    """Make a receipt."""
    return Receipt(channel="sms", stage=stage, reason=reason, upstream_id=id_, reference=reference)


@pytest.mark.parametrize("by", ["reference", "id", "both", "id and a foreign reference"])
def test_a_receipt_finds_its_challenge(spine: Spine, receipts: Receipts, by: str) -> None:
    """By the reference, by the upstream's id alone (as reports of calls have it), or beside a foreign reference."""
    id_, ours = sent(spine)
    reference = {"reference": ours, "both": ours, "id and a foreign reference": "0" * 36}.get(by)
    found = receipt(Stage.DELIVERED, id_=None if by == "reference" else ours, reference=reference)
    assert receipts.record_receipt("main", found) == "changed"
    assert seen(spine.store, id_).last.status is Status.DELIVERED
    assert receipts.record_receipt("main", found) == "known"
    assert seen(spine.store, id_).state is State.PENDING


def test_a_receipt_without_a_challenge_is_ignored(spine: Spine, receipts: Receipts) -> None:
    """Unknown references and ids, the id of another account, and stages without information."""
    id_, ours = sent(spine)
    before = seen(spine.store, id_)
    assert receipts.record_receipt("main", receipt(Stage.READ, id_="stranger")) == "none"
    assert receipts.record_receipt("main", receipt(Stage.READ, reference="stranger")) == "none"
    assert receipts.record_receipt("main", receipt(Stage.READ, reference="0" * 28)) == "none"
    assert receipts.record_receipt("spare", receipt(Stage.READ, id_=ours)) == "none"
    for stage in (Stage.PENDING, Stage.UNKNOWN):
        assert receipts.record_receipt("main", receipt(stage, reference=ours)) == "none"
    assert seen(spine.store, id_) == before


@pytest.mark.parametrize("upstreams", [("main",), ("spare", "main")], ids=["sole", "one of two"])
def test_an_account_reports_only_what_left_by_it(
    spine: Spine, receipts: Receipts, upstreams: tuple[str, ...]
) -> None:
    """The receipt of another account changes nothing, by the reference or by an id that both upstreams gave."""
    id_ = opened(spine.store, replace(PLAN, steps=(Step("sms", upstreams, 30),))).id
    lease, seal = claimed(spine.store, id_), receipts._seal  # noqa: SLF001
    ours = seal.reference(id_)
    assert spine.store.challenges.arm(lease, ours, "hash", "main")
    spine.store.challenges.settle(lease, Wait(), reference=ours, status=Status.ACCEPTED, upstream_id="up-1")
    for account in ("main", "spare"):
        spine.store.challenges.index_message(seal.index("message", account, "up-1"), id_, 60_000)
    before = seen(spine.store, id_)
    for ids in ({"reference": ours}, {"id_": "up-1"}, {"reference": ours, "id_": "up-1"}):
        assert receipts.record_receipt("spare", receipt(Stage.FAILED, **ids, reason="no_credits")) == "none"
        assert seen(spine.store, id_) == before
    assert receipts.record_receipt("main", receipt(Stage.DELIVERED, id_="up-1")) == "changed"
    assert receipts.record_receipt("main", receipt(Stage.READ, reference=ours)) == "changed"


@pytest.mark.parametrize(
    ("seconds", "status"), [(5.9, Status.FAILED), (6, Status.DELIVERED), (None, Status.DELIVERED)]
)
def test_a_call_that_was_answered_but_too_short_failed(
    spine: Spine, receipts: Receipts, seconds: float | None, status: Status
) -> None:
    """A code cannot be heard in less than `min_seconds`; a report without a length is believed."""
    id_, ours = sent(spine)
    told = replace(receipt(Stage.DELIVERED, reference=ours), channel="voice", seconds=seconds)
    assert receipts.record_receipt("main", told) == "changed"
    assert seen(spine.store, id_).last.status is status


def take_early(spine: Spine, receipts: Receipts, upstream_id: str) -> None:
    """Look for an early report of a message, as a settlement does."""
    answers = spine.scripts.call_in_turn(receipts.reading_early("main", upstream_id))
    receipts.record_early("main", "sms", upstream_id, answers)


def test_a_report_that_comes_while_the_send_is_under_way_counts(spine: Spine, receipts: Receipts) -> None:
    """It names the upstream's id, which is known only when the answer to the send is written down."""
    id_ = spine.opened()
    lease, seal = claimed(spine.store, id_), receipts._seal  # noqa: SLF001
    ours = seal.reference(id_)
    assert spine.store.challenges.arm(lease, ours, "hash", "main")
    assert receipts.record_receipt("main", receipt(Stage.DELIVERED, id_="up-1")) == "none"
    take_early(spine, receipts, "up-1")
    spine.store.challenges.index_message(seal.index("message", "main", "up-1"), id_, 60_000)
    spine.store.challenges.settle(lease, Wait(), reference=ours, status=Status.ACCEPTED, upstream_id="up-1")
    take_early(spine, receipts, "up-2")
    assert seen(spine.store, id_).last.status is Status.ACCEPTED
    take_early(spine, receipts, "up-1")
    assert seen(spine.store, id_).last.status is Status.DELIVERED


@pytest.mark.parametrize("stages", list(permutations([Stage.DELIVERED, Stage.DELIVERED, Stage.FAILED])))
def test_a_part_that_failed_is_a_message_that_failed(
    spine: Spine, receipts: Receipts, stages: tuple[Stage, ...]
) -> None:
    """If an SMS has several parts and each is reported, in any order; the next step follows."""
    id_, ours = sent(spine)
    for stage in stages:
        told = receipt(stage, reference=ours, reason="unreachable" if stage is Stage.FAILED else "")
        receipts.record_receipt("main", replace(told, in_parts=True))
    last = seen(spine.store, id_).last
    assert (last.status, last.reason) == (Status.FAILED, "unreachable")
    spine.dispatcher.dispatch(id_, lambda: False)
    assert [delivery.channel for delivery in seen(spine.store, id_).deliveries] == ["sms", "voice"]


def test_each_reference_of_a_report_is_tried(spine: Spine, receipts: Receipts) -> None:
    """A relay may fill one of the fields itself."""
    id_, ours = sent(spine)
    told = replace(receipt(Stage.DELIVERED, reference="theirs"), other_references=("0" * 28, ours))
    assert receipts.record_receipt("main", told) == "changed"
    assert seen(spine.store, id_).last.status is Status.DELIVERED


@pytest.mark.parametrize(("reason", "state"), [("no_credits", "open"), ("absent", "closed")])
def test_a_failure_of_the_account_counts_for_its_breaker(
    spine: Spine, receipts: Receipts, reason: str, state: str
) -> None:
    """As many in a row open it as failures of sends would; failures of the number do not."""
    for ours in [sent(spine)[1] for _ in range(5)]:
        assert (
            receipts.record_receipt("main", receipt(Stage.FAILED, reference=ours, reason=reason)) == "changed"
        )
        assert (
            receipts.record_receipt("main", receipt(Stage.FAILED, reference=ours, reason=reason)) == "known"
        )
    assert spine.breakers.ask("main", "sms").state == state
