"""The answer to a probe."""

from marshmallow import Schema, fields

from otp_service.http.schemas.fields import shown_word


class HealthSchema(Schema):
    """The state of this process."""

    status = shown_word(["ok", "unavailable"], "Whether it can serve requests.", "ok")
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "The state of each part: ok, or the code of its problem; of eviction, the store's policy; "
            "of layout, which one the store's records have if it is newer than this version reads; "
            "of policy, the processes that cannot use the newest version.",
            "example": {"store": "ok", "layout": "ok", "eviction": "ok", "workers": "ok", "policy": "ok"},
        },
    )
