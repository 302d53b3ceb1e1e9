"""Challenges of review numbers: nothing is sent, and the code is the one that the policy has the hash of.

Pure. Knows how such a challenge differs from others. Must not know how it is stored, or who may have one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from otp_service.challenge.model import Challenge, Status
from otp_service.challenge.sealed import PersonalData
from otp_service.crypto.code_hashes import Claim
from otp_service.policy import App
from otp_service.policy.review import Review


class Asked(Protocol):
    """What decides whether a send is one of a review number."""

    @property
    def purpose(self) -> str:
        """What the proof is for."""

    @property
    def binding(self) -> object:
        """What the code is tied to, None if nothing."""


def review_of(app: App, e164: str, asked: Asked, clock: Callable[[], int]) -> Review | None:
    """Return the entry of a review number that counts for a send; a send with a binding is like any other.

    `clock` gives the store's time (milliseconds), and is asked for review numbers only. Raises StoreUnavailable.
    """
    found = app.review.get(e164)
    is_free = found is not None and asked.binding is None
    return found if found and is_free and found.counts(asked.purpose, clock()) else None


def for_review(made: Challenge, review: Review | None) -> Challenge:
    """Make a new challenge one of a review number, if it is for one.

    To its app it looks as if the message had been accepted, so that its screens are those that people see. It tells
    the app of no events: what was not proven must not be reported as proven. No half of a split is drawn for it.
    """
    if review is None:
        return made
    return replace(
        made,
        scheme=review.scheme,
        review=review.digest,
        watched=False,
        plan=replace(made.plan, code_length=review.digits, arm=""),
        deliveries=(replace(made.last, status=Status.ACCEPTED),),
    )


def claim_of(challenge: Challenge, person: PersonalData, binding: str) -> Claim:
    """Say what a typed code must be bound to."""
    if challenge.review:
        return Claim.of_review(challenge.app, person.e164, binding)
    return Claim(challenge.id, challenge.purpose, binding)
