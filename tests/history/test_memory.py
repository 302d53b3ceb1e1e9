"""How much memory of the store a story takes, and whether what is counted for it is true."""

from contextlib import suppress
from dataclasses import replace

import pytest

from otp_service.errors import OtpError
from otp_service.history.note import Note
from otp_service.history.store import StoryStore
from otp_service.history.writer import HistoryWriter
from otp_service.upstream.port import Receipt, Stage
from otp_service.verification.send import SendRequest
from tests.support.spine import NUMBERS, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer, stored_bytes

COUNT = 10_000
LEAST, MOST = 500, 1000


def act(spine: Spine) -> None:
    """Send, report, guess wrong, then right, and redeem."""
    request = SendRequest(to=NUMBERS[0], reference="order-000001")
    id_ = spine.send.send(spine.caller, request).challenge_id
    spine.dispatcher.dispatch(id_, lambda: False)
    code = spine.phone.next()[1]
    for stage in (Stage.SENT, Stage.DELIVERED):
        upstream_id = seen(spine.store, id_).last.upstream_id
        receipt = Receipt(channel="sms", stage=stage, reason=str(stage), upstream_id=upstream_id)
        spine.receipts.record_receipt("main", receipt)
    with suppress(OtpError):
        spine.check.verify(spine.caller, id_, "000000" if code != "000000" else "111111")
    token = spine.check.verify(spine.caller, id_, code).token
    spine.redeem.redeem(spine.caller, token)


def another(notes: list[Note], spine: Spine, place: int) -> list[Note]:
    """Let another person do the same: each call has a request id of its own."""
    id_ = spine.store.challenges.new_id()
    return [
        replace(
            note,
            challenge=id_,
            number=note.number and f"+1212{place:07d}",
            reference=note.reference and f"order-{place:06d}",
            request_id=f"{place:06d}{count:010d}" if count not in {1, 2, 3, 4} else "r" * 16,
            token="",
        )
        for count, note in enumerate(notes)
    ]


@pytest.mark.slow
def test_a_story_takes_less_than_a_kib_and_what_is_counted_is_true() -> None:
    """With its share of the index and of the lists; the count is within a quarter of what the server says."""
    server = ValkeyServer(options={"appendonly": "no"})
    try:
        with open_spine(server, partitions=64) as spine, server.client() as client:
            kept = StoryStore(spine.scripts, spine.store.partitions, keep=7 * 86_400_000)
            notes: list[Note] = []
            spine.journal.listen(notes.extend)
            act(spine)
            spine.journal.hand_over()
            client.flushall()
            before = stored_bytes(client)
            writer = HistoryWriter(kept, spine.seal, dropped=lambda _: None)
            for first in range(0, COUNT, 1000):
                writer(
                    [note for place in range(first, first + 1000) for note in another(notes, spine, place)]
                )
            each = (stored_bytes(client) - before) / COUNT
            counted = sum(kept.count_bytes().values()) / COUNT
            assert LEAST < each <= MOST
            assert 0.75 < counted / each < 1.25, (each, counted)
    finally:
        server.close()
