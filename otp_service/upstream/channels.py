"""The settings of each channel of an upstream account: operators write them, and the upstream's client needs them.

Plain data, checked when it is made. Must not know where it was read from, or how it becomes a request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from otp_service.messages.languages import lookup

_FIELD = re.compile(r"[a-z][a-z0-9_]*")
_SMS_FIELDS = frozenset(
    {
        "access_token",
        "custom",
        "entity_id",
        "message",
        "sender",
        "service",
        "template_id",
        "to",
        "type",
        "webhook_id",
    }
)
_MAX_BREAK = 10
MIN_SECONDS = 6.0
"""Seconds that a call takes at least to say a code."""
_MAX_MIN_SECONDS = 60


CHANNELS = ("sms", "whatsapp", "voice", "rcs", "mip")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateId:
    """The id under which a text is registered (DLT, India). An empty field stands for all texts, apps or purposes."""

    id: str
    language: str = ""
    app: str = ""
    purpose: str = ""

    def stands_for(self, language: str, app: str, purpose: str) -> bool:
        """Tell whether the text of a language, as the policy names it, of an app and a purpose has this id."""
        return (
            (not self.language or lookup(language, (self.language,)) is not None)
            and self.app in {"", app}
            and self.purpose in {"", purpose}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsSettings:
    """How an account sends SMS.

    `service` is the product code (T, P, S, G, or a code of a white label). `entity_id` and the ids of templates are the
    DLT ids that India requires: the first of `template_ids` that stands for a text, or else `template_id`. `webhook_id`
    names an existing webhook for delivery reports. `expiry_field` is a white label's field for the seconds that a
    message is valid; the upstream's documentation has no such field. `batch` is the maximum of messages in one request.
    Raises ValueError for a setting that cannot work.
    """

    service: str
    sender: str
    entity_id: str | None = None
    template_id: str | None = None
    template_ids: tuple[TemplateId, ...] = ()
    webhook_id: str | None = None
    expiry_field: str | None = None
    batch: int = 20

    def __post_init__(self) -> None:
        _require(service=self.service, sender=self.sender)
        if self.expiry_field is not None and (
            not _FIELD.fullmatch(self.expiry_field) or self.expiry_field in _SMS_FIELDS
        ):
            raise ValueError("expiry_field must be a field name that has no other use")

    def template_id_of(self, language: str, app: str, purpose: str) -> str | None:
        """Return the id under which a text is registered."""
        found = (entry.id for entry in self.template_ids if entry.stands_for(language, app, purpose))
        return next(found, self.template_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsappSettings:
    """How an account sends WhatsApp messages: an authentication template from a business number.

    `languages` maps the language of a person to the template's name for it, such as {"en": "en_US", "pt-BR": "pt_BR"};
    other languages use `default_language`, which must be one of these names. That a send accepts `webhook_id` is
    inferred from the template call. In the `form` "components" the code is a parameter of the body and of the
    button, as accounts with Meta's own form need it. Raises ValueError for a setting that cannot work.
    """

    sender: str
    template: str
    form: Literal["values", "components"] = "values"
    languages: Mapping[str, str] = field(default_factory=dict)
    default_language: str = "en"
    webhook_id: str | None = None

    def __post_init__(self) -> None:
        _require(sender=self.sender, template=self.template, default_language=self.default_language)
        _require_languages(self.languages)
        _require_default(self.default_language, self.languages)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """How an account makes calls, from the number `bridge`.

    In mode "tts" the upstream speaks the text of the message: `languages` maps its language to the upstream's name for
    it, such as {"en": "en-IN"} (others get the usual region, such as "de-DE"), `voice_id` and `gender` choose
    the voice, and each `break_mark` in the text is a pause of `break_time` seconds. In mode "flow" the studio flow
    `flow_id` speaks its variable `otp`, and `webhook_id` names the webhook for the call's report.

    A call that was answered but lasted less than `min_seconds` was not heard: it failed.

    Raises ValueError for a setting that cannot work.
    """

    bridge: str
    mode: Literal["tts", "flow"] = "tts"
    flow_id: str | None = None
    languages: Mapping[str, str] = field(default_factory=dict)
    voice_id: str | None = None
    gender: str | None = None
    break_mark: str | None = None
    break_time: float = 1
    min_seconds: float = MIN_SECONDS
    webhook_id: str | None = None

    def __post_init__(self) -> None:
        _require(bridge=self.bridge)
        _require_languages(self.languages)
        if self.mode not in {"tts", "flow"}:
            raise ValueError("mode must be tts or flow")
        if (self.mode == "flow") != bool(self.flow_id):
            raise ValueError("flow_id must be set in mode flow, and only there")
        if self.break_mark is not None and not self.break_mark:
            raise ValueError("break_mark must not be empty")
        if not 0 < self.break_time <= _MAX_BREAK:
            raise ValueError(f"break_time must be above 0 and at most {_MAX_BREAK} seconds")
        if not 0 <= self.min_seconds <= _MAX_MIN_SECONDS:
            raise ValueError(f"min_seconds must be from 0 to {_MAX_MIN_SECONDS} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RcsSettings:
    """How an account sends RCS messages: `sender` is the agent's reference id. Raises ValueError if it is missing."""

    sender: str
    webhook_id: str | None = None

    def __post_init__(self) -> None:
        _require(sender=self.sender)


@dataclass(frozen=True, slots=True, kw_only=True)
class MipSettings:
    """How an account sends IP messages: as a template whose only value is the code, or as text.

    Raises ValueError for a setting that cannot work.
    """

    sender: str
    template: str | None = None
    namespace: str | None = None
    languages: Mapping[str, str] = field(default_factory=dict)
    default_language: str = "en"
    webhook_id: str | None = None

    def __post_init__(self) -> None:
        _require(sender=self.sender, default_language=self.default_language)
        _require_languages(self.languages)
        _require_default(self.default_language, self.languages)
        if self.template is not None and not self.template:
            raise ValueError("template must not be empty")
        if self.namespace and not self.template:
            raise ValueError("namespace belongs to a template")


def _require(**settings: str) -> None:
    for name, value in settings.items():
        if not value.strip():
            raise ValueError(f"{name} must not be empty")


def _require_languages(languages: Mapping[str, str]) -> None:
    for language, name in languages.items():
        if not language or not name:
            raise ValueError("languages must not contain empty names")


def _require_default(default: str, languages: Mapping[str, str]) -> None:
    """Require that the template exists in its default language."""
    if languages and default not in languages.values():
        named = ", ".join(dict.fromkeys(languages.values()))
        raise ValueError(f"default_language is {default}, but languages names only {named}")
