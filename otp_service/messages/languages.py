"""Languages: which tag of several fits a person best.

Knows language tags (BCP 47) and how they are looked up (RFC 4647, section 3.4). Must not know texts.
"""

from collections.abc import Iterable, Iterator, Mapping

FALLBACK = "en"

_OF_COUNTRY: Mapping[str, str] = {
    **dict.fromkeys(("DE", "AT", "LI"), "de"),
    **dict.fromkeys(("ES", "MX", "AR", "CO", "CL", "PE", "EC", "UY"), "es"),
    **dict.fromkeys(("FR", "MC"), "fr"),
    **dict.fromkeys(("IT", "SM"), "it"),
    **dict.fromkeys(("NL", "SR"), "nl"),
    **dict.fromkeys(("PT", "BR", "AO", "MZ"), "pt"),
    **dict.fromkeys(("AE", "SA", "EG", "QA", "KW", "OM", "BH", "JO"), "ar"),
}
"""The language to guess from a number's country if the caller names none."""


def of_person(locale: str, country: str) -> str:
    """Return the caller's locale, or else the language to guess from the number's country, with the country."""
    guessed = _OF_COUNTRY.get(country, FALLBACK)
    return locale.replace("_", "-") or (f"{guessed}-{country}" if country else guessed)


def lookup(wanted: str, tags: Iterable[str]) -> str | None:
    """Return the tag that fits best: the wanted one, or the same with fewer subtags. Case does not matter."""
    known = {tag.replace("_", "-").lower(): tag for tag in tags}
    return next((known[shorter] for shorter in _shortened(wanted.lower()) if shorter in known), None)


def _shortened(tag: str) -> Iterator[str]:
    """Yield a tag with fewer and fewer subtags. A single character introduces the next subtag, so it goes with it."""
    subtags = tag.split("-")
    while subtags:
        yield "-".join(subtags)
        subtags.pop()
        while subtags and len(subtags[-1]) == 1:
            subtags.pop()
