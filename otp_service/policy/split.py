"""A split: some of the people, drawn at random, get a route's steps in another order, so that orders can be compared.

Pure. Knows how an order is drawn and what each half is called. Must not know what becomes of the people.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

WRITTEN, OTHER = "steps", "split"
"""The halves: the steps as they are written, and in the other order."""


class HasChannel(Protocol):
    """A step."""

    @property
    def channel(self) -> str:
        """Give its channel."""


S = TypeVar("S", bound=HasChannel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The other order, as a list of channels, and the share of the people for whom it is drawn."""

    share: float
    order: tuple[str, ...]

    def reordered(self, steps: Sequence[S]) -> list[S]:
        """Put the steps into the other order. Steps of one channel keep their order among themselves."""
        return sorted(steps, key=lambda step: self.order.index(step.channel))

    def draw(self, steps: Sequence[S], dice: Callable[[], float]) -> tuple[list[S], str]:
        """Draw an order. Return the steps in it, and the name of its arm."""
        half = OTHER if dice() < self.share else WRITTEN
        return (self.reordered(steps) if half == OTHER else list(steps)), self.arm(steps, half)

    def arm(self, steps: Sequence[S], half: str) -> str:
        """Name a half. Whoever changes share, order or steps starts new arms: figures of both forms would mix."""
        form = hashlib.sha256(repr((self.share, self.order, list(steps))).encode()).hexdigest()
        return f"{form[:8]}.{half}"
