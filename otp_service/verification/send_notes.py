"""Notes of one send: that an app asked for it, and what became of it.

Knows what is told of a send. Must not know how it is decided.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from otp_service.challenge.model import Challenge
from otp_service.challenge.notes import about_challenge, written_plan
from otp_service.guard.decision_hook import Answer
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.history.refusals import noting_refusals
from otp_service.phone import Number
from otp_service.verification.caller import Caller


class SendNotes:
    """The notes of one send, which is told more about itself step by step."""

    def __init__(
        self, journal: Journal, caller: Caller, *, purpose: str, reference: str, channel: str
    ) -> None:
        """`channel` is the one that the person chose, if any."""
        self._journal = journal
        self._asked = Note(
            what=What.ASKED,
            at=journal.clock(),
            request_id=caller.request_id,
            app=caller.app.name,
            origin=caller.origin or ("page" if caller.is_page else "server"),
            policy=caller.active.version,
            purpose=purpose,
            reference=reference,
            channel=channel,
        )
        self._answers: list[Note] = []

    @contextmanager
    def written(self) -> Iterator[None]:
        """Take a note of the error with which the block ends, if any."""
        with noting_refusals(
            self._journal, lambda: [self._asked, *self._answers, replace(self._asked, at=0)]
        ):
            yield

    def add_number(self, number: Number) -> None:
        """Say for which number it is."""
        self._asked = replace(self._asked, number=number.e164, country=number.country)

    def add_route(self, route: str) -> None:
        """Say which route serves the number."""
        self._asked = replace(self._asked, route=route)

    def add_known(self, known: str) -> None:
        """Say how well the caller is known."""
        self._asked = replace(self._asked, known=known)

    def add_answer(self, answer: Answer) -> None:
        """Say what the app's own endpoint decided."""
        self._answers.append(answer.as_note(replace(self._asked, at=self._journal.clock(), channel="")))

    def admitted(self, challenge: Challenge, verdict: str, now: int) -> None:
        """Say that a challenge was opened at `now`, as the guard decided, or that it is of a review number."""
        asked = replace(self._asked, challenge=challenge.id, at=min(now, self._asked.at))
        self._journal.add(asked)
        for answer in self._answers:
            self._journal.add(replace(answer, challenge=challenge.id, at=min(now, answer.at)))
        self._journal.add(
            about_challenge(
                What.ADMITTED,
                challenge,
                at=now,
                request_id=asked.request_id,
                country=asked.country,
                number=asked.number,
                purpose=asked.purpose,
                reference=asked.reference,
                channel=challenge.last.channel,
                plan=written_plan(challenge.plan),
                result="review" if challenge.review else verdict,
            )
        )
