"""Links in texts and brands: a message with a code must lead nowhere but to the app that asked for it.

Pure. Knows what phones make a link of. Must not know how messages are written.
"""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from otp_service.policy.draft import Draft, Findings
from otp_service.policy.model import App
from otp_service.policy.places import join
from otp_service.typed import visible

_LABEL = r"[^\W_](?:[\w{}-]*[\w}])?|\{\w+\}"
_LINK = re.compile(
    rf"[a-z][a-z0-9+-]*://(?P<url>[^\s/?#]*)|@(?P<bound>[^\s#/]+)|(?P<bare>(?:(?:{_LABEL})[.])+[^\W\d_][\w-]+|\b(?:[0-9]{{1,3}}[.]){{3}}[0-9]{{1,3}}\b)",
    re.IGNORECASE,
)


def links(text: str) -> Iterator[str]:
    """Yield the hosts that a phone could make a link of, as they are written, in small letters."""
    plain = visible(unicodedata.normalize("NFKC", text)).replace("\u3002", ".")
    # In many scripts a vowel is a mark on the letter before it: a part of a name, but no letter to a regular expression
    letters = "".join("x" if unicodedata.category(char)[0] == "M" else char for char in plain)
    for found in _LINK.finditer(letters):
        group = next((name for name in ("url", "bound", "bare") if found[name]), 0)
        host = plain[slice(*found.span(group))]
        yield host.rpartition("@")[2].partition(":")[0].rstrip(".,;!?)").lower()


def report_links(draft: Draft, findings: Findings) -> None:
    """Find texts that lead to another host than every app's own, and brands that lead to another than their app's.

    An admin allows more hosts with `template.hosts`.
    """
    owned = [set(_hosts(app)) for app in draft.apps.values()]
    shared = set.intersection(*owned) if owned else set()
    for channel, texts in draft.templates.items():
        for locale, text in texts.items():
            _report(text, join(f"template.{channel}", locale), shared, draft, findings)
    for name, app in draft.apps.items():
        _report(app.brand, f"{join('app', name)}.brand", set(_hosts(app)), draft, findings)


def _report(text: str, place: str, own: set[str], draft: Draft, findings: Findings) -> None:
    for host in links(text):
        name = _ascii(host)
        if name not in draft.hosts and not any(known == name or known.endswith(f".{name}") for known in own):
            allowed = "" if name == host else f" as {name}"
            findings.add(
                place, f"leads to {host}, which is no app's own host; template.hosts can allow it{allowed}"
            )


def _ascii(host: str) -> str:
    """Write a host as origins and `template.hosts` do, or leave it as it is if not all phones do so.

    RFC 5891 does not write the German sharp s, for one, as RFC 3490 does: it is lost on the way back.
    """
    with suppress(UnicodeError):
        name = host.encode("idna")
        return name.decode() if name.decode("idna") == host else host
    return host


def _hosts(app: App) -> Iterator[str]:
    """Yield the hosts of an app's origins."""
    return (host for origin in app.origins if (host := urlsplit(origin).hostname))
