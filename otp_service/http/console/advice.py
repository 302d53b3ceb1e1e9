"""Advice: what the figures can tell of another order of steps, and what they cannot.

Knows how a comparison is shown. Must not know how it is made. Nothing changes by itself.
"""

from flask import Blueprint, g, render_template

from otp_service.http.console.frame import for_role
from otp_service.http.view import core

views = Blueprint("advice", __name__)


@views.get("/advice")
@for_role("read")
def show() -> str:
    """Show what is known of each route's order, and of each step by itself."""
    return render_template("console/advice.html", advice=core().figures.advise(g.active.policy))
