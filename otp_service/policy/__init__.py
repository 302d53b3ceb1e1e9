"""The operators' policy: one TOML document, checked as a whole, that routes a number to a plan.

Knows the document's form and meaning: text in, a frozen Policy out; tokens are only named in it. Must not know who
changes a policy, or any secret.
Start with `document.py`, then `model.py`; `versions.py` stores what was applied.
"""

from otp_service.policy.document import parse
from otp_service.policy.limits import LEVELS, RULES, Budget, Guard, Level, Window
from otp_service.policy.model import (
    EVENTS,
    ROLES,
    TOLERANCE,
    App,
    ChallengeRules,
    Endpoint,
    Events,
    Learned,
    Match,
    Operator,
    Policy,
    ReceiptSettings,
    Route,
    StepRule,
    Upstream,
)
from otp_service.policy.split import Split
from otp_service.upstream.channels import CHANNELS

__all__ = [
    "CHANNELS",
    "EVENTS",
    "LEVELS",
    "ROLES",
    "RULES",
    "TOLERANCE",
    "App",
    "Budget",
    "ChallengeRules",
    "Endpoint",
    "Events",
    "Guard",
    "Learned",
    "Level",
    "Match",
    "Operator",
    "Policy",
    "ReceiptSettings",
    "Route",
    "Split",
    "StepRule",
    "Upstream",
    "Window",
    "parse",
]
