"""Redeem: spend a verification token, once, for what its app expects of it.

Knows what an app may expect, and that a token that does not meet it is not spent. Must not know HTTP, Redis or vendors.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otp_service.challenge.sealed import canonical
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Signer
from otp_service.errors import IdempotencyKeyReused, ReviewToken, TokenInvalid, TokenMismatch, TokenSpent
from otp_service.history.journal import Journal
from otp_service.history.note import Note, What
from otp_service.store.facts import Facts
from otp_service.telemetry.logs import log
from otp_service.verification.caller import Caller
from otp_service.verification.proof import SESSION
from otp_service.verification.repetition import fingerprints, names_of

UNMET = "must be what the token was issued for"


class Redeem:
    """`POST /otp/token/redeem`."""

    def __init__(self, *, facts: Facts, seal: Seal, signer: Signer, journal: Journal) -> None:
        self._facts = facts
        self._seal = seal
        self._signer = signer
        self._journal = journal

    def redeem(
        self,
        caller: Caller,
        token: str,
        expect: Mapping[str, Any] | None = None,
        *,
        accept_review: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Spend a verification token and return its claims. The same key and body get them again.

        `expect` has any of `purpose`, `binding`, `reference` and `session`. Raises TokenInvalid, ReviewToken for one of
        a review number unless `accept_review`, TokenMismatch, TokenSpent, IdempotencyKeyReused or StoreUnavailable.
        """
        claims = self._claims(caller, token, accept_review=accept_review)
        if unmet := list(self._unmet(caller, claims, expect or {})):
            self._check_time(claims)
            raise TokenMismatch({f"expect.{name}": [UNMET] for name in unmet})
        operations: tuple[str, ...] = (secrets.token_urlsafe(16),)
        if idempotency_key:
            operations = names_of(self._seal, caller, idempotency_key, "redeem")
            body = fingerprints(self._seal, [token, expect, accept_review])
            if not self._use(f"redemption:{operations[0]}", claims, body):
                raise IdempotencyKeyReused
        if not self._use(f"token:{claims['jti']}", claims, operations):
            raise TokenSpent
        log("token.redeemed", app=caller.app.name, request_id=caller.request_id)
        app, request = caller.app.name, caller.request_id
        self._journal.add(Note(what=What.REDEEMED, token=claims["jti"], request_id=request, app=app))
        return claims

    def _claims(self, caller: Caller, token: str, *, accept_review: bool) -> dict[str, Any]:
        """Return the claims of a token, which may have expired. Raises TokenInvalid or ReviewToken."""
        claims = self._signer.check_review(token, audience=caller.app.name, now=None)
        if claims is None:
            return self._signer.check(token, audience=caller.app.name, now=None)
        if not accept_review:
            self._check_time(claims)
            raise ReviewToken
        return claims

    def _use(self, name: str, claims: Mapping[str, Any], operations: Iterable[str]) -> bool:
        """Use something of a token once, as long as the token is valid. Raises TokenInvalid."""
        used = self._facts.use_before(name, claims["exp"], *operations)
        if used is None:
            raise TokenInvalid
        return used

    def _check_time(self, claims: Mapping[str, Any]) -> None:
        """Raise TokenInvalid for a token that has expired."""
        if self._facts.time() >= claims["exp"] * 1000:
            raise TokenInvalid

    def _unmet(self, caller: Caller, claims: Mapping[str, Any], expect: Mapping[str, Any]) -> Iterator[str]:
        """Yield the expectations that the claims do not meet."""
        for name, expected in expect.items():
            claimed = claims.get(name)
            match name:
                case "binding":
                    met = canonical(claimed) == canonical(expected)
                case "session":
                    met = claimed in self._seal.indexes(SESSION, caller.app.name, expected)
                case _:
                    met = claimed == expected
            if not met:
                yield name
