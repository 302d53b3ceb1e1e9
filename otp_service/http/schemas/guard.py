"""The guard's blocks and pins."""

from typing import get_args

from marshmallow import Schema, fields

from otp_service.guard.rules import Known
from otp_service.http.schemas.challenge import NumberSchema
from otp_service.http.schemas.fields import (
    Strict,
    address_field,
    boolean_field,
    choice_field,
    integer_field,
    reason_field,
    shown,
    shown_list,
    shown_word,
    text_field,
)
from otp_service.policy import LEVELS

_SUBJECTS = ("number", "prefix", "address")
_PINNED = ("allow", "refuse")


class BlockSchema(Schema):
    """A block: the guard's refusal of a subject, until a certain time."""

    id = shown(fields.String, "Its id, to lift it.", "prefix:prefix:ab3dEf9hIjklMnopQrStuv")
    rule = shown(fields.String, "The guard's rule that set it.", "prefix")
    subject = shown(fields.String, "What is blocked. Numbers are masked.", "+1202555****")
    level = shown_word(LEVELS, "What the rule demands.", "refuse")
    on = shown(fields.Boolean, "False if the rule only watches.", example=True)
    active = shown(fields.Boolean, "Whether it is still in force.", example=True)
    value = shown(fields.Float, "The value of the counter.", 20.0, allow_none=True)
    limit = shown(fields.Float, "The limit of the counter.", 20.0, allow_none=True)
    seconds = shown(fields.Float, "The period of the limit, in seconds.", 3600.0, allow_none=True)
    since = shown(fields.Integer, "When it began (milliseconds since 1970).", 1_700_000_000_000)
    until = shown(fields.Integer, "When it ends (milliseconds since 1970).", 1_700_003_600_000)
    refused = shown(fields.Integer, "How many sends it refused.", 412)


class BlocksSchema(Schema):
    """All blocks."""

    blocks = shown_list(BlockSchema, "The blocks; those that last longest come first.")


class ExplainSchema(NumberSchema):
    """A send to explain. It is not made."""

    app = text_field(
        "must be the name of an app",
        r"[a-z][a-z0-9_-]{0,31}",
        "The app. If omitted, the policy's first.",
        "web",
    )
    purpose = text_field(
        "must be 1 to 32 lower-case letters, digits, '.', '-' or '_'",
        r"[a-z0-9._-]{1,32}",
        "What the proof would be for.",
        "login",
    )
    address = address_field("The browser's IP address; a server calls without one.")
    session = text_field(
        "must be 1 to 128 visible ASCII characters",
        r"[\x21-\x7e]{1,128}",
        "The session that a server names.",
        "b7a9e4c1",
    )
    device = boolean_field("Whether the device has verified this number before.", example=False)


class ExplainedSchema(Schema):
    """What the guard would decide, and why."""

    to = shown(fields.String, "The number, masked.", "+1********00")
    country = shown(fields.String, "Its country; empty for a number of none.", "US")
    app = shown(fields.String, "The app.", "web")
    route = shown(
        fields.Integer, "The place of the route that serves it. `null`: none does.", 0, allow_none=True
    )
    steps = shown(
        fields.List, "The channels of its steps, in order.", ["sms", "voice"], cls_or_instance=fields.String()
    )
    split = shown(
        fields.Dict,
        "The `share` of the people, drawn at random, who get the steps in another `order`. `null`: nobody.",
        {"share": 0.1, "order": ["voice", "sms"]},
        allow_none=True,
    )
    known = shown_word(
        get_args(Known),
        "The kind of caller; `returning`: a session that verified this number.",
        "session",
    )
    verdict = shown_word(["allow", *LEVELS], "What the guard would decide.", "refuse")
    findings = shown(
        fields.List, "The limits that are exceeded.", [{"rule": "number"}], cls_or_instance=fields.Dict()
    )
    rules = shown(fields.List, "The rules that apply.", [{"rule": "number"}], cls_or_instance=fields.Dict())
    blocks = shown_list(BlockSchema, "The blocks that apply.")


class LiftSchema(Strict):
    """Which block to lift."""

    id = text_field(
        "must be the id of a block",
        r"[A-Za-z0-9_:-]{1,80}",
        "The block's id.",
        "prefix:prefix:ab3dEf9hIjklMnopQrStuv",
        required=True,
    )
    reason = reason_field()


class UnpinSchema(Strict):
    """Which pin to remove."""

    kind = choice_field(_SUBJECTS, "What the subject is.", "prefix", required=True)
    subject = text_field(
        "must be 2 to 45 characters",
        r"[^\x00-\x1f]{2,45}",
        "A number, the first digits of an E.164 number, or an IP address.",
        "+4479",
        required=True,
    )
    reason = reason_field()


class PinSchema(UnpinSchema):
    """What to always allow or always refuse."""

    what = choice_field(_PINNED, "Whether to always allow or always refuse it.", "refuse", required=True)
    hours = integer_field(
        1, 87_600, "must be from 1 to 87600", "How many hours the pin lasts. If omitted, it has no end.", 24
    )


class PinShownSchema(Schema):
    """A pin."""

    kind = shown_word(_SUBJECTS, "What the subject is.", "prefix")
    subject = shown(fields.String, "What is pinned. Numbers are masked.", "+4479")
    what = shown_word(_PINNED, "Whether it is always allowed or always refused.", "refuse")
    by = shown(fields.String, "Who set it.", "alice")
    reason = shown(fields.String, "Why it was set.", "pumping since noon")
    at = shown(fields.Integer, "When it was set (milliseconds since 1970).", 1_700_000_000_000)
    until = shown(
        fields.Integer,
        "When it ends (milliseconds since 1970); null if it has no end.",
        1_700_003_600_000,
        allow_none=True,
    )


class PinsSchema(Schema):
    """All pins."""

    pins = shown_list(PinShownSchema, "The pins.")


class WhySchema(Strict):
    """Why an operator wants to see something."""

    reason = reason_field()


class DoneSchema(Schema):
    """Confirmation."""

    done = shown(fields.Boolean, "Always true.", example=True)
