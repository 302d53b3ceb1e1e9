"""The variable parts of paths. Must not know which view takes them."""

from marshmallow import fields

from otp_service.http.schemas.challenge import VerifySchema
from otp_service.http.schemas.fields import Strict, text_field


def _version_field(about: str, example: str) -> fields.String:
    return text_field("must be the number of a version", r"[0-9]{1,9}", about, example)


class PathSchema(Strict):
    """The variable parts of all paths."""

    challenge_id = VerifySchema._declared_fields["challenge_id"]  # noqa: SLF001 - bodies and paths share the field
    number = _version_field("The version's number.", "12")
    old = _version_field("The version to compare from.", "11")
    new = _version_field("The version to compare with.", "12")
    upstream = text_field(
        "must be the name of an account",
        r"[a-z][a-z0-9_-]{0,31}",
        "The upstream account's name in the policy.",
        "main",
    )
    secret = text_field(
        "must be one of the account's webhook secrets",
        r"[A-Za-z0-9_-]{1,200}",
        "A webhook secret. Its SHA-256 must be in the account's receipts.secrets.",
        "whs_4711",
    )
    key_id = text_field(
        "must be a key's id", r"[0-9a-f]{10}", "The key's id, as GET /ops/keys lists it.", "5f2ab1c3d4"
    )
    app = text_field(
        "must be the name of an app", r"[a-z][a-z0-9_-]{0,31}", "The app's name in the policy.", "web"
    )
    release = text_field(
        "must be a version of the form", r"[0-9]+\.[0-9]+\.[0-9]+", "The form's version.", "1.0.0"
    )
    file = text_field("must be the name of a file", r"[a-z]+\.(js|mjs|json)", "The file.", "otp.js")
