"""Guesses at the codes of challenges in Redis, and how challenges end.

Knows the scripts. Must not know how a guess is checked.
"""

import json
from collections.abc import Sequence

from otp_service.challenge import record
from otp_service.challenge.guess import Guess, TokenId
from otp_service.challenge.keys import ChallengeKeys
from otp_service.challenge.model import Challenge, State
from otp_service.store.due import DueQueue
from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts
from otp_service.store.sources import Call


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

    def record_answer(
        self,
        id_: str,
        guess: Guess,
        what: str,
        left: int = 0,
        code_hash: str = "",
        beside: Sequence[Call] = (),
    ) -> None:
        """Record what became of a guess with an Idempotency-Key, and run what else has to be counted.

        `what` is `wrong`, with the checks that were left and the hash of the code; `unchecked`, if it was counted but
        not checked; `same` or `other`, if it repeated the code that won or came with its key. If this is not recorded,
        a repetition counts as another guess.
        """
        calls = list(beside)
        if guess.names:
            written = (what, guess.operation, json.dumps(guess.names), left, code_hash)
            calls.append(Call("answer", [self._names.challenge(id_)], written))
        self._scripts.call_each(calls)

    def finish(
        self,
        id_: str,
        app: str,
        state: State,
        via: int | None = None,
        token: TokenId | None = None,
        beside: Sequence[Call] = (),
    ) -> tuple[int, Challenge | None]:
        """End a pending challenge. Return it to the one caller that ended it, and None to every other.

        `token` identifies the token that proves a verified one. What is `beside` runs after it, whoever ended it.

        Raises StoreUnavailable also if a promotion may forget that end.
        """
        act, proof, life = (token.jti, token.written(), token.life) if token else (operation(), "", 0)
        arguments = (app, id_, act, state, "" if via is None else via, proof, life, self._due.wake_channel)
        end = Call("finish", self._names.of(id_), arguments)
        if state is State.VERIFIED:
            [(what, now, *ended)] = self._scripts.call_in_turn([end], beside, durably=True)
        else:
            what, now, *ended = self._scripts.call(end.name, end.keys, *end.arguments)
        return now, record.read(id_, ended[0]) if what == "done" else None
