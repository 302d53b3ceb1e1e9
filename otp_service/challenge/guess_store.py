"""Guesses at the codes of challenges in Redis, and how challenges end.

Knows the scripts. Must not know how a guess is checked.
"""

import json

from otp_service.challenge import record
from otp_service.challenge.guess import Guess, TokenId
from otp_service.challenge.keys import ChallengeKeys
from otp_service.challenge.model import Challenge, State
from otp_service.store.due import DueQueue
from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts


class GuessStore:
    """What checks do with challenges. Every method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts, names: ChallengeKeys, due: DueQueue) -> None:
        self._scripts = scripts
        self._names = names
        self._due = due

    def take_attempt(
        self, id_: str, app: str, code_length: int, guess: Guess | None = None
    ) -> tuple[str, int, Challenge | None]:
        """Count a guess before it is checked. Raises StoreUnavailable also if a promotion may forget it.

        Return `counted` with the challenge; `wrong` or `won` with it if the guess repeats one that was answered so; or
        why nothing was counted: `running` (the same guess is being checked), `reused` (its key came with another body),
        `unreadable` (this process lacks a key), `shape` (the code has another length), `exhausted` or `gone`,
        also after too many repetitions.
        """
        plan = (guess or Guess()).written(app, code_length)
        what, now, *found = self._scripts.call_durably("attempt", [self._names.challenge(id_)], plan)
        return what, now, record.read(id_, found[0]) if found else None

    def record_answer(self, id_: str, guess: Guess, what: str, left: int = 0, code_hash: str = "") -> None:
        """Record what became of a guess with an Idempotency-Key.

        `what` is `wrong`, with the checks that were left and the hash of the code; `unchecked`, if it was counted but
        not checked; `same` or `other`, if it repeated the code that won or came with its key.
        """
        if guess.names:
            key = self._names.challenge(id_)
            names = json.dumps(guess.names)
            self._scripts.call("answer", [key], what, guess.operation, names, left, code_hash)

    def finish(
        self, id_: str, app: str, state: State, via: int | None = None, token: TokenId | None = None
    ) -> tuple[int, Challenge | None]:
        """End a pending challenge. Return it to the one caller that ended it, and None to every other.

        `token` identifies the token that proves a verified one.

        Raises StoreUnavailable also if a promotion may forget that end.
        """
        end = self._scripts.call_durably if state is State.VERIFIED else self._scripts.call
        answer = end(
            "finish",
            self._names.of(id_),
            app,
            id_,
            token.jti if token else operation(),
            state,
            "" if via is None else via,
            token.written() if token else "",
            token.life if token else 0,
            *self._due.wake(id_),
        )
        return answer[1], record.read(id_, answer[2]) if answer[0] == "done" else None
