"""Figures are exact when replies of the store are lost: each act is asked for twice, and counted once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from otp_service.errors import WrongCode
from otp_service.figures.cells import Cell
from otp_service.figures.counting import count_note
from otp_service.history.note import Note
from otp_service.upstream.port import Outcome, Receipt, Stage, Verdict
from tests.support.fault_proxy import FaultProxy
from tests.support.spine import NUMBERS, Phone, Spine, make_spine
from tests.support.valkey_server import ValkeyServer
from tests.support.watched import scripts_at

ACCEPTED = [Outcome(Verdict.ACCEPTED, "accepted", upstream_id=f"m{place}") for place in range(3)]
Counts = Counter[Cell]


class FirstTries:
    """Picks each command with scripts that is seen for the first time: one that is repeated gets its reply."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def __call__(self, command: bytes) -> bool:
        """Tell whether the reply to a command gets lost."""
        is_first = b"EVALSHA" in command and command not in self._seen
        self._seen.add(command)
        return is_first


def reported(spine: Spine, place: int, channel: str, *stages: Stage) -> None:
    """Report each stage of a message twice, as vendors do."""
    for stage in [stage for stage in stages for _ in range(2)]:
        receipt = Receipt(channel=channel, stage=stage, reason="undelivered", upstream_id=f"m{place}")
        spine.receipts.record_receipt("main", receipt)


def dispatched(spine: Spine, id_: str, times: int = 1) -> None:
    """Let a worker take a challenge."""
    for _ in range(times):
        spine.dispatcher.dispatch(id_, lambda: False)


def verified(spine: Spine) -> None:
    """Deliver a message, type a wrong code and the right one, and spend the token."""
    id_ = spine.opened()
    dispatched(spine, id_)
    code = spine.phone.next()[1]
    reported(spine, 0, "sms", Stage.SENT, Stage.DELIVERED, Stage.READ)
    with pytest.raises(WrongCode):
        spine.check.verify(spine.caller, id_, f"{(int(code) + 1) % 10**6:06d}")
    spine.redeem.redeem(spine.caller, spine.check.verify(spine.caller, id_, code).token)


def fallen_back(spine: Spine) -> None:
    """Fail, fall back, arrive, and expire, as a worker finds."""
    id_ = spine.opened()
    dispatched(spine, id_)
    reported(spine, 0, "sms", Stage.FAILED)
    dispatched(spine, id_, 2)
    reported(spine, 1, "voice", Stage.DELIVERED)
    spine.store.scripts.offset += 301_000
    dispatched(spine, id_, 2)


def cancelled(spine: Spine) -> None:
    """Send twice, the second time on request, hear of both, and cancel."""
    id_ = spine.opened()
    dispatched(spine, id_)
    spine.store.scripts.offset += 31_000
    spine.resend.resend(spine.caller, id_)
    dispatched(spine, id_)
    reported(spine, 1, "sms", Stage.DELIVERED)
    reported(spine, 0, "sms", Stage.DELIVERED)
    spine.manage.cancel(spine.caller, id_)


def swept(spine: Spine) -> None:
    """Expire together with others."""
    for number in NUMBERS[:2]:
        dispatched(spine, spine.opened(number))
    spine.store.scripts.offset += 301_000
    while spine.expiry.sweep(spine.store.partitions.names(), threading.Event()):
        pass


@contextmanager
def spine_at(url: str) -> Iterator[Spine]:
    """Open the use cases at an address of the store."""
    scripts = scripts_at(url)
    yield make_spine(scripts, phone=Phone(*ACCEPTED))
    scripts.close()


def counted(spine: Spine, play: Callable[[Spine], None]) -> Counts:
    """Play, and count what was noted, but for how long it took."""
    notes = list[Note]()
    spine.journal.listen(notes.extend)
    play(spine)
    spine.journal.hand_over()
    found: Counts = Counter()
    for note in notes:
        found.update({cell: much for cell, much in count_note(note) if cell.what != "seconds"})
    return found


@pytest.mark.parametrize("play", [verified, fallen_back, cancelled, swept])
def test_what_is_counted_is_exact_although_every_reply_is_lost_once(
    valkey: ValkeyServer, play: Callable[[Spine], None]
) -> None:
    """The store did it, the reply was lost, and the call is repeated: the same counts as without any loss."""
    with FaultProxy(valkey.socket) as proxy, spine_at(proxy.url) as spine:
        exact = counted(spine, play)
    with FaultProxy(valkey.socket, loses=FirstTries()) as proxy, spine_at(proxy.url) as spine:
        assert counted(spine, play) == exact
        assert proxy.lost > 5
    assert len(exact) > 3
