"""Apps that nobody can call as, on a real store."""

from otp_service.access.api_keys import digest
from otp_service.bootstrap.core import Core
from tests.conftest import POLICY

GOOD = POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/")
SAID = "app.b has no key yet, so nobody can call as this app: otp-service keys create"


def warned(core: Core, table: str) -> list[str]:
    """Give the warnings about a policy with one more app."""
    return core.warnings_here(core.configuration.parse(f'{GOOD}\n[app.b]\nbrand = "B"\n{table}'))


def test_an_app_without_any_key_causes_a_warning(core: Core) -> None:
    """A list that is empty is no key."""
    assert warned(core, "") == [SAID]
    assert warned(core, "secret_keys = []") == [SAID]
    assert warned(core, f'publishable_keys = ["{digest("pk_b")}"]') == []


def test_an_issued_key_is_a_key_while_it_is_valid(core: Core) -> None:
    """An operator's key of the same name, or a key that was revoked, calls as no app."""
    core.keyring.issue("ops", "b", by="anna", role="read")
    assert warned(core, "") == [SAID]
    _, key = core.keyring.issue("secret", "b", by="anna")
    assert warned(core, "") == []
    core.keyring.revoke(key.id, by="anna", reason="r")
    assert warned(core, "") == [SAID]
