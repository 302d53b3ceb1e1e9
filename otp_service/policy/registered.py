"""The texts that can leave under each id of a registered template (DLT, India).

Pure. Must not know which numbers get them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otp_service.messages import templates
from otp_service.policy.model import App
from otp_service.upstream.channels import SmsSettings


@dataclass(frozen=True, slots=True)
class RegisteredText:
    """A text as it must be registered: with the app's brand, and with the other variables by their names."""

    template_id: str
    language: str
    app: str
    text: str


def registered_texts(
    apps: Mapping[str, App], own: Mapping[str, str], settings: SmsSettings
) -> Iterator[RegisteredText]:
    """Yield every text of an account that has an id; `own` are the policy's SMS by locale."""
    purposes = sorted({entry.purpose for entry in settings.template_ids} | {""})
    for locale, template in {**templates.TEMPLATES, **own}.items():
        for app in apps.values():
            text = template.format(code="{code}", brand=app.brand, minutes="{minutes}")
            ids = (settings.template_id_of(locale, app.name, purpose) for purpose in purposes)
            for template_id in dict.fromkeys(ids):
                if template_id:
                    yield RegisteredText(template_id, locale, app.name, text)
