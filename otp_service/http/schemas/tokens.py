"""Verification tokens: redeeming one, its claims, and the keys that check it."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import Strict, shown, text_field
from otp_service.upstream.channels import CHANNELS


class RedeemSchema(Strict):
    """Body of POST /otp/token/redeem."""

    token = text_field(
        "must be a verification token",
        r"[A-Za-z0-9_-]{1,12000}(\.[A-Za-z0-9_-]{1,12000}){2}",
        "The token that POST /otp/verify gave to the frontend.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        required=True,
    )


class ClaimsSchema(Schema):
    """What a verification token says."""

    iss = shown(fields.String, "The service that signed.", "https://otp.example.com")
    aud = shown(fields.String, "The app it was made for.", "web")
    sub = shown(
        fields.String, "The same for one number in one app, and tells nothing else.", "p0Yk5c1nS0a7mD2xQ4tLkg"
    )
    phone_number = shown(fields.String, "The proven number, E.164.", "+12025550100")
    phone_number_verified = shown(fields.Boolean, "Always true.", example=True)
    purpose = shown(fields.String, "What the proof is for.", "login")
    amr = shown(fields.List, "How it was proven (RFC 8176).", ["otp", "sms"], cls_or_instance=fields.String())
    channel = shown(
        fields.String, "The channel whose code came back.", "sms", validate=validate.OneOf(CHANNELS)
    )
    iat = shown(fields.Integer, "When it was signed, seconds since 1970.", 1790000000)
    exp = shown(fields.Integer, "Until when it counts, seconds since 1970.", 1790000300)
    jti = shown(fields.String, "The token's own id.", "Zk1p0Yk5c1nS0a7mD2xQ4t")
    binding = fields.Raw(
        metadata={"description": "What the code was tied to, where it was.", "example": "order 4711"}
    )
    reference = fields.String(
        metadata={"description": "Your own id, where you gave one.", "example": "signup-4711"}
    )


class KeySchema(Schema):
    """A public key (RFC 8037)."""

    kty = shown(fields.String, "Key type.", "OKP")
    crv = shown(fields.String, "Curve.", "Ed25519")
    use = shown(fields.String, "Use.", "sig")
    alg = shown(fields.String, "Algorithm.", "EdDSA")
    kid = shown(fields.String, "Key id, as in a token's header.", "s1")
    x = shown(fields.String, "The key, base64url.", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")


class KeySetSchema(Schema):
    """A JWK set (RFC 7517)."""

    keys = shown(fields.List, "All keys that may have signed.", [], cls_or_instance=fields.Nested(KeySchema))
