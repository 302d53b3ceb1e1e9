"""The text of a message on each channel: templates by locale, variables, lines for autofill, size in parts.

Knows texts only. Must not know who sends them. Sizes follow 3GPP TS 23.038: 160 septets, or 153 in each part of a split
message; 70 or 67 UTF-16 units if any character is outside the GSM alphabet.
"""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from otp_service.messages import gsm, languages
from otp_service.messages.payments import FIELDS, PAYMENTS

VARIABLES = frozenset({"code", "brand", "minutes"})

# Each fits into one part with a short brand and the line for autofill. Spanish and Portuguese avoid characters that the
# GSM alphabet lacks (á, í, ó, ú, ã, õ, ç): a single one would more than halve the length of a part.
TEMPLATES: Mapping[str, str] = {
    "ar": "رمز {brand}: {code}، {minutes} دقائق.",
    "de": "{code} ist Ihr Code für {brand}. Er gilt {minutes} Minuten. Geben Sie ihn niemandem.",
    "en": "{code} is your {brand} code. It is valid for {minutes} minutes. Never share it.",
    "es": "{code} es su clave de {brand}. Vale {minutes} minutos. No la comparta.",
    "fr": "{code} est votre code {brand}. Il est valable {minutes} minutes. Ne le donnez à personne.",
    "hi": "{brand} कोड {code}, {minutes} मिनट।",
    "it": "{code} è il suo codice {brand}. Vale {minutes} minuti. Non lo dia a nessuno.",
    "nl": "{code} is uw code voor {brand}, {minutes} minuten geldig. Deel hem met niemand.",
    "pt": "{code} é o seu PIN de {brand}. Vale por {minutes} minutos. Nunca o partilhe.",
}
"""The texts by language, for a policy without its own."""
VOICE: Mapping[str, str] = {
    "ar": "رمزك من {brand} هو {code}. مرة أخرى: {code}.",
    "de": "Ihr Code für {brand} lautet: {code}. Noch einmal: {code}.",
    "en": "Your {brand} code is: {code}. Once again: {code}.",
    "es": "Su código de {brand} es: {code}. Repito: {code}.",
    "fr": "Votre code {brand} est : {code}. Je répète : {code}.",
    "hi": "आपका {brand} कोड है: {code}. फिर से: {code}.",
    "it": "Il suo codice {brand} è: {code}. Ripeto: {code}.",
    "nl": "Uw code voor {brand} is: {code}. Nogmaals: {code}.",
    "pt": "O seu código de {brand} é: {code}. Repito: {code}.",
}
"""The texts of a call, by language."""

