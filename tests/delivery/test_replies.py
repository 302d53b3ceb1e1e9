"""What replies change: suppressions, and channels that are open for a day."""

from collections.abc import Iterator

import pytest

from otp_service.challenge.model import State
from otp_service.delivery.replies import OPEN_FOR, Replies
from otp_service.errors import NumberOptedOut
from otp_service.upstream.port import Reply
from tests.support.spine import NUMBERS, Spine, open_spine, seen
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give the service of two channels."""
    with open_spine(valkey) as made:
        yield made


@pytest.fixture
def replies(spine: Spine) -> Replies:
    """Give the replies of that service."""
    return spine.replies


def test_stop_keeps_messages_away_until_start(spine: Spine, replies: Replies) -> None:
    """For that number only, over every channel; an operator can lift it, too."""
    number = NUMBERS[0]
    for lift in (
        lambda: replies.record_reply("main", Reply(channel="sms", sender=number, text="Start!")),
        lambda: replies.lift_suppression(number, by="anna"),
    ):
        replies.record_reply("main", Reply(channel="sms", sender=number, text=" STOP. "))
        why = replies.read_suppression(number)
        assert why is not None
        assert (why["channel"], why["upstream"], why["by"]) == ("sms", "main", "the person")
        with pytest.raises(NumberOptedOut):
            spine.opened(number)
        spine.opened(NUMBERS[1])
        lift()
        assert replies.read_suppression(number) is None
        spine.opened(number)
    assert not replies.lift_suppression(number, by="anna")


def test_nothing_leaves_any_more_after_a_stop(spine: Spine, replies: Replies) -> None:
    """Not even a message that was queued before, or the next channel of a challenge."""
    id_ = spine.opened(NUMBERS[0])
    replies.record_reply("main", Reply(channel="sms", sender=NUMBERS[0], text="STOP"))
    spine.dispatcher.dispatch(id_, lambda: False)
    assert spine.phone.inbox.empty()
    assert seen(spine.store, id_).state is State.UNDELIVERABLE


def test_a_reply_opens_the_channel_for_a_day(spine: Spine, replies: Replies) -> None:
    """Any reply does, for that channel and number only."""
    index = replies._seal.index("number", NUMBERS[0])  # noqa: SLF001
    replies.record_reply("main", Reply(channel="whatsapp", sender=NUMBERS[0], text="hello"))
    assert spine.store.facts.get(f"open:whatsapp:{index}") == "1"
    assert spine.store.facts.get(f"open:sms:{index}") is None
    assert OPEN_FOR == 24 * 3600
