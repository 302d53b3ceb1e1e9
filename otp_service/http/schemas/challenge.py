"""What apps send and receive for a challenge: send, verify, read, resend, cancel.

Knows each field and its form. Must not know what is done with the values.
"""

from marshmallow import Schema, fields, validate

from otp_service.challenge.model import State, Status
from otp_service.http.schemas.fields import (
    Strict,
    address_field,
    binding_field,
    boolean_field,
    channel_field,
    code_field,
    human_proof_field,
    number_field,
    purpose_field,
    reference_field,
    session_field,
    shown,
    shown_list,
    shown_word,
    text_field,
)
from otp_service.upstream.channels import CHANNELS


class NumberSchema(Strict):
    """A phone number."""

    to = number_field("The phone number, in any common notation, without an extension.", "+1 202 555 0100")
    country = text_field(
        "must be the two letters of a country (ISO 3166)",
        r"[A-Za-z]{2}",
        "The country (ISO 3166 alpha-2), if the number is written without its country code.",
        "US",
    )


class RouteSchema(NumberSchema):
    """What decides which route a number takes, and the language of its message."""

    purpose = purpose_field(
        "What the proof is for; `login` if omitted. A code is valid for its own purpose only.",
        load_default="login",
    )
    channel = channel_field()
    locale = text_field(
        "must be a language tag such as en or pt-BR",
        r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}",
        "The language of the message (BCP 47). If omitted, the number's country decides.",
        "en",
    )


class OptionsRequestSchema(NumberSchema):
    """Body of POST /otp/options."""

    purpose = purpose_field("What the proof would be for; `login` if omitted.", load_default="login")
    address = address_field("The person's IP address, limited like a browser's; secret key only.")


class OptionSchema(Schema):
    """A channel that could be used."""

    channel = shown_word(CHANNELS, "The channel.", "sms")
    first = shown(fields.Boolean, "Whether a send that names no channel begins with it.", example=True)


class OptionsSchema(Schema):
    """The channels that a number would get, in the order in which they are used."""

    channels = shown_list(OptionSchema, "The channels.")


class SendSchema(RouteSchema):
    """Body of POST /otp/send."""

    reference = reference_field("Your own id; answers and token repeat it.")
    binding = binding_field(
        "What the code is tied to, such as a payment's amount and payee. Any change voids the code."
    )
    app_hash = text_field(
        "must be the 11 characters that Android's SMS Retriever expects",
        r"[A-Za-z0-9+/]{11}",
        "The hash of your Android app, added to the SMS so that the app can read the code itself.",
        "FA+9qCX9VSu",
    )
    session = session_field("Your id of the person's session; secret key only. Limits of its own.")
    other_factor = boolean_field(
        "Whether your server verified another factor of the account; secret key only.",
        example=True,
    )
    address = address_field("The person's IP address, limited like a browser's; secret key only.")
    device_token = text_field(
        "must be a device_token from POST /otp/verify",
        r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
        "Proof that this device verified this number; it has limits of its own.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    human_proof = human_proof_field()


class VerifySchema(Strict):
    """Body of POST /otp/verify."""

    challenge_id = text_field(
        "must be an id from POST /otp/send",
        r"[A-Za-z0-9_-]{1,64}",
        "The challenge's id.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
        required=True,
    )
    code = code_field(
        "The code as typed: digits of any script; spaces, dashes and invisible marks are ignored.", "042137"
    )
    binding = binding_field("The same binding as in POST /otp/send; compared if given.")
    remember_device = boolean_field(
        "Return a device_token for the device's next POST /otp/send; false if omitted.",
        example=True,
        default=False,
    )


class ResendSchema(Strict):
    """Body of POST /otp/{id}/resend; may be omitted."""

    channel = channel_field()
    human_proof = human_proof_field()


class DeliverySchema(Schema):
    """One attempt to deliver a code."""

    channel = shown_word(CHANNELS, "The channel.", "sms")
    status = shown_word(
        [status.value for status in Status if status is not Status.CLAIMED],
        "The state of the message; `unknown` if the upstream gave no answer, `not_sent` if the challenge ended before.",
        "accepted",
    )


class ChallengeSchema(Schema):
    """A challenge as a screen may show it."""

    challenge_id = shown(
        fields.String,
        "The challenge's id. Treat it as a secret.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
    )
    status = shown_word(
        [state.value for state in State],
        "The state of the challenge. All states but `pending` are final.",
        "pending",
    )
    to = shown(fields.String, "The number, masked.", "+1********00")
    channel = shown_word(
        CHANNELS, "The channel of the newest message or, once verified, of the typed code.", "sms"
    )
    purpose = shown(fields.String, "What the proof is for.", "login")
    expires_in = shown(fields.Integer, "Seconds until the challenge expires.", 300)
    resend_in = shown(fields.Integer, "Seconds until another message can be requested.", 30)
    sends_left = shown(fields.Integer, "How many more messages can be sent.", 3)
    checks_left = shown(fields.Integer, "How many more codes can be checked.", 5)
    code_length = shown(fields.Integer, "How many digits the code has.", 6)
    channels_left = shown(
        fields.List,
        "The channels that a resend can use.",
        ["sms"],
        cls_or_instance=fields.String(validate=validate.OneOf(CHANNELS)),
    )
    deliveries = shown_list(
        DeliverySchema, "The messages so far, oldest first.", {"channel": "sms", "status": "accepted"}
    )
    reference = fields.String(metadata={"description": "Your own id, if given.", "example": "signup-4711"})


class VerifiedSchema(ChallengeSchema):
    """A verified challenge."""

    token = shown(
        fields.String,
        "The proof: a JWT signed with Ed25519. Pass it to your backend, which checks or redeems it.",
        "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
    )
    token_expires_in = shown(fields.Integer, "Seconds until the token expires.", 300)
    device_token = fields.String(
        metadata={
            "description": "Present if remember_device was true. Keep it on the device and send it with the next "
            "POST /otp/send.",
            "example": "eyJhbGciOiJFZERTQSIsInR5cCI6Im90cC4uLg.eyJpc3MiOiJodHRwczovL290cC4uLg.c2lnbmF0dXJl",
        }
    )
