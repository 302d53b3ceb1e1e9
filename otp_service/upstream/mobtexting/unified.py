"""Writes messages in the format that the upstream's newer channels share: WhatsApp, RCS, MIP.

Knows that format (documentation, v2/whatsapp, v2/rcs, v2/mip). Must not know how a request travels.
"""

from collections.abc import Mapping
from typing import Any

from otp_service.messages.languages import lookup
from otp_service.upstream.channels import MipSettings, RcsSettings, WhatsappSettings
from otp_service.upstream.mobtexting.transport import JsonRequest
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message

MessageContent = Mapping[str, Any]


def whatsapp(path: str, message: Message, settings: WhatsappSettings) -> JsonRequest:
    """Write an authentication template. Its only value is the code, which its button uses, too.

    Some accounts need the older form of the documentation, which names the button's value as well.

    Raises ValueError if `to` is not a number, as do `rcs` and `mip`.
    """
    payload = {
        "name": settings.template,
        "language": _language(message, settings),
        **(_components(message.code) if settings.form == "components" else {"body_params": [message.code]}),
    }
    return _shaped(path, "whatsapp", message, settings, {"type": "template", "payload": payload})


def rcs(path: str, message: Message, settings: RcsSettings) -> JsonRequest:
    """Write a text."""
    return _shaped(path, "rcs", message, settings, _text(message))


def mip(path: str, message: Message, settings: MipSettings) -> JsonRequest:
    """Write a template if the settings name one, else a text."""
    if not settings.template:
        return _shaped(path, "mip", message, settings, _text(message))
    payload = {
        "name": settings.template,
        **({"namespace": settings.namespace} if settings.namespace else {}),
        "language": _language(message, settings),
        "body_params": [message.code],
    }
    return _shaped(path, "mip", message, settings, {"type": "template", "payload": payload})


def _components(code: str) -> MessageContent:
    value = [{"type": "text", "text": code}]
    button = {"type": "button", "sub_type": "url", "index": "0", "parameters": value}
    return {"components": [{"type": "body", "parameters": value}, button]}


def _language(message: Message, settings: WhatsappSettings | MipSettings) -> str:
    """Return the template's language that fits the message's best (RFC 4647, section 3.4)."""
    fitting = lookup(message.language, settings.languages)
    return settings.languages[fitting] if fitting else settings.default_language


def _text(message: Message) -> MessageContent:
    return {"type": "text", "payload": {"text": message.text}}


def _shaped(
    path: str,
    name: str,
    message: Message,
    settings: WhatsappSettings | RcsSettings | MipSettings,
    content: MessageContent,
) -> JsonRequest:
    """Wrap the content in the shared format.

    `ttl` (seconds) is documented only for Viber and the vendor's own OTP product. For these channels it is inferred,
    and harmless if it is ignored.
    """
    meta = {"foreign_id": message.reference, "ttl": message.seconds}
    if settings.webhook_id:
        meta["webhook_id"] = settings.webhook_id
    return JsonRequest(
        path,
        {
            "channels": [{"name": name, "from": settings.sender, "meta": meta}],
            "recipient": {"to": digits(message.to)},
            "message": content,
        },
    )
