"""Who calls: an app, from a page or from a server.

Must not know how a caller proves itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from otp_service.errors import Standing
from otp_service.policy import App
from otp_service.policy.active import ActivePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An app that calls: its page's origin, and the address of a browser (None for a server).

    `active` is the policy in which the app was found. `note_standing` receives how the budget stands that is nearest
    to its limit.
    """

    app: App
    active: ActivePolicy
    request_id: str
    origin: str | None = None
    address: str | None = None
    note_standing: Callable[[Standing | None], None] = lambda _: None
