"""What receipts and messages of persons do to challenges, breakers and the suppression list."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from otp_service.challenge.model import State, Status, Step
from otp_service.challenge.transitions import Wait
from otp_service.delivery.account_health import AccountHealth
from otp_service.delivery.receipts import OPEN_FOR, Reception
from otp_service.errors import NumberOptedOut
from otp_service.policy import TOLERANCE
from otp_service.upstream.port import Inbound, Outcome, Receipt, Stage, Verdict
from tests.support.spine import NUMBERS, PLAN, Spine, claimed, open_spine, opened, seen
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the service of two channels."""
    with open_spine(valkey) as made:
        yield made


@pytest.fixture
def reception(spine: Spine) -> Reception:
    """Give what takes in, beside that service."""
    return spine.courier._reception  # noqa: SLF001 - as the composition root puts it together


def brought(spine: Spine) -> tuple[str, str]:
    """Send a code; gives the challenge's id and the delivery's reference, which is the upstream's id, too."""
    id_ = spine.opened()
    spine.courier.attend(id_, lambda: False)
    return id_, seen(spine.store, id_).last.reference


def receipt(
    stage: Stage, *, id_: str | None = None, reference: str | None = None, reason: str = ""
) -> Receipt:
    """Make a receipt."""
    return Receipt(channel="sms", stage=stage, reason=reason, upstream_id=id_, reference=reference)


@pytest.mark.parametrize("by", ["reference", "id", "both", "id and a foreign reference"])
def test_a_receipt_finds_its_challenge(spine: Spine, reception: Reception, by: str) -> None:
    """By our reference, by the upstream's id alone, as calls report it, or beside somebody else's reference."""
    id_, ours = brought(spine)
    reference = {"reference": ours, "both": ours, "id and a foreign reference": "0" * 36}.get(by)
    found = receipt(Stage.DELIVERED, id_=None if by == "reference" else ours, reference=reference)
    assert reception.receive("main", found) == "changed"
    assert seen(spine.store, id_).last.status is Status.DELIVERED
    assert reception.receive("main", found) == "known"
    assert seen(spine.store, id_).state is State.PENDING


def test_a_receipt_of_nobody_is_passed_over(spine: Spine, reception: Reception) -> None:
    """Unknown references and ids, another account's id, and stages that tell nothing."""
    id_, ours = brought(spine)
    before = seen(spine.store, id_)
    assert reception.receive("main", receipt(Stage.READ, id_="stranger")) == "none"
    assert reception.receive("main", receipt(Stage.READ, reference="stranger")) == "none"
    assert reception.receive("main", receipt(Stage.READ, reference="0" * 28)) == "none"
    assert reception.receive("spare", receipt(Stage.READ, id_=ours)) == "none"
    for stage in (Stage.PENDING, Stage.UNKNOWN):
        assert reception.receive("main", receipt(stage, reference=ours)) == "none"
    assert seen(spine.store, id_) == before


@pytest.mark.parametrize("upstreams", [("main",), ("spare", "main")], ids=["sole", "one of two"])
def test_an_account_reports_only_what_left_by_it(
    spine: Spine, reception: Reception, upstreams: tuple[str, ...]
) -> None:
    """Another account's receipt changes nothing, be it by our reference or by an id that both upstreams gave."""
    id_ = opened(spine.store, replace(PLAN, steps=(Step("sms", upstreams, 30),))).id
    lease, seal = claimed(spine.store, id_), reception._seal  # noqa: SLF001
    ours = seal.reference(id_)
    assert spine.store.challenges.arm(lease, ours, "hash", "main")
    spine.store.challenges.settle(lease, Wait(), reference=ours, status=Status.ACCEPTED, upstream_id="up-1")
    for account in ("main", "spare"):
        spine.store.challenges.index_message(seal.index("message", account, "up-1"), id_, 60_000)
    before = seen(spine.store, id_)
    for ids in ({"reference": ours}, {"id_": "up-1"}, {"reference": ours, "id_": "up-1"}):
        assert reception.receive("spare", receipt(Stage.FAILED, **ids, reason="no_credits")) == "none"
        assert seen(spine.store, id_) == before
    assert reception.receive("main", receipt(Stage.DELIVERED, id_="up-1")) == "changed"
    assert reception.receive("main", receipt(Stage.READ, reference=ours)) == "changed"


