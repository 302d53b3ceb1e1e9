"""The words of a message: templates by locale, their variables, the lines for autofill, its size in parts.

Pure text. Must not know who sends it. Sizes follow 3GPP TS 23.038: 160 septets, or 153 each when split; 70 or
67 UTF-16 units as soon as one sign is outside the GSM alphabet.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VARIABLES = frozenset({"code", "brand", "minutes"})
FALLBACK = "en"

# Each fits one part with a short brand and the line for autofill. Spanish and Portuguese use no sign that the
# GSM alphabet lacks (á, í, ó, ú, ã, õ, ç), as one of them more than halves what fits.
TEMPLATES: Mapping[str, str] = {
    "ar": "رمز {brand}: {code}. صالح {minutes} دقائق.",
    "de": "{code} ist Ihr Code für {brand}. Er gilt {minutes} Minuten. Geben Sie ihn niemandem.",
    "en": "{code} is your {brand} code. It is valid for {minutes} minutes. Never share it.",
    "es": "{code} es su clave de {brand}. Vale {minutes} minutos. No la comparta.",
    "fr": "{code} est votre code {brand}. Il est valable {minutes} minutes. Ne le donnez à personne.",
    "hi": "{brand} कोड {code}, {minutes} मिनट मान्य।",
    "it": "{code} è il suo codice {brand}. Vale {minutes} minuti. Non lo dia a nessuno.",
    "nl": "{code} is uw code voor {brand}, {minutes} minuten geldig. Deel hem met niemand.",
    "pt": "{code} é o seu PIN de {brand}. Vale por {minutes} minutos. Nunca o partilhe.",
}
"""What is said where the policy has no words of its own, by language."""

_LANGUAGES: Mapping[str, str] = {
    **dict.fromkeys(("DE", "AT", "LI"), "de"),
    **dict.fromkeys(("ES", "MX", "AR", "CO", "CL", "PE", "EC", "UY"), "es"),
    **dict.fromkeys(("FR", "MC"), "fr"),
    **dict.fromkeys(("IT", "SM"), "it"),
    **dict.fromkeys(("NL", "SR"), "nl"),
    **dict.fromkeys(("PT", "BR", "AO", "MZ"), "pt"),
    **dict.fromkeys(("AE", "SA", "EG", "QA", "KW", "OM", "BH", "JO"), "ar"),
}
"""The language to guess from a number's country where the caller names none; the fallback elsewhere."""

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
_GSM_ONE, _GSM_MANY = 160, 153
_UCS_ONE, _UCS_MANY = 70, 67


@dataclass(frozen=True, slots=True)
class Size:
    """How an SMS counts: `units` are septets or UTF-16 units, `parts` is what is charged."""

    unicode: bool
    units: int
    parts: int


def size(text: str) -> Size:
    """Count an SMS."""
    if all(sign in GSM_BASIC or sign in GSM_EXTENDED for sign in text):
        septets = [2 if sign in GSM_EXTENDED else 1 for sign in text]
        return Size(unicode=False, units=sum(septets), parts=_parts(septets, _GSM_ONE, _GSM_MANY))
    units = [len(sign.encode("utf-16-le")) // 2 for sign in text]
    return Size(unicode=True, units=sum(units), parts=_parts(units, _UCS_ONE, _UCS_MANY))


def _parts(widths: Sequence[int], whole: int, split: int) -> int:
    """Count the parts of a text whose signs are so wide; no sign of two units is torn apart."""
    if sum(widths) <= whole:
        return 1
    parts, left = 1, split
    for width in widths:
        if width > left:
            parts, left = parts + 1, split
        left -= width
    return parts


def problems(template: str) -> list[str]:
    """Say which rules a template breaks; an empty list is a good one."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return [f"cannot be read: {error}"]
    names = [name for _, name, _, _ in parts if name is not None]
    found = []
    if any(spec or conversion for _, _, spec, conversion in parts):
        found.append("variables take no format, write {code}")
    if unknown := sorted(set(names) - VARIABLES):
        found.append(f"knows no variable {', '.join(f'{{{n}}}' for n in unknown)}")
    if names.count("code") != 1:
        found.append("must contain {code} once")
    return found


def choose(own: Mapping[str, str], locale: str, country: str) -> str:
    """Choose the template: the policy's own before the built-in, the caller's locale before the country's."""
    wanted = [locale, locale.partition("-")[0]] if locale else [_LANGUAGES.get(country, FALLBACK)]
    for language in [*wanted, FALLBACK]:
        for templates in (own, TEMPLATES):
            if language in templates:
                return templates[language]
    raise LookupError(FALLBACK)


def compose(template: str, *, code: str, brand: str, minutes: int, app_hash: str = "", host: str = "") -> str:
    """Write an SMS: the words, then the app's hash for Android, then the origin-bound line.

    The last line follows the WICG draft "Origin-bound one-time codes delivered via SMS": `@host #code`.
    """
    lines = [template.format(code=code, brand=brand, minutes=minutes)]
    if app_hash:
        lines.append(app_hash)
    if host:
        lines += ["", f"@{host} #{code}"] if not app_hash else [f"@{host} #{code}"]
    return "\n".join(lines)
