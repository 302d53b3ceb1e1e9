"""The page that a request comes from, by what only its browser can have said.

Pure. Knows the headers `Origin` and `Sec-Fetch-Site`. Must not know which origins an app has.
"""

import re

from otp_service.errors import OtpError

_OF_ANOTHER_ORIGIN = frozenset({"cross-site", "same-site"})


class SecretKeyInPage(OtpError):
    """A browser's page used a secret key, which everyone who opens the page can read."""

    code = "secret_key_in_page"
    detail = (
        "A web page sent this secret key, so whoever opens the page can read it. Use the app's publishable key "
        "(pk_...) in pages, replace this secret key now, and revoke it: otp-service keys, or its hash in the policy."
    )
    broken = ("Authorization", "must contain a publishable key if a page of another origin calls")


def is_from_another_page(origin: str | None, site: str | None) -> bool:
    """Tell whether a browser says that a page of another origin than this service's sent the request.

    No script can set `Sec-Fetch-Site` (W3C Fetch Metadata), and no HTTP library of a server sends it together with an
    `Origin`: Node's `fetch` says `Sec-Fetch-Mode` alone, test environments such as jsdom say `Origin` alone, and React
    Native says neither. `same-origin` does not count: it is what an API explorer on the service's own origin says, and
    a page whose own server adds the key on the way.
    """
    return origin is not None and site in _OF_ANOTHER_ORIGIN


def shown(origin: str) -> str:
    """Return an origin for the log, or a placeholder if a client put something else there."""
    return origin if re.fullmatch(r"null|[a-z][a-z0-9+.-]{0,20}://[!-~]{1,200}", origin) else "(other)"