@pytest.mark.parametrize(("reason", "state"), [("no_credits", "open"), ("absent", "closed")])
def test_a_failure_that_speaks_against_the_account_feeds_its_breaker(
    spine: Spine, reception: Reception, reason: str, state: str
) -> None:
    """As many in a row as a send's failures would; what speaks against the number does not."""
    breakers = spine.courier._breakers  # noqa: SLF001
    for ours in [brought(spine)[1] for _ in range(5)]:
        assert reception.receive("main", receipt(Stage.FAILED, reference=ours, reason=reason)) == "changed"
        assert reception.receive("main", receipt(Stage.FAILED, reference=ours, reason=reason)) == "known"
    assert breakers.ask("main", "sms").state == state


def test_stop_keeps_messages_away_until_start(spine: Spine, reception: Reception) -> None:
    """From that number alone, over every channel; an operator lifts it, too."""
    number = NUMBERS[0]
    for lift in (
        lambda: reception.hear("main", Inbound(channel="sms", sender=number, text="Start!")),
        lambda: reception.lift_suppression(number, by="anna"),
    ):
        reception.hear("main", Inbound(channel="sms", sender=number, text=" STOP. "))
        why = reception.suppression(number)
        assert why is not None
        assert (why["channel"], why["upstream"], why["by"]) == ("sms", "main", "the person")
        with pytest.raises(NumberOptedOut):
            spine.opened(number)
        spine.opened(NUMBERS[1])
        lift()
        assert reception.suppression(number) is None
        spine.opened(number)
    assert not reception.lift_suppression(number, by="anna")


def test_nothing_leaves_any_more_after_a_stop(spine: Spine, reception: Reception) -> None:
    """Not even what was asked for before it: a queued message, or the next channel of a challenge."""
    id_ = spine.opened(NUMBERS[0])
    reception.hear("main", Inbound(channel="sms", sender=NUMBERS[0], text="STOP"))
    spine.courier.attend(id_, lambda: False)
    assert spine.phone.inbox.empty()
    assert seen(spine.store, id_).state is State.UNDELIVERABLE


def test_who_writes_opens_the_channel_for_a_day(spine: Spine, reception: Reception) -> None:
    """Whatever was written, for that channel and number alone."""
    index = reception._seal.index("number", NUMBERS[0])  # noqa: SLF001
    reception.hear("main", Inbound(channel="whatsapp", sender=NUMBERS[0], text="hello"))
    assert spine.store.facts.get(f"open:whatsapp:{index}") == "1"
    assert spine.store.facts.get(f"open:sms:{index}") is None
    assert OPEN_FOR == 24 * 3600


def test_an_account_that_takes_everything_and_brings_nothing_is_left_alone(spine: Spine) -> None:
    """Messages that it takes in between excuse no report; one that arrived does, and so does the number's own fault."""
    health = AccountHealth(spine.courier._breakers, spine.metrics, lambda: spine.caller.active)  # noqa: SLF001
    taken = Outcome(Verdict.ACCEPTED, "")

    def reports(*faults: str | None) -> str:
        for fault in faults:
            health.record_outcome("main", "sms", taken, clean=False)
            health.record_report("main", "sms", fault)
        return spine.courier._breakers.ask("main", "sms").state  # noqa: SLF001

    gone = ["upstream_gone"] * (TOLERANCE - 1)
    assert reports(*gone, None, *gone, "unreachable") == "closed"
    assert reports("upstream_gone") == "open"
