"""How moments, and what rules counted, are written on pages.

Pure, but for the one function that makes templates know the others. Must not know what they are about.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint

from otp_service.alerts.words import channel_name, duration, share
from otp_service.ops.finding_words import with_counter


def install(site: Blueprint) -> None:
    """Let templates use these words."""
    for filter_ in (moment, clock, machine_time, duration, share, channel_name, counted):
        site.add_app_template_filter(filter_)


def moment(milliseconds: float) -> str:
    """Write a moment as people read it, in UTC."""
    return _moment(milliseconds).strftime("%d %b %Y %H:%M:%S").lstrip("0")


def clock(milliseconds: float) -> str:
    """Write the time of the day, in UTC."""
    return _moment(milliseconds).strftime("%H:%M:%S")


def machine_time(milliseconds: float) -> str:
    """Write a moment as programs read it."""
    return _moment(milliseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(block: Mapping[str, Any]) -> str:
    """Say what the rule of a block counted, and its threshold."""
    within = duration(block["seconds"]) if block["seconds"] else ""
    return with_counter(block["value"], block["limit"], within)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
