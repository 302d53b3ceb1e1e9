"""Upstreams: each account's balance and breakers, how quickly its codes are typed, and why it refused messages.

Knows how figures are shown. Must not know an upstream's words.
"""

from flask import Blueprint, g, render_template

from otp_service.http.console.frame import for_role
from otp_service.http.view import core

views = Blueprint("upstreams", __name__)
_OF_MESSAGES = ("sent", "not_sent", "delivered", "failed", "verified")
"""The counts of a row without which it tells nothing of messages: a step that was given up is none."""


@views.get("/upstreams")
@for_role("read")
def show() -> str:
    """Ask each account for its balance, and show what its breakers let pass and what the last week's figures say."""
    breakers = core().breakers.states(g.active.channels_of_accounts())
    accounts = [
        account
        | {
            "breakers": breakers[account["name"]],
            "low": g.active.policy.upstreams[account["name"]].low_balance,
        }
        for account in core().asked_balances.read(g.active)
    ]
    figures = core().figures.read(from_="7d", by="account,channel,country")["rows"]
    messages = [row for row in figures if row["account"] and any(row[what] for what in _OF_MESSAGES)]
    return render_template("console/upstreams.html", accounts=accounts, figures=messages)
