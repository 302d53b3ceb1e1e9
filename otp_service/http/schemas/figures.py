"""Figures and advice."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import Strict, shown, shown_list, text_field
from otp_service.ops.figures import BY_RULE, FILTER_RULE, TIME_FORM, TIME_RULE


class FiguresQuerySchema(Strict):
    """Which figures to show."""

    class Meta:
        """Names that Python keeps for itself."""

        include = {  # noqa: RUF012 - typed so by its base
            "from": text_field(TIME_RULE, TIME_FORM, "From when; 24h if omitted.", "7d")
        }

    to = text_field(TIME_RULE, TIME_FORM, "Until when; now if omitted.", "2026-11-26")
    by = text_field(BY_RULE, r"[a-z,]{1,60}", "What to break down by.", "country,channel")
    filter = text_field(FILTER_RULE, r"[a-z]+:[^\x00-\x1f]{0,500}", "What counts.", "country:IN,channel:sms")
    format = fields.String(
        validate=validate.OneOf(["json", "csv"], error="must be json or csv"),
        metadata={"description": "The form of the answer.", "example": "json"},
    )


class FiguresSchema(Schema):
    """Figures of whole hours or days (UTC)."""

    class Meta:
        """Names that Python keeps for itself."""

        include = {  # noqa: RUF012 - typed so by its base
            "from": shown(fields.Integer, "The beginning (milliseconds since 1970).", 1_700_000_000_000)
        }

    to = shown(fields.Integer, "The end (milliseconds since 1970).", 1_700_086_400_000)
    unit = shown(fields.String, "hour or day.", "hour")
    by = shown(fields.List, "What they are broken down by.", ["channel"], cls_or_instance=fields.String())
    rows = shown(
        fields.List,
        "Counts; docs/operate.md explains each. `*` holds what was too much to tell apart.",
        [{"channel": "sms", "sent": 1000, "delivered": 981, "verified": 812, "money": 250.0}],
        cls_or_instance=fields.Dict(),
    )
    total = shown(fields.Dict, "The sum of all rows.", {"sent": 1000, "verified": 812})


class OrderSchema(Schema):
    """What is known of another order of a route's steps."""

    route = shown(fields.String, "The route: its name, or its place.", "india")
    country = shown(fields.String, "The country; empty for all together.", "IN")
    order = shown(fields.List, "The other order.", ["whatsapp", "sms"], cls_or_instance=fields.String())
    verdict = shown(fields.String, "better, worse or cannot_tell.", "better")
    text = shown(
        fields.String,
        "What was found.",
        "whatsapp first in IN (route india): +3.1 points verified (95 % interval 1.2 to 5.0), -18 % money, n = 4,210",
    )
    n = fields.Integer(metadata={"description": "People with the written order.", "example": 3789})
    other_n = fields.Integer(metadata={"description": "People with the other order.", "example": 421})
    points = fields.Float(
        allow_none=True, metadata={"description": "How many points more are verified.", "example": 3.1}
    )
    low = fields.Float(
        allow_none=True, metadata={"description": "Begin of the 95 % interval.", "example": 1.2}
    )
    high = fields.Float(allow_none=True, metadata={"description": "Its end.", "example": 5.0})
    change = fields.Float(
        allow_none=True,
        metadata={"description": "Change of money for each person, as a part.", "example": -0.18},
    )


class AdviceSchema(Schema):
    """What the figures of all days can tell."""

    class Meta:
        """Names that Python keeps for itself."""

        include = {  # noqa: RUF012 - typed so by its base
            "from": shown(fields.Integer, "The beginning (milliseconds since 1970).", 1_700_000_000_000)
        }

    to = shown(fields.Integer, "The end (milliseconds since 1970).", 1_703_024_000_000)
    orders = shown_list(OrderSchema, "Other orders of steps.")
    steps = shown(
        fields.List,
        "For each step, the share of its messages whose codes were typed, with a 95 % interval.",
        [{"route": "india", "channel": "sms", "message": "first", "n": 900, "share": 0.81}],
        cls_or_instance=fields.Dict(),
    )
