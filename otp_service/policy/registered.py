"""The texts that can leave under each id of a registered template (DLT, India).

Pure. Must not know which numbers get them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otp_service.messages import templates
from otp_service.messages.payments import BY_NAME
from otp_service.policy.model import App
from otp_service.upstream.channels import SmsSettings


@dataclass(frozen=True, slots=True)
class RegisteredText:
    """A text as it must be registered: with the app's brand, and with the other variables by their names."""

    template_id: str
    language: str
    app: str
    text: str


def comparisons(apps: Mapping[str, App], own: Mapping[str, str], settings: SmsSettings) -> int:
    """Count the comparisons that `registered_texts` makes at most."""
    entries = settings.template_ids
    locales = len(templates.TEMPLATES.keys() | own.keys())
    return locales * len(apps) * (len({entry.purpose for entry in entries}) + 1) * (len(entries) + 1)


def registered_texts(
    apps: Mapping[str, App],
    own: Mapping[str, Mapping[str, str]],
    settings: SmsSettings | None,
    *,
    lines: bool = False,
) -> Iterator[RegisteredText]:
    """Yield every text of an account that has an id; `own` are the policy's templates by channel and locale.

    With `lines`, each text ends with those that a send may add: none, a host of the app, or the hash of an Android app.
    """
    if not settings:
        return
    purposes = sorted({entry.purpose for entry in settings.template_ids} | {""})
    for app in apps.values():
        for locale, template in templates.sms_templates(own, payment=bool(app.binding)).items():
            ids = (settings.template_id_of(locale, app.name, purpose) for purpose in purposes)
            for template_id in filter(None, dict.fromkeys(ids)):
                for text in _texts(app, template, lines=lines):
                    yield RegisteredText(template_id, locale, app.name, text)


def _texts(app: App, template: str, *, lines: bool) -> Iterator[str]:
    hosts = dict.fromkeys(app.host(origin) for origin in (*app.origins, None)) if lines else [""]
    for host in hosts:
        for app_hash in ("", "{app_hash}") if lines else ("",):
            yield templates.compose(
                template,
                code="{code}",
                brand=app.brand,
                minutes="{minutes}",
                app_hash=app_hash,
                host=host,
                payment=BY_NAME,
            )
