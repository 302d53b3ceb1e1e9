"""Who calls: an app, from a page or from a server.

Knows what the acts need of a caller. Must not know how a caller is authenticated.
"""

from collections.abc import Callable
from dataclasses import dataclass

from otp_service.errors import Standing
from otp_service.policy import App
from otp_service.policy.active import ActivePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An app that calls, with the policy in which it was found.

    `origin` is the origin of the page that calls, and `address` that of its browser; both are None for a server.
    `record_standing` receives the standing of the budget that is closest to its limit.
    """

    app: App
    active: ActivePolicy
    request_id: str
    origin: str | None = None
    address: str | None = None
    record_standing: Callable[[Standing | None], None] = lambda _: None

    @property
    def is_page(self) -> bool:
        """Tell whether a page calls, with a publishable key."""
        return self.address is not None
