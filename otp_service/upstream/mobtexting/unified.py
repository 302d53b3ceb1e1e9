"""A message in the shape that the upstream's newer channels share: WhatsApp, RCS, MIP.

Knows that shape (documentation, v2/whatsapp, v2/rcs, v2/mip). Must not know how a request travels.
"""

from collections.abc import Mapping
from typing import Any

from otp_service.upstream.channels import MipSender, RcsSender, WhatsappSender
from otp_service.upstream.mobtexting.transport import Json
from otp_service.upstream.mobtexting.values import digits
from otp_service.upstream.port import Message

Content = Mapping[str, Any]


def whatsapp(path: str, message: Message, sender: WhatsappSender) -> Json:
    """Write an authentication template: its one value is the code, and the button's is taken from it.

    Raises ValueError for what is no number, as the others do.
    """
    payload = {
        "name": sender.template,
        "language": sender.languages.get(message.language, sender.default_language),
        "body_params": [message.code],
    }
    return _shaped(path, "whatsapp", message, sender, {"type": "template", "payload": payload})


def rcs(path: str, message: Message, sender: RcsSender) -> Json:
    """Write a text."""
    return _shaped(path, "rcs", message, sender, _text(message))


def mip(path: str, message: Message, sender: MipSender) -> Json:
    """Write a template if the sender has one, else a text."""
    if not sender.template:
        return _shaped(path, "mip", message, sender, _text(message))
    payload = {
        "name": sender.template,
        **({"namespace": sender.namespace} if sender.namespace else {}),
        "language": sender.languages.get(message.language, sender.default_language),
        "body_params": [message.code],
    }
    return _shaped(path, "mip", message, sender, {"type": "template", "payload": payload})


def _text(message: Message) -> Content:
    return {"type": "text", "payload": {"text": message.text}}


def _shaped(
    path: str, name: str, message: Message, sender: WhatsappSender | RcsSender | MipSender, content: Content
) -> Json:
    """Wrap the content up.

    `ttl` (seconds) is documented for Viber and the vendor's own OTP only; for these channels it is inferred,
    and harmless where it is not read.
    """
    meta = {"foreign_id": message.reference, "ttl": message.seconds}
    if sender.webhook_id:
        meta["webhook_id"] = sender.webhook_id
    return Json(
        path,
        {
            "channels": [{"name": name, "from": sender.sender, "meta": meta}],
            "recipient": {"to": digits(message.to)},
            "message": content,
        },
    )