_FULL_STOP = re.compile(r"(?<=\d)\s*[.\u2026]+(?!\d)")
_GSM_ONE, _GSM_MANY = 160, 153
_UCS_ONE, _UCS_MANY = 70, 67


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an SMS: `units` are septets or UTF-16 units, `parts` are charged."""

    unicode: bool
    units: int
    parts: int


def size(text: str) -> Size:
    """Return the size of an SMS."""
    if gsm.fits(text):
        septets = [2 if char in gsm.GSM_EXTENDED else 1 for char in text]
        return Size(unicode=False, units=sum(septets), parts=_parts(septets, _GSM_ONE, _GSM_MANY))
    units = [len(char.encode("utf-16-le")) // 2 for char in text]
    return Size(unicode=True, units=sum(units), parts=_parts(units, _UCS_ONE, _UCS_MANY))


def _parts(widths: Sequence[int], whole: int, split: int) -> int:
    """Return the number of parts for characters of these widths. A character of two units is never split."""
    if sum(widths) <= whole:
        return 1
    parts, left = 1, split
    for width in widths:
        if width > left:
            parts, left = parts + 1, split
        left -= width
    return parts


MOST_TEMPLATE = 1600
"""Characters of a template: ten parts of an SMS. Some checks of texts take time that grows with its square."""


def problems(template: str, channel: str = "sms") -> list[str]:
    """Return the rules that a template breaks. The template of a call may contain the code twice."""
    if len(template) > MOST_TEMPLATE:
        return [f"must be at most {MOST_TEMPLATE} characters"]
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return [f"cannot be read: {error}"]
    names = [name for _, name, _, _ in parts if name is not None]
    found = []
    if any(spec or conversion for _, _, spec, conversion in parts):
        found.append("variables take no format: write {code}")
    known = VARIABLES.union(FIELDS) if channel == "payment" else VARIABLES
    if unknown := sorted(set(names) - known):
        found.append(f"unknown variable {', '.join(f'{{{n}}}' for n in unknown)}")
    if channel == "voice" and names.count("code") not in {1, 2}:
        found.append("must contain {code} once or twice")
    if channel != "voice" and names.count("code") != 1:
        found.append("must contain {code} once")
    if channel == "payment":
        found += [f"must contain {{{name}}}" for name in FIELDS if name not in names]
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """A message as its channel needs it.

    `language` is the person's tag (BCP 47), such as pt-BR, if the text is in it; else the text's. `template` is the key
    of the text among the templates, such as pt; empty for a text that the vendor stores.
    """

    text: str
    language: str
    template: str = ""


def write(
    channel: str,
    own: Mapping[str, Mapping[str, str]],
    locale: str,
    country: str,
    *,
    code: str,
    brand: str,
    minutes: int,
    app_hash: str = "",
    host: str = "",
    lines: bool = True,
    payment: Mapping[str, str] | None = None,
) -> Written:
    """Write the message of a channel.

    `own` are the policy's templates by channel and locale. An SMS ends with the lines for autofill, unless `lines` is
    False: some countries deliver registered texts only. With a `payment` (its amount and payee), every channel has the
    text of payments. RCS and MIP use
    the SMS templates if they have none of their own. For WhatsApp the text is the code alone, because the vendor stores
    the template.
    """
    if channel == "whatsapp":
        return Written(code, languages.of_person(locale, country))
    chosen = choose(_sources(channel, own, payment), locale, country)
    if channel == "voice":
        text = spoken(chosen.text, code, brand=brand, minutes=minutes, payment=payment)
        return replace(chosen, text=text)
    if channel != "sms" or not lines:
        app_hash, host = "", ""
    text = compose(
        chosen.text,
        code=code,
        brand=brand,
        minutes=minutes,
        app_hash=app_hash,
        host=host,
        payment=payment,
    )
    return replace(chosen, text=text)


def _sources(
    channel: str, own: Mapping[str, Mapping[str, str]], payment: Mapping[str, str] | None
) -> list[Mapping[str, str]]:
    """List where the text of a channel is looked for, first the policy's."""
    if payment:
        return [own.get("payment", {}), PAYMENTS]
    if channel == "voice":
        return [own.get("voice", {}), VOICE]
    return [own.get(channel, {}), own.get("sms", {}), TEMPLATES]


def sms_templates(own: Mapping[str, Mapping[str, str]], *, payment: bool) -> Mapping[str, str]:
    """Return the templates of all SMS by locale, those of the policy before the built-in ones."""
    if payment:
        return {**PAYMENTS, **own.get("payment", {})}
    return {**TEMPLATES, **own.get("sms", {})}


def choose(sources: Sequence[Mapping[str, str]], locale: str, country: str) -> Written:
    """Choose a template.

    The caller's locale comes before the number's country, and a tag before the same with fewer subtags. Among equal
    tags, an earlier source comes first.
    """
    tags = [tag for templates in sources for tag in templates]
    for person in (languages.of_person(locale, country), languages.FALLBACK):
        if (key := languages.lookup(person, tags)) is not None:
            text = next(templates[key] for templates in sources if key in templates)
            return Written(text, person, key)
    raise LookupError(languages.FALLBACK)


def spoken(
    template: str, code: str, *, brand: str, minutes: int, payment: Mapping[str, str] | None = None
) -> str:
    """Return the text of a call, with separate digits and the code twice, so that a person can write it down.

    A template with {code} once is repeated as a whole. A full stop after a digit makes an ordinal number in German and
    other languages, so it becomes a semicolon, or nothing at the end.
    """
    digits = ", ".join(code)
    text = template.format(code=digits, brand=brand, minutes=minutes, **(payment or {}))
    names = [name for _, name, _, _ in string.Formatter().parse(template)]
    twice = text if names.count("code") > 1 else f"{text} {text}"
    return _FULL_STOP.sub(";", twice).rstrip(";")


def compose(
    template: str,
    *,
    code: str,
    brand: str,
    minutes: int | str,
    app_hash: str = "",
    host: str = "",
    payment: Mapping[str, str] | None = None,
) -> str:
    """Return the text of an SMS: the template, then the app's hash for Android, then the origin-bound line.

    The last line follows the WICG draft "Origin-bound one-time codes delivered via SMS": `@host #code`.
    """
    lines = [template.format(code=code, brand=brand, minutes=minutes, **(payment or {}))]
    if app_hash:
        lines.append(app_hash)
    if host:
        lines += ["", f"@{host} #{code}"] if not app_hash else [f"@{host} #{code}"]
    return "\n".join(lines)
