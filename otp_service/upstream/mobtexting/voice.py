"""A call that speaks a code: by text to speech, or by a flow of the upstream's studio.

Knows the fields of `outgoing/tts` and `outgoing/send` (documentation, v2/reach). Must not know how a request
travels. A call is tried once: one that is repeated later would speak a code that has ended.
"""

from otp_service.upstream.channels import VoiceSender
from otp_service.upstream.mobtexting.transport import Form, Json
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message


def call(tts_path: str, flow_path: str, message: Message, sender: VoiceSender) -> Form | Json:
    """Write the request for one call. Raises ValueError for what is no number.

    That the reference is read from `foreign_id` is inferred: the answers carry it under that name.
    """
    shared = {"bridge": sender.bridge, "to": digits(message.to), "foreign_id": message.reference}
    if sender.mode == "flow":
        fields = {
            **shared,
            "flow_id": sender.flow_id or "",
            "interval": "0",
            "variables[otp]": " ".join(message.code),  # apart, so that digits are spoken and no number
        }
        return Form(flow_path, fields | ({"webhook_id": sender.webhook_id} if sender.webhook_id else {}))
    return Json(
        tts_path, {**shared, "text": message.text, "interval": 0, "options": _speech(message, sender)}
    )


def _speech(message: Message, sender: VoiceSender) -> dict[str, object]:
    options: dict[str, object] = {"language": sender.languages.get(message.language, message.language)}
    if sender.break_mark:
        options["break"] = {"identifier": sender.break_mark, "time": sender.break_time}
    if sender.voice_id:
        options["voiceid"] = sender.voice_id
    if sender.gender:
        options["voice"] = {"gender": sender.gender}
    return options
