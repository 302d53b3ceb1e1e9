"""Composes the message for a delivery: the text in the person's language, and what the upstream needs beside it.

Pure. Must not know how a message is sent.
"""

from otp_service import phone
from otp_service.challenge.model import Challenge
from otp_service.messages import templates
from otp_service.messages.payments import fields_of
from otp_service.policy import Policy
from otp_service.upstream.port import Message


def compose(
    policy: Policy, challenge: Challenge, e164: str, *, code: str, reference: str, now: int, binding: str = ""
) -> Message:
    """Compose the message of the newest delivery. `now` is the store's time in milliseconds."""
    app = policy.apps.get(challenge.app)
    channel, left = challenge.step.channel, challenge.expires - now
    written = templates.write(
        channel,
        policy.templates,
        challenge.locale,
        phone.country_of(e164),
        code=code,
        brand=app.brand if app else challenge.app,
        minutes=max(1, round(left / 60_000)),
        app_hash=challenge.app_hash,
        host=challenge.host,
        lines=challenge.step.lines != "off",
        payment=fields_of(binding) if app and app.binding else None,
    )
    return Message(
        to=e164,
        reference=reference,
        code=code,
        text=written.text,
        language=written.language,
        seconds=left // 1000,
        template=written.template,
        app=challenge.app,
        purpose=challenge.purpose,
    )
