"""Verification tokens: redeeming one, its claims, and the public keys that check it."""

from marshmallow import Schema, fields

from otp_service.http.schemas.fields import (
    Strict,
    binding_field,
    boolean_field,
    purpose_field,
    reference_field,
    session_field,
    shown,
    shown_list,
    shown_word,
    text_field,
)
from otp_service.upstream.channels import CHANNELS


class ExpectSchema(Strict):
    """What a token must have been issued for."""

    purpose = purpose_field("The purpose.")
    binding = binding_field("The binding, equal in each part.")
    reference = reference_field("Your own id.")
    session = session_field("Your id of the session.")


class RedeemSchema(Strict):
    """Body of POST /otp/token/redeem."""

    token = text_field(
        "must be a verification token",
        r"[A-Za-z0-9_-]{1,12000}(\.[A-Za-z0-9_-]{1,12000}){2}",
        "The token that POST /otp/verify returned to the frontend.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        required=True,
    )
    expect = fields.Nested(
        ExpectSchema,
        metadata={
            "description": "What it must have been issued for, or it is not spent.",
            "example": {"purpose": "login", "reference": "signup-4711"},
        },
    )

    accept_review = boolean_field(
        "Whether a token of a review number is accepted, too, which nobody proved; false if omitted.",
        example=False,
        default=False,
    )


class ClaimsSchema(Schema):
    """The claims of a verification token."""

    iss = shown(fields.String, "The service that signed it.", "https://otp.example.com")
    aud = shown(
        fields.String,
        "The app that it was issued for; for a review number after `review:`.",
        "web",
    )
    sub = shown(
        fields.String,
        "An opaque id of the number, always the same within one app.",
        "p0Yk5c1nS0a7mD2xQ4tLkg",
    )
    phone_number = shown(fields.String, "The verified number (E.164).", "+12025550100")
    phone_number_verified = shown(fields.Boolean, "True, except for a review number.", example=True)
    purpose = shown(fields.String, "What the proof is for.", "login")
    set_by = shown_word(
        ["page", "server"],
        "Who set purpose, reference and binding: a page, which its user can change, or a server.",
        "server",
    )
    amr = shown(
        fields.List,
        "How the number was verified (RFC 8176), or `review`.",
        ["otp", "sms"],
        cls_or_instance=fields.String(),
    )
    channel = shown_word(CHANNELS, "The channel whose code was typed.", "sms")
    iat = shown(fields.Integer, "When the token was signed (seconds since 1970).", 1790000000)
    exp = shown(fields.Integer, "When the token expires (seconds since 1970).", 1790000300)
    jti = shown(fields.String, "The token's id.", "Zk1p0Yk5c1nS0a7mD2xQ4t")
    binding = fields.Raw(
        metadata={"description": "What the code was tied to, if anything.", "example": "order 4711"}
    )
    reference = fields.String(metadata={"description": "Your own id, if given.", "example": "signup-4711"})
    session = fields.String(
        metadata={
            "description": "An opaque id of the session that a server named.",
            "example": "Yk5c1nS0a7mD2xQ4tLkg0p",
        }
    )


class KeySchema(Schema):
    """A public key (RFC 8037)."""

    kty = shown(fields.String, "Key type.", "OKP")
    crv = shown(fields.String, "Curve.", "Ed25519")
    use = shown(fields.String, "Intended use.", "sig")
    alg = shown(fields.String, "Algorithm.", "EdDSA")
    kid = shown(fields.String, "Key id, as in the header of a token.", "s1")
    x = shown(fields.String, "The key (base64url).", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")


class KeySetSchema(Schema):
    """A JWK set (RFC 7517)."""

    keys = shown_list(KeySchema, "All keys that may have signed a valid token.")
