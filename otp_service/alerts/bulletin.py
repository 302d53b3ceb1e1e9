"""What the operators' endpoint was told: which alerts begin, last and end between two looks.

Pure. A state that passes at once is not told, and one that comes and goes is told once. Must not know how it travels.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from otp_service.alerts.alert import Alert

SETTLE = 4_000
"""Milliseconds for which a state must have lasted when it is told."""
QUIET = 60_000
"""Milliseconds after which a state that was not seen again is over."""
MOST = 100
"""Alerts that are followed at once. Of more, those that came first are."""
CONSOLE = "/ops/console/"


class AlertType(StrEnum):
    """The types of events that the operators' endpoint receives."""

    FIRING = "alert.firing"
    RESOLVED = "alert.resolved"


@dataclass(frozen=True, slots=True)
class Followed:
    """An alert, when it was first and last seen (`since` and `seen`, in milliseconds), and whether it was told."""

    alert: Alert
    since: int
    seen: int
    told: bool = False


Bulletin = Mapping[str, Followed]
"""What is followed, by the alerts' keys."""


@dataclass(frozen=True, slots=True)
class News:
    """One event for the endpoint."""

    type: AlertType
    data: dict[str, Any]


def follow(before: Bulletin, seen: Iterable[Alert], now: int) -> tuple[Bulletin, list[News]]:
    """Return what is followed after a look at `now`, and what is news."""
    looks = {alert.key: alert for alert in seen}
    lasting = {
        key: replace(one, alert=looks[key], seen=now) if key in looks else one
        for key, one in before.items()
        if key in looks or (one.told and now - one.seen < QUIET)
    }
    for key, alert in looks.items():
        if key not in lasting and len(lasting) < MOST:
            lasting[key] = Followed(alert, now, now)
    after = {
        key: replace(one, told=one.told or (key in looks and now - one.since >= SETTLE))
        for key, one in lasting.items()
    }
    return after, list(_news(before, after))


def _news(before: Bulletin, after: Bulletin) -> Iterator[News]:
    for key, one in after.items():
        if one.told and not (key in before and before[key].told):
            yield News(AlertType.FIRING, _data(one))
    for key, one in before.items():
        if one.told and key not in after:
            yield News(AlertType.RESOLVED, _data(one))


def _data(one: Followed) -> dict[str, Any]:
    alert = one.alert
    return {
        "alert": alert.kind,
        "subject": alert.subject,
        "severity": alert.severity,
        "text": alert.text,
        "since": one.since,
        "page": CONSOLE + alert.page,
    }


def write(bulletin: Bulletin) -> str:
    """Write what is followed as text."""
    return json.dumps([asdict(one) for one in bulletin.values()])


def read(text: str | None) -> Bulletin:
    """Read what `write` wrote; nothing if there is nothing."""
    followed = [Followed(**{**one, "alert": Alert(**one["alert"])}) for one in json.loads(text or "[]")]
    return {one.alert.key: one for one in followed}
