"""The proof of a verified challenge: a token, and one that its device keeps.

Knows what a token says. Must not know how a code is checked, or where a challenge is stored.
"""

import json
from dataclasses import dataclass
from typing import Any

from otp_service import phone
from otp_service.challenge import view
from otp_service.challenge.guess import TokenId
from otp_service.challenge.model import Challenge
from otp_service.challenge.sealed import PersonalData, unreadable
from otp_service.challenge.view import View
from otp_service.crypto.lifetimes import TOKEN_LIFETIME
from otp_service.crypto.sealing import Seal
from otp_service.crypto.tokens import Issue, Signer, UnknownSigningKey, new_jti

AMR = {"sms": "sms", "voice": "tel"}
"""Authentication method references of RFC 8176 for the channels that have one."""
REVIEW_AMR = ["review"]
"""That of a review number, which nobody proved; no name of RFC 8176 means this."""
SESSION = "token session"
"""What the HMAC of a session in a token is made for: the token passes through the browser, which need not know it."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verified challenge, the token that proves it, and a token that its device keeps, if that was requested."""

    view: View
    token: str
    token_expires_in: int
    device_token: str | None = None


class Prover:
    """Issues the tokens of verified challenges."""

    def __init__(self, seal: Seal, signer: Signer) -> None:
        self._seal = seal
        self._signer = signer

    def new_token(self, name: str = "") -> TokenId:
        """Draw the token of a right guess; `name` is that of its Idempotency-Key."""
        return TokenId(jti=new_jti(), kid=self._signer.kid, life=TOKEN_LIFETIME * 1000, name=name)

    def prove(
        self, won: Challenge, person: PersonalData, issue: Issue, now: int, *, remember_device: bool
    ) -> Verification:
        """Issue the tokens of a challenge that was verified; the same issue gives the same tokens. Raises Busy."""
        subject = self._seal.subject(won.app, person.e164)
        try:
            sign = self._signer.sign_review if won.review else self._signer.sign
            token = sign(self._claims(won, person, subject), issue, audience=won.app)
            remembered = remember_device and not won.review  # no device proved the number
            device = self._signer.sign_device(subject, issue, audience=won.app) if remembered else None
        except UnknownSigningKey:
            raise unreadable(won.id) from None
        left = issue.at + TOKEN_LIFETIME - now // 1000
        return Verification(view.of(won, now, phone.mask(person.e164)), token, left, device)

    def _claims(self, won: Challenge, person: PersonalData, subject: str) -> dict[str, Any]:
        assert won.via is not None  # noqa: S101 - a verified challenge has the delivery that brought its code
        channel = won.deliveries[won.via].channel
        claims: dict[str, Any] = {
            "sub": subject,
            "phone_number": person.e164,
            "phone_number_verified": not won.review,
            "purpose": won.purpose,
            "set_by": won.set_by,
            "amr": REVIEW_AMR if won.review else ["otp", *([AMR[channel]] if channel in AMR else [])],
            "channel": channel,
        }
        if person.binding:
            claims["binding"] = json.loads(person.binding)
        if won.reference:
            claims["reference"] = won.reference
        if person.session:
            claims["session"] = self._seal.index(SESSION, won.app, person.session)
        return claims
