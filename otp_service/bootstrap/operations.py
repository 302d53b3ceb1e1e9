"""What operators do with the store alone: blocks, pins, recycled numbers, erasure, and previews of a send.

Knows how these parts are made. Must not import what sends, hashes, serves HTTP or calls a vendor, as `foundation.py`.
"""

import time
from functools import cached_property

from otp_service.bootstrap.foundation import Foundation
from otp_service.figures.counters import Counters
from otp_service.figures.learned import LearnedWaits
from otp_service.figures.silence import Silences
from otp_service.guard.blocks import BlockStore
from otp_service.guard.history import History
from otp_service.guard.limiter import Limiter
from otp_service.guard.preview import Preview
from otp_service.history.dropper import Dropper
from otp_service.history.scan import Scan
from otp_service.history.sweeper import Sweeper
from otp_service.ops.blocks import Blocks
from otp_service.ops.difference import Differences
from otp_service.ops.erasure import Erasure
from otp_service.ops.figures import FiguresReader
from otp_service.ops.pins import Pins
from otp_service.ops.recycled import RecycledNumbers
from otp_service.ops.simulation import Simulator
from otp_service.ops.stories import Stories

BLOCKS_KEPT = 24 * 3_600_000
"""Milliseconds that a block which has ended can still be explained."""


class Operations(Foundation):
    """The foundation and the operators' acts on it; each part is made when it is first asked for."""

    @cached_property
    def limiter(self) -> Limiter:
        """The guard's counters."""
        return Limiter(self.scripts, self.seal, prefix=self.settings.redis_prefix, keep_blocks=BLOCKS_KEPT)

    @cached_property
    def history(self) -> History:
        """What the guard remembers about numbers."""
        return History(self.scripts, self.seal, self.store.pins, prefix=self.settings.redis_prefix)

    @cached_property
    def preview(self) -> Preview:
        """Says what the guard would decide."""
        return Preview(self.limiter, self.seal)

    @cached_property
    def counters(self) -> Counters:
        """Counts what happens."""
        return Counters(self.scripts, prefix=self.settings.redis_prefix)

    @cached_property
    def silences(self) -> Silences:
        """Counts messages without reports."""
        return Silences(self.scripts, prefix=self.settings.redis_prefix)

    @cached_property
    def learned_waits(self) -> LearnedWaits:
        """Learns how long codes take from what was counted."""
        return LearnedWaits(self.counters, clock=time.monotonic)

    @cached_property
    def figures(self) -> FiguresReader:
        """The operators' view of what was counted."""
        return FiguresReader(self.counters, clock=self.store.facts.time)

    @cached_property
    def blocks(self) -> Blocks:
        """The operators' view of blocks."""
        return Blocks(
            blocks=BlockStore(self.scripts, self.seal, prefix=self.settings.redis_prefix),
            history=self.history,
            preview=self.preview,
            clock=self.store.facts.time,
            record=self.audit_trail.record,
        )

    @cached_property
    def pins(self) -> Pins:
        """The operators' view of pins."""
        return Pins(
            pins=self.store.pins, seal=self.seal, clock=self.store.facts.time, record=self.audit_trail.record
        )

    @cached_property
    def recycled_numbers(self) -> RecycledNumbers:
        """Records numbers that have new owners."""
        return RecycledNumbers(
            history=self.history, clock=self.store.facts.time, record=self.audit_trail.record
        )

    @cached_property
    def erasure(self) -> Erasure:
        """Erases what is known of a number."""
        return Erasure(
            challenges=self.store.challenge_eraser,
            events=self.store.events,
            facts=self.store.facts,
            suppressions=self.store.suppressions,
            seal=self.seal,
            counters=self.history.erase,
            record=self.audit_trail.record,
            stories=self.dropper.erase_number,
        )

    @cached_property
    def dropper(self) -> Dropper:
        """Drops stories of challenges."""
        return Dropper(self.store.stories, self.seal)

    @cached_property
    def sweeper(self) -> Sweeper:
        """Drops stories that are too old or too many."""
        return Sweeper(
            stories=self.store.stories,
            facts=self.store.facts,
            dropper=self.dropper,
            keep=self.settings.keep_history * 1000,
            memory=self.settings.history_memory,
        )

    @cached_property
    def stories(self) -> Stories:
        """Finds and tells the stories of challenges."""
        keep = self.settings.keep_history * 1000
        return Stories(
            stories=self.store.stories,
            challenges=self.store.challenges,
            seal=self.seal,
            scan=Scan(self.store.stories, clock=self.store.facts.time, keep=keep),
            record=self.audit_trail.record,
        )

    @cached_property
    def differences(self) -> Differences:
        """Says what changed between versions of the policy."""
        return Differences()

    @cached_property
    def simulator(self) -> Simulator:
        """Says what a number would get."""
        return Simulator(
            learned_wait=self.learned_waits.wait,
            decide=self.preview.decide,
            clock=self.store.facts.time,
        )
