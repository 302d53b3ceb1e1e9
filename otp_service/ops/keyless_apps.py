"""Apps that nobody can call as, because neither the policy nor the key ring has a key of theirs.

Knows policies and issued keys. Must not know where a warning is shown.
"""

from collections.abc import Iterable, Iterator

from otp_service.access.keyring import Key
from otp_service.policy import Policy


def keyless_apps(loaded: Policy, issued: Iterable[Key], now: int) -> Iterator[str]:
    """Warn of each app without a key that is valid at `now` (milliseconds of the store's clock)."""
    owners = {key.owner for key in issued if key.kind != "ops" and key.is_live(now)}
    for name, app in loaded.apps.items():
        if not app.publishable_keys and not app.secret_keys and name not in owners:
            yield f"app.{name} has no key yet, so nobody can call as this app: otp-service keys create"
