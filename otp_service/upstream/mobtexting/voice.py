"""Writes the request for a call that speaks a code: by text to speech, or by a flow of the upstream's studio.

Knows the fields of `outgoing/tts` and `outgoing/send` (documentation, v2/reach). Must not know how a request travels.
The upstream tries a call once: a later repetition would speak a code that has expired.
"""

from otp_service.messages.languages import lookup
from otp_service.upstream.channels import VoiceSettings
from otp_service.upstream.mobtexting.transport import FormRequest, JsonRequest
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message

_REGIONS = {
    "ar": "ar-AE",
    "da": "da-DK",
    "de": "de-DE",
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "hi": "hi-IN",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "nb": "nb-NO",
    "nl": "nl-NL",
    "pl": "pl-PL",
    "pt": "pt-PT",
    "ro": "ro-RO",
    "ru": "ru-RU",
    "sv": "sv-SE",
    "tr": "tr-TR",
}
"""The voice for a language without a region. The upstream's names are those of Amazon Polly, which it documents."""
_VOICES = (
    *("de-AT", "en-AU", "en-GB", "en-IE", "en-IN", "en-NZ", "en-ZA", "es-MX", "es-US"),
    *("fr-BE", "fr-CA", "nl-BE", "pt-BR", *_REGIONS, *_REGIONS.values()),
)
"""Every language that has a voice."""


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


def _language(message: Message, settings: VoiceSettings) -> str:
    """Return the voice's language: as the settings name it, or a regional one, as the upstream documents no others."""
    if fitting := lookup(message.language, settings.languages):
        return settings.languages[fitting]
    documented = lookup(message.language, _VOICES)
    return (
        documented if documented and "-" in documented else _REGIONS.get(documented or "", message.language)
    )


def _speech(message: Message, settings: VoiceSettings) -> dict[str, object]:
    options: dict[str, object] = {"language": _language(message, settings)}
    if settings.break_mark:
        options["break"] = {"identifier": settings.break_mark, "time": settings.break_time}
    if settings.voice_id:
        options["voiceid"] = settings.voice_id
    if settings.gender:
        options["voice"] = {"gender": settings.gender}
    return options
