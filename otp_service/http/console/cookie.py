"""The cookie that holds a session's id.

Knows its name and attributes. Must not know what a session is.

About the path: `__Host-` demands `Path=/`, so browsers send this cookie to all paths of the host; only the console
reads it, and the API takes no cookie at all. The other choice, `__Secure-` with the console's path, would let a sibling
host plant a cookie of its own, which a path does not prevent. Over plain HTTP a browser keeps no such cookie, so on
loopback it has another name, and there the path can be the console's.
"""

import ipaddress

from flask import Response, request

NAME, LOOPBACK_NAME = "__Host-otp-console", "otp-console"
LOOPBACK_PATH = "/ops/console/"


def read() -> str:
    """Return the session's id of this request; empty if it has none."""
    return request.cookies.get(LOOPBACK_NAME if is_on_loopback() else NAME, "")


def write(response: Response, id_: str) -> None:
    """Give the browser a session's id, until it is closed."""
    _set(response, id_)


def remove(response: Response) -> None:
    """Take the session's id back."""
    _set(response, "", max_age=0)


def is_on_loopback() -> bool:
    """Tell whether the browser calls the service by a name of its own machine."""
    host = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _set(response: Response, value: str, max_age: int | None = None) -> None:
    loopback = is_on_loopback()
    response.set_cookie(
        LOOPBACK_NAME if loopback else NAME,
        value,
        max_age=max_age,
        path=LOOPBACK_PATH if loopback else "/",
        secure=not loopback,
        httponly=True,
        samesite="Strict",
    )
