"""Who may call: issued keys, and apps."""

from marshmallow import Schema, fields, validate

from otp_service.http.schemas.fields import Strict, duration_field, line_field, shown, text_field
from otp_service.http.schemas.policy import PolicyAppliedSchema
from otp_service.policy import ROLES

KINDS = ("publishable", "secret", "ops")


class KeyCreateSchema(Strict):
    """A key to issue."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(KINDS, error="must be publishable, secret or ops"),
        metadata={
            "description": "For browsers and phones, for servers, or for operators.",
            "example": "secret",
        },
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    owner = text_field(
        "must be a name of small letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "The app that may call with it; for an operator's key the operator's name, which stands in the audit.",
        "web",
        required=True,
    )
    role = fields.String(
        validate=validate.OneOf(ROLES, error=f"must be one of {', '.join(ROLES)}"),
        metadata={"description": "What an operator's key may do; no other key has one.", "example": "read"},
        error_messages={"invalid": "must be a string", "null": "must not be null"},
    )
    expires = duration_field("When it ends, counted from now; never when left out.", "90d")
    label = line_field("What it is for.", "checkout servers", 80)


class KeyRotateSchema(Strict):
    """How a key is replaced."""

    reason = line_field("The reason, for the audit.", "every quarter", 200, required=True)
    overlap = duration_field("How long the key before still lives; a day when left out.", "24h")
    expires = duration_field(
        "When the successor ends; after as long as its predecessor when left out.", "90d"
    )


class KeyRevokeSchema(Strict):
    """Why a key ends."""

    reason = line_field("What happened.", "found in a repository", 200, required=True)


class IssuedKeySchema(Schema):
    """A key that was issued; the key itself is kept nowhere. Times are milliseconds since 1970."""

    id = shown(fields.String, "Its id, by which it is rotated and revoked.", "5f2ab1c3d4")
    kind = shown(
        fields.String,
        "For browsers and phones, for servers, or for operators.",
        "secret",
        validate=validate.OneOf(KINDS),
    )
    owner = shown(fields.String, "The app, or the operator of an ops key.", "web")
    role = shown(
        fields.String, "The operator's role; empty for an app.", "", validate=validate.OneOf(["", *ROLES])
    )
    label = shown(fields.String, "What was said about its use.", "checkout servers")
    fingerprint = shown(fields.String, "The first eight digits of its SHA-256.", "9f86d081")
    live = shown(fields.Boolean, "Whether it lets anybody in now.", example=True)
    by = shown(fields.String, "The operator who issued it.", "anna")
    created = shown(fields.Integer, "When it was issued.", 1_700_000_000_000)
    expires = shown(fields.Integer, "When it ends or ended.", 1_707_776_000_000, allow_none=True)
    used = shown(fields.Integer, "When it was used last, to the minute.", 1_700_000_060_000, allow_none=True)
    line = shown(fields.String, "The id of the first key of those that replaced one another.", "5f2ab1c3d4")
    replaced_by = shown(fields.String, "The id of its successor; empty for none.", "")
    ended_by = shown(fields.String, "The operator who rotated or revoked it.", "")
    ended_why = shown(fields.String, "What was said then.", "")


class IssuedKeysSchema(Schema):
    """All issued keys; one that ended is kept for 90 days."""

    keys = shown(
        fields.List, "Each key, the oldest first.", [], cls_or_instance=fields.Nested(IssuedKeySchema)
    )


class NewKeySchema(IssuedKeySchema):
    """A new key, which is shown this once."""

    key = shown(fields.String, "The key itself; nobody can show it again.", "sk_...")


class AppCreateSchema(Strict):
    """An app to add to the policy."""

    name = text_field(
        "must be a name of small letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "Its name, which is the audience of its tokens.",
        "shop",
        required=True,
    )
    brand = line_field("The name that stands in messages.", "Acme Shop", 40, required=True)
    origins = fields.List(
        line_field("An origin as browsers send it.", "https://shop.example.com", 200),
        metadata={
            "description": "Pages that may use its publishable keys; none when left out.",
            "example": ["https://shop.example.com"],
        },
        load_default=list,
    )
    reason = line_field("The reason, for the policy's history.", "the shop opens", 200, required=True)
    keys = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=True,
        metadata={
            "description": "Whether to issue a publishable and a secret key at once; true when left out.",
            "example": True,
        },
    )


class AppRemoveSchema(Strict):
    """Why an app is removed."""

    reason = line_field("Why it goes; kept in the policy's history.", "the shop closed", 200, required=True)


class AppSchema(Schema):
    """An app of the policy in force."""

    name = shown(fields.String, "The app's own name.", "shop")
    brand = shown(fields.String, "What messages call it.", "Acme Shop")
    origins = shown(
        fields.List, "Where its pages are.", ["https://shop.example.com"], cls_or_instance=fields.String()
    )
    declared_keys = shown(
        fields.Dict, "How many keys of each kind the policy declares.", {"publishable": 1, "secret": 1}
    )
    issued_keys = shown(
        fields.List, "Those that were issued and live.", [], cls_or_instance=fields.Nested(IssuedKeySchema)
    )


class AppsSchema(Schema):
    """All apps of the policy in force."""

    apps = shown(fields.List, "Each app.", [], cls_or_instance=fields.Nested(AppSchema))


class AppChangedSchema(PolicyAppliedSchema):
    """The version of the policy that the change made."""

    keys = shown(
        fields.List,
        "New keys, which are shown this once.",
        [],
        cls_or_instance=fields.Nested(NewKeySchema),
    )
