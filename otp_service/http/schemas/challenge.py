"""What apps send and get for a challenge: send, verify, resend, look, cancel."""

from marshmallow import Schema, fields, validate

from otp_service.challenge.model import State, Status
from otp_service.http.schemas.fields import (
    Strict,
    binding_field,
    channel_field,
    human_proof_field,
    shown,
    text_field,
)
from otp_service.upstream.channels import CHANNELS


class NumberSchema(Strict):
    """A phone number."""

    to = text_field(
        "must be 3 to 40 signs",
        r"[^\x00-\x1f]{3,40}",
        "The phone number, in any spelling; it becomes one E.164 number.",
        "+1 202 555 0100",
        required=True,
    )
    country = text_field(
        "must be the two capital letters of a country (ISO 3166)",
        r"[A-Z]{2}",
        "The country of a number written without its country code (ISO 3166 alpha-2).",
        "US",
    )


class RouteSchema(NumberSchema):
    """What decides which route a number takes, and in which words."""

    purpose = text_field(
        "must be 1 to 32 small letters, digits, '.', '-' or '_'",
        r"[a-z0-9._-]{1,32}",
        "What the proof is for; login when left out. A code counts for its purpose only.",
        "login",
        load_default="login",
    )
    channel = channel_field()
    locale = text_field(
        "must be a language tag such as en or pt-BR",
        r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}",
        "The language of the message (BCP 47); guessed from the number when left out.",
        "en",
    )


class SendSchema(RouteSchema):
    """Body of POST /otp/send."""

    reference = text_field(
        "must be 1 to 64 visible ASCII signs",
        r"[\x21-\x7e]{1,64}",
        "Your own id; comes back in every answer and in the verification token.",
        "signup-4711",
    )
    binding = binding_field(
        "What the code is tied to, such as a payment's amount and payee; any change voids the code."
    )
    app_hash = text_field(
        "must be the 11 signs that Android's SMS Retriever expects",
        r"[A-Za-z0-9+/]{11}",
        "Hash of your Android app, written into the SMS so that the app can read the code by itself.",
        "FA+9qCX9VSu",
    )

    session = text_field(
        "must be 1 to 128 visible ASCII signs",
        r"[\x21-\x7e]{1,128}",
        "Your own name of the person's session, with a secret key only: sends of strangers, of sessions and of those "
        "that verified this number before are counted apart.",
        "b7a9e4c1",
    )
    address = text_field(
        "must be an IP address",
        r"[0-9a-fA-F.:]{2,45}",
        "The person's address, with a secret key only: it is counted as a browser's would be.",
        "192.0.2.1",
    )
    device_token = text_field(
        "must be a device_token that POST /otp/verify gave",
        r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "Shows that this device verified this number before: no stranger's sends count against it.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    human_proof = human_proof_field()


class VerifySchema(Strict):
    """Body of POST /otp/verify."""

    challenge_id = text_field(
        "must be the id that POST /otp/send gave",
        r"[A-Za-z0-9_-]{1,64}",
        "The challenge's id.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
        required=True,
    )
    code = text_field(
        "must be a string of 6 to 10 digits",
        r"[0-9]{6,10}",
        "What the person typed, as a string of digits.",
        "042137",
        required=True,
    )
    binding = binding_field(
        "The same binding as at the send; compared when given, and always shown in the token."
    )
    remember_device = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={
            "description": "Whether to give a device_token for the device's next POST /otp/send; false when left out.",
            "example": True,
        },
        error_messages={"invalid": "must be true or false", "null": "must not be null"},
    )


class ResendSchema(Strict):
    """Body of POST /otp/{id}/resend; may be left out."""

    channel = channel_field()
    human_proof = human_proof_field()


SHOWN = [str(status) for status in Status if status is not Status.CLAIMED]
"""Where a delivery can stand; that a worker has claimed it is the workers' own affair."""


class DeliverySchema(Schema):
    """One try to bring a code."""

    channel = shown(fields.String, "The channel.", "sms", validate=validate.OneOf(CHANNELS))
    status = shown(
        fields.String,
        "Where the message stands; unknown if the upstream account gave no answer.",
        "accepted",
        validate=validate.OneOf(SHOWN),
    )


class ChallengeSchema(Schema):
    """A challenge as a screen may see it."""

    challenge_id = shown(
        fields.String, "The challenge's id: a secret of its holder.", "2aH3b0sYp1c7mV9xQ4tLkZ0w"
    )
    status = shown(
        fields.String,
        "Where the challenge stands; all but pending are final.",
        "pending",
        validate=validate.OneOf([state.value for state in State]),
    )
    to = shown(fields.String, "The number, masked.", "+1********00")
    channel = shown(
        fields.String,
        "The channel of the newest message, or of the code that came back.",
        "sms",
        validate=validate.OneOf(CHANNELS),
    )
    purpose = shown(fields.String, "What the proof is for.", "login")
    expires_in = shown(fields.Integer, "Seconds until no code counts any more.", 300)
    resend_in = shown(fields.Integer, "Seconds until another message may be asked for.", 30)
    sends_left = shown(fields.Integer, "Messages that may still be sent.", 3)
    checks_left = shown(fields.Integer, "Guesses that are left.", 5)
    code_length = shown(fields.Integer, "How many digits the code has.", 6)
    channels_left = shown(
        fields.List,
        "Channels that a resend may use.",
        ["sms"],
        cls_or_instance=fields.String(validate=validate.OneOf(CHANNELS)),
    )
    deliveries = shown(
        fields.List,
        "Each message so far, oldest first.",
        [{"channel": "sms", "status": "accepted"}],
        cls_or_instance=fields.Nested(DeliverySchema),
    )
    reference = fields.String(
        metadata={"description": "Your own id, where you gave one.", "example": "signup-4711"}
    )


class VerifiedSchema(ChallengeSchema):
    """A challenge that was won."""

    token = shown(
        fields.String,
        "The proof, a JWT signed with Ed25519: hand it to your backend, which checks or redeems it.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    token_expires_in = shown(fields.Integer, "Seconds the token lives.", 300)
    device_token = fields.String(
        metadata={
            "description": "Where it was asked for: keep it on the device, and show it at the next POST /otp/send.",
            "example": "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        }
    )
