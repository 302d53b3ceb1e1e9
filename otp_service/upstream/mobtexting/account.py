"""The settings of one account at the upstream.

Knows which settings can work. Must not know how they are used or where they were read from.
"""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import requests

_TOKEN = re.compile(r"[!-~]+")  # opaque, but it must fit in a header: printable ASCII without spaces
_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """The settings of one account at the upstream. Their repr does not show the token.

    `base_url` is the endpoint with its version, such as https://portal.mobtexting.com/api/v2/ (a missing slash at its
    end is added). `auth` says where the token travels: in the Authorization header, which the upstream's
    documentation prefers, or as `access_token` in the query or the body.

    Times are in seconds. `connect_timeout` covers name lookup, all addresses and TLS together. `total_timeout` covers
    the whole call, up to the last byte of the answer. Only a name lookup that hangs can take longer, because the C
    library has no limit for it; nothing is sent after it. A connection that was idle for `idle_timeout` is not used
    again. `ca_bundle` is a file of certificates to trust instead of the default ones. The paths are the documented
    ones; white labels differ.

    Raises ValueError for a setting that cannot work.
    """

    name: str
    base_url: str
    token: str = field(repr=False)
    auth: Literal["header", "query", "body"] = "header"
    sms_path: str = "sms/send"
    sms_batch_path: str = "sms/send/json"
    sms_status_path: str = "sms/status"
    whatsapp_path: str = "whatsapp/message/send"
    whatsapp_status_path: str = "whatsapp/message/status"
    voice_tts_path: str = "outgoing/tts"
    voice_flow_path: str = "outgoing/send"
    voice_status_path: str = "outgoing/callstatus"
    rcs_path: str = "rcs/message/send"
    rcs_status_path: str = "rcs/message/status"
    mip_path: str = "mip/message/send"
    mip_status_path: str = "mip/message/status"
    lookup_path: str = "lookup/verify"
    balance_paths: tuple[str, ...] = ("account/balance", "finance/balance")
    connect_timeout: float = 2.0
    total_timeout: float = 5.0
    # Servers and NAT gateways drop idle connections after 60 s or more; gateways often do so silently.
    idle_timeout: float = 30.0
    pool_size: int = 64
    ca_bundle: str | None = None

    def __post_init__(self) -> None:
        _check_url(self.base_url)
        if not _TOKEN.fullmatch(self.token):
            raise ValueError("token must be printable ASCII without spaces")
        if self.auth not in {"header", "query", "body"}:
            raise ValueError("auth must be header, query or body")
        named = (getattr(self, setting.name) for setting in fields(self) if setting.name.endswith("_path"))
        for path in (*named, *self.balance_paths):
            if not _PATH.fullmatch(path):
                raise ValueError(f"{path!r} is not a path below base_url")
        if not self.balance_paths:
            raise ValueError("balance_paths must name at least one path")
        if not 0 < self.connect_timeout <= self.total_timeout:
            raise ValueError("connect_timeout must be above 0 and at most total_timeout")
        if self.idle_timeout < 0 or self.pool_size < 1:
            raise ValueError("idle_timeout must not be negative, pool_size must be at least 1")
        if self.ca_bundle is not None and not Path(self.ca_bundle).is_file():
            raise ValueError("ca_bundle is not a file")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/") + "/")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        requests.Request("GET", url).prepare()  # rejects impossible hosts and ports
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("base_url must be an https:// or http:// URL with a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # The URL is not shown, as it may hold the token.
        raise ValueError("base_url must have no user, password, query or fragment")
