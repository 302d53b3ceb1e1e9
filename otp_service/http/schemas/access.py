"""Who may call: issued keys, and apps."""

from marshmallow import Schema, fields

from otp_service.access.keyring import LABEL
from otp_service.http.schemas.fields import (
    Strict,
    boolean_field,
    choice_field,
    duration_field,
    line_field,
    reason_field,
    shown,
    shown_list,
    shown_word,
    text_field,
)
from otp_service.http.schemas.policy import PolicyAppliedSchema
from otp_service.policy import ROLES

_KINDS = ("publishable", "secret", "ops")


class KeyCreateSchema(Strict):
    """A key to issue."""

    kind = choice_field(
        _KINDS,
        "For browsers and mobile apps (publishable), servers (secret) or operators (ops).",
        "secret",
        required=True,
    )
    owner = text_field(
        "must be a name of lower-case letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "The app; for an ops key, the operator's name as the audit log shows it.",
        "web",
        required=True,
    )
    role = choice_field(ROLES, "The role of an operator's key. Other keys have none.", "read")
    expires = duration_field(
        "When it expires, counted from now. If omitted, it does not expire.", "90d", shortest=1
    )
    label = line_field("What the key is for.", "checkout servers", LABEL)


class KeyRotateSchema(Strict):
    """How to replace a key."""

    reason = reason_field()
    overlap = duration_field("How long the old key stays valid. If omitted, one day.", "24h", shortest=0)
    expires = duration_field(
        "When the new key expires, counted from now. If omitted, after as long as the old one.",
        "90d",
        shortest=1,
    )


class KeyRevokeSchema(Strict):
    """Why a key is revoked."""

    reason = reason_field()


class IssuedKeySchema(Schema):
    """An issued key. The key itself is not stored. Times are milliseconds since 1970."""

    id = shown(fields.String, "Its id, to rotate or revoke it.", "5f2ab1c3d4")
    kind = shown_word(_KINDS, "Its kind.", "secret")
    owner = shown(fields.String, "The app or, for an ops key, the operator.", "web")
    role = shown_word(["", *ROLES], "The operator's role; empty for an app.", "")
    limited_to = shown(
        fields.List,
        "The apps that an operator's key is limited to; none for all.",
        [],
        cls_or_instance=fields.String(),
    )
    label = shown(fields.String, "What the key is for.", "checkout servers")
    fingerprint = shown(fields.String, "The first eight hexadecimal digits of its SHA-256.", "9f86d081")
    live = shown(fields.Boolean, "Whether it is valid now.", example=True)
    by = shown(fields.String, "The operator who issued it.", "anna")
    created = shown(fields.Integer, "When it was issued.", 1_700_000_000_000)
    expires = shown(fields.Integer, "When it ends or ended.", 1_707_776_000_000, allow_none=True)
    used = shown(fields.Integer, "When it was last used, to the minute.", 1_700_000_060_000, allow_none=True)
    line = shown(fields.String, "The id of the first key in its chain of rotations.", "5f2ab1c3d4")
    replaced_by = shown(fields.String, "The id of the key that replaced it; empty if none did.", "")
    ended_by = shown(fields.String, "The operator who rotated or revoked it.", "")
    ended_why = shown(fields.String, "The reason for the rotation or revocation.", "")


class IssuedKeysSchema(Schema):
    """All issued keys. A key that ended is listed for 90 days."""

    keys = shown_list(IssuedKeySchema, "The keys, oldest first.")


class NewKeySchema(IssuedKeySchema):
    """A new key, shown only once."""

    key = shown(fields.String, "The key itself. It cannot be shown again.", "sk_...")


class AppCreateSchema(Strict):
    """An app to add to the policy."""

    name = text_field(
        "must be a name of lower-case letters, digits, - and _",
        r"[a-z][a-z0-9_-]{0,31}",
        "Its name, which is the audience of its tokens.",
        "shop",
        required=True,
    )
    brand = line_field("The name that messages show.", "Acme Shop", 40, required=True)
    origins = fields.List(
        line_field("An origin as browsers send it.", "https://shop.example.com", 200),
        metadata={
            "description": "The origins of the pages that may use its publishable keys. If omitted, none.",
            "example": ["https://shop.example.com"],
        },
        load_default=list,
    )
    reason = reason_field()
    keys = boolean_field(
        "Whether to issue a publishable and a secret key at once; true if omitted.",
        example=True,
        default=True,
    )


class AppRemoveSchema(Strict):
    """Why an app is removed."""

    reason = reason_field()


class AppSchema(Schema):
    """An app of the policy in force."""

    name = shown(fields.String, "The app's name.", "shop")
    brand = shown(fields.String, "The name that messages show.", "Acme Shop")
    origins = shown(
        fields.List,
        "The origins of its pages.",
        ["https://shop.example.com"],
        cls_or_instance=fields.String(),
    )
    declared_keys = shown(
        fields.Dict,
        "How many keys of each kind the policy declares.",
        {"publishable": 1, "secret": 1},
    )
    issued_keys = shown_list(IssuedKeySchema, "Its valid issued keys.")


class AppsSchema(Schema):
    """All apps of the policy in force."""

    apps = shown_list(AppSchema, "The apps.")


class AppChangedSchema(PolicyAppliedSchema):
    """The version of the policy that the change made."""

    keys = shown_list(NewKeySchema, "New keys, shown only once.")
