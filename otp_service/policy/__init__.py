"""The operators' policy: one TOML document, checked as a whole, that routes a number to a plan.

Pure: text in, a frozen Policy out. Must not know where the text lies or what is secret; tokens are only named here.
"""

from otp_service.policy.document import parse
from otp_service.policy.model import (
    CHANNELS,
    EVENTS,
    TOLERANCE,
    App,
    ChallengeRules,
    Events,
    Learned,
    Limits,
    Match,
    Operator,
    Policy,
    Receipts,
    Route,
    StepRule,
    Upstream,
    Window,
)

__all__ = [
    "CHANNELS",
    "EVENTS",
    "TOLERANCE",
    "App",
    "ChallengeRules",
    "Events",
    "Learned",
    "Limits",
    "Match",
    "Operator",
    "Policy",
    "Receipts",
    "Route",
    "StepRule",
    "Upstream",
    "Window",
    "parse",
]
