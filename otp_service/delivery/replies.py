"""What people write back over a channel: STOP, START, and the fact that they wrote.

Knows what a reply changes: suppressions, and channels that are open for a day. Must not know vendors' words or how a
reply travels.
"""

from typing import Any

from otp_service import phone
from otp_service.crypto.sealing import Seal
from otp_service.errors import InvalidNumber
from otp_service.guard.suppressions import Suppressions
from otp_service.messages import opt_out
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import Record, log
from otp_service.telemetry.metrics import Metrics
from otp_service.upstream.port import Reply

OPEN_FOR = 24 * 3600
"""Seconds that a channel counts as open after a person wrote (WhatsApp's customer service window)."""
SUPPRESSED_FOR = 10 * 365 * 24 * 3600
"""Seconds that a STOP holds; in practice, until it is lifted."""


class Replies:
    """Records replies, and shows and lifts the suppressions that they cause. Its methods raise StoreUnavailable."""

    def __init__(
        self, *, facts: Facts, suppressions: Suppressions, seal: Seal, metrics: Metrics, record: Record = log
    ) -> None:
        """`record` writes down what operators do."""
        self._record = record
        self._facts = facts
        self._suppressions = suppressions
        self._seal = seal
        self._metrics = metrics

    def record_reply(self, upstream: str, reply: Reply) -> None:
        """Record that a person wrote: opens the channel for a day, and obeys STOP and START.

        A sender that is no phone number, such as a short code or a name, is counted and otherwise ignored.
        """
        try:
            sender = phone.parse_international(reply.sender).e164
        except InvalidNumber:
            self._metrics.inbound.labels(reply.channel, "ignored").inc()
            log("inbound.ignored", channel=reply.channel, why="the sender is no phone number")
            return
        word = opt_out.word(reply.text)
        index = self._seal.index("number", sender)
        suppressed = self._seal.indexes("suppressed", sender)
        if reply.written:
            self._facts.put(f"open:{reply.channel}:{index}", "1", OPEN_FOR)
        if word == "stop":
            why = {
                "channel": reply.channel,
                "upstream": upstream,
                "at": self._facts.time(),
                "by": "the person",
                "sealed": self._seal.close(sender, suppressed[0]),
            }
            self._suppressions.add(suppressed[0], why, SUPPRESSED_FOR)
        elif word == "start":
            self._suppressions.remove(*suppressed)
        self._metrics.inbound.labels(reply.channel, word or "other").inc()
        log("inbound.heard", channel=reply.channel, to=phone.mask(sender), word=word or "other")

    def read_suppression(self, to: str, country: str | None = None) -> dict[str, Any] | None:
        """Return why a number gets no messages, or None if it does. Raises InvalidNumber."""
        names = self._seal.indexes("suppressed", phone.parse(to, country, possible=True).e164)
        found = self._suppressions.read(*names)
        return found and {name: found[name] for name in ("channel", "upstream", "at", "by")}

    def lift_suppression(self, to: str, country: str | None = None, *, by: str) -> bool:
        """Allow messages to a number again; False if it was not suppressed. Raises InvalidNumber."""
        number = phone.parse(to, country, possible=True).e164
        lifted = self._suppressions.remove(*self._seal.indexes("suppressed", number))
        self._record("suppression.lifted", to=phone.mask(number), found=lifted, by=by)
        return lifted
