"""The stories of challenges, as operators search and read them."""

from marshmallow import Schema, fields

from otp_service.challenge.model import State, Status
from otp_service.history.note import What
from otp_service.history.story import HUMAN_CHECK, REFUSED, UNKNOWN
from otp_service.http.schemas.fields import (
    Strict,
    choice_field,
    integer_field,
    number_field,
    reference_field,
    shown,
    shown_list,
    shown_word,
    text_field,
)
from otp_service.upstream.channels import CHANNELS

STATES = (*(state.value for state in State), UNKNOWN, REFUSED, HUMAN_CHECK)
LATEST = 9_999_999_999_999
_AT = 1_700_000_000_000


def _moment_field(about: str) -> fields.Integer:
    rule = "must be milliseconds since 1970"
    return integer_field(0, LATEST, rule, about, _AT)


def _word_field(about: str, example: str) -> fields.String:
    rule = "must be 1 to 64 lower-case letters, digits, '.', '-' or '_'"
    return text_field(rule, r"[a-z0-9._-]{1,64}", about, example)


class SearchSchema(Strict):
    """Exactly one of number, reference, challenge_id, request_id or since; the other fields narrow a time range."""

    number = number_field("A phone number, in any common notation.", "+1 202 555 0100", required=False)
    country = text_field(
        "must be the two letters of a country (ISO 3166)",
        r"[A-Z]{2}",
        "The country of a number without its country code, or of the numbers in a time range.",
        "US",
    )
    reference = reference_field("Your own id, as it was sent.")
    challenge_id = text_field(
        "must be an id from POST /otp/send",
        r"[A-Za-z0-9_-]{1,64}",
        "The challenge's id.",
        "2aH3b0sYp1c7mV9xQ4tLkZ0w",
    )
    request_id = text_field(
        "must be the X-Request-Id of an answer",
        r"[A-Za-z0-9_-]{1,64}",
        "The X-Request-Id of any answer about a challenge.",
        "Zk3xQ9bLw2TtY7aC",
    )
    since = _moment_field("Where a time range begins (milliseconds since 1970).")
    until = _moment_field("Where it ends; now if omitted.")
    app = _word_field("Only challenges of this app.", "web")
    channel = choice_field(CHANNELS, "Only those with a message over this channel.", "sms")
    state = choice_field(STATES, "Only challenges in this state.", "expired")
    reason = _word_field("Only those with this trouble: a reason, or a rule of the guard.", "number")
    cursor = text_field(
        "must be next_cursor of the page before",
        r"[A-Za-z0-9._-]{1,160}",
        "The next_cursor of the page before.",
        "472222-c118-r7",
    )
    limit = integer_field(1, 100, "must be from 1 to 100", "How many to return; 20 if omitted.", 20)


def _text(about: str, example: str) -> fields.String:
    return shown(fields.String, about, example)  # type: ignore[no-any-return]


def _fact(about: str) -> fields.String:
    return fields.String(metadata={"description": about})


def _figure(about: str) -> fields.Float:
    return fields.Float(metadata={"description": about})


class NewestMessageSchema(Schema):
    """The message that is on its way, or was the last one."""

    channel = shown_word(CHANNELS, "Its channel.", "sms")
    status = shown_word(
        [status.value for status in Status],
        "The best status that was reported; queued before it is sent.",
        "sent",
    )


class SummarySchema(Schema):
    """A challenge or a refused send, in short."""

    id = _text("The challenge's id, or that of a send that opened none.", "2aH3b0sYp1c7mV9xQ4tLkZ0w")
    kind = shown_word(("challenge", "refused"), "Whether a challenge was opened.", "challenge")
    at = shown(fields.Integer, "When it was asked for (milliseconds since 1970).", _AT)
    state = shown_word(STATES, "Its state, or how the send was refused.", "verified")
    to = shown(fields.String, "The number, masked; null if it is not known.", "+1********00", allow_none=True)
    app = _text("The app.", "web")
    country = _text("The number's country.", "US")
    purpose = _text("What the proof is for.", "login")
    reference = _text("The app's own id; may be empty.", "signup-4711")
    request_id = _text("The X-Request-Id of the send.", "Zk3xQ9bLw2TtY7aC")
    route = _text("The route of the policy: its name, or its place.", "0")
    channels = shown(fields.List, "The channels that were tried.", ["sms"], cls_or_instance=fields.String())
    message = fields.Nested(
        NewestMessageSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The newest message; null if there was none to send."},
    )
    reason = _text(
        "What last did not go as planned, while pending with the newest message; may be empty.", "undelivered"
    )
    rule = _text("The rule of the guard that refused it, if one did.", "number")


class FoundSchema(Schema):
    """A page of challenges, newest first."""

    challenges = shown(fields.List, "What was found.", [], cls_or_instance=fields.Nested(SummarySchema))
    next_cursor = shown(
        fields.String,
        "For the next page, which may be longer even if this one is short; null after the last.",
        "472222-c118-r7",
        allow_none=True,
    )


class StoryDeliverySchema(Schema):
    """One attempt to deliver a code."""

    channel = shown_word(CHANNELS, "The channel.", "sms")
    account = _text("The upstream account.", "main")
    status = shown_word(
        [status.value for status in Status], "The best status that was reported.", "delivered"
    )
    reason = _text("Why it failed; may be empty.", "undelivered")


class NoteSchema(Schema):
    """One thing that happened. Fields that say nothing are left out."""

    what = shown_word([what.value for what in What], "What happened.", "sent")
    at = shown(fields.Integer, "When (milliseconds since 1970).", _AT)
    request_id = _fact("The X-Request-Id of the answer.")
    origin = _fact("The page's origin, page or server.")
    route = _fact("The route.")
    plan = _fact("The steps, each as channel:account+account.")
    channel = _fact("The channel.")
    following = _fact("The channel of the next step.")
    account = _fact("The upstream account.")
    place = _figure("The place of the message, from 0.")
    result = _fact("How it ended.")
    reason = _fact("Why; of decided: why on_failure took the place of the endpoint's answer.")
    rule = _fact("The rule of the guard.")
    word = _fact("The upstream's own word.")
    counter = _figure("What the rule counted.")
    threshold = _figure("What it allows.")
    window = _figure("Within how many seconds.")
    seconds = _figure("How long it took.")
    price = _figure("What the message cost.")


class TimelineSchema(SummarySchema):
    """All that is known of a challenge."""

    known = _text("How well the caller was known.", "server")
    policy = shown(fields.Integer, "The version of the policy.", 3)
    deliveries = shown_list(
        StoryDeliverySchema,
        "The messages, oldest first.",
        {"channel": "sms", "account": "main", "status": "delivered", "reason": ""},
    )
    timeline = shown_list(NoteSchema, "What happened, oldest first.", {"what": "sent", "at": _AT})
