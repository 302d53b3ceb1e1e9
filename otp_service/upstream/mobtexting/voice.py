"""Writes the request for a call that speaks a code: by text to speech, or by a flow of the upstream's studio.

Knows the fields of `outgoing/tts` and `outgoing/send` (documentation, v2/reach). Must not know how a request travels.
The upstream tries a call once: a later repetition would speak a code that has expired.
"""

from otp_service.upstream.channels import VoiceSettings
from otp_service.upstream.mobtexting.transport import FormRequest, JsonRequest
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message


def call(
    tts_path: str, flow_path: str, message: Message, settings: VoiceSettings
) -> FormRequest | JsonRequest:
    """Write the request for one call. Raises ValueError if `to` is not a number.

    That the upstream reads the reference from `foreign_id` is inferred: its answers contain it under that name.
    """
    shared = {"bridge": settings.bridge, "to": digits(message.to), "foreign_id": message.reference}
    if settings.mode == "flow":
        fields = {
            **shared,
            "flow_id": settings.flow_id or "",
            "interval": "0",
            "variables[otp]": " ".join(message.code),  # spoken as digits and not as one number
        }
        return FormRequest(
            flow_path, fields | ({"webhook_id": settings.webhook_id} if settings.webhook_id else {})
        )
    return JsonRequest(
        tts_path, {**shared, "text": message.text, "interval": 0, "options": _speech(message, settings)}
    )


def _speech(message: Message, settings: VoiceSettings) -> dict[str, object]:
    options: dict[str, object] = {"language": settings.languages.get(message.language, message.language)}
    if settings.break_mark:
        options["break"] = {"identifier": settings.break_mark, "time": settings.break_time}
    if settings.voice_id:
        options["voiceid"] = settings.voice_id
    if settings.gender:
        options["voice"] = {"gender": settings.gender}
    return options
