"""Changes of the policy: what is checked before one, and which are for admins only."""

import pytest

from otp_service.access.api_keys import digest
from otp_service.bootstrap.core import Core
from otp_service.errors import NotFound, PolicyConflict, PolicyInvalid, RoleNotAllowed
from otp_service.events.signing_secrets import draw_secret
from otp_service.ops.policy_changes import PolicyChanges, version_of
from tests.conftest import POLICY, SECRET, make_core
from tests.support.valkey_server import ValkeyServer

GOOD = POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/")
SLOWER = GOOD.replace('wait = "5s"', 'wait = "25s"')
LONG = GOOD.replace('brand = "Acme"', 'brand = "The Acme Trading Company of 1899"')
"""Valid, and a message of two parts: a warning."""
OTHER_KEY = GOOD.replace(digest(SECRET), digest("sk_of-an-intruder"))


@pytest.fixture
def changes(core: Core) -> PolicyChanges:
    """Changes of a policy whose first version is in force."""
    core.active.refresh()
    return core.policy_changes


def test_a_policy_is_applied_with_its_author_and_reason(core: Core, changes: PolicyChanges) -> None:
    """The answer has the version and its warnings."""
    applied = changes.apply(SLOWER, by="anna", reason="calmer")
    assert (applied.version.number, applied.version.author, applied.version.reason) == (2, "anna", "calmer")
    assert applied.warnings == core.activation.check(SLOWER).warnings
    assert version_of(core.policies) == applied.version


def test_a_policy_that_no_process_could_run_is_not_applied(core: Core, changes: PolicyChanges) -> None:
    """Whether its text is wrong, or it names a token that is not there."""
    for text in ("x = 1", GOOD.replace("OTP_UPSTREAM_MAIN_TOKEN", "OTP_UPSTREAM_LOST_TOKEN")):
        with pytest.raises(PolicyInvalid):
            changes.apply(text, by="anna", reason="r")
    assert core.policies.head() == 1


def test_a_version_that_is_not_expected_is_not_overwritten(core: Core, changes: PolicyChanges) -> None:
    """As two operators could change the policy at once. The conflict has the warnings about the text."""
    warnings = core.activation.check(LONG).warnings
    assert warnings
    for same_access_as in (None, core.policy):
        with pytest.raises(PolicyConflict) as caught:
            changes.apply(LONG, by="anna", reason="r", expected=7, same_access_as=same_access_as)
        assert (caught.value.version, caught.value.warnings) == (1, warnings)
    assert core.policies.head() == 1


def test_the_policy_in_force_is_not_applied_again(core: Core, changes: PolicyChanges) -> None:
    """Whether it is applied or rolled back to; the answer says that nothing changed."""
    applied = changes.apply(SLOWER, by="anna", reason="calmer")
    for again in (changes.apply(SLOWER, by="ben", reason="r"), changes.rollback(2, by="ben", reason="r")):
        assert (again.version, again.changed, applied.changed) == (applied.version, False, True)
    assert core.policies.head() == 2


def test_a_rollback_is_a_new_version_that_names_the_old_one(changes: PolicyChanges) -> None:
    """Without a number it is the one before the newest."""
    changes.apply(SLOWER, by="anna", reason="calmer")
    applied = changes.rollback(None, by="ben", reason="too calm")
    assert (applied.version.number, applied.version.text) == (3, GOOD)
    assert applied.version.reason == "rollback to 1: too calm"
    with pytest.raises(NotFound):
        changes.rollback(9, by="ben", reason="r")


def test_access_must_stay_the_same_unless_it_may_change(core: Core, changes: PolicyChanges) -> None:
    """An operator without the role of an admin changes waits, and not who may call; a rollback is no way around it."""
    changes.apply(OTHER_KEY, by="admin", reason="rotation")
    changes.apply(GOOD, by="admin", reason="back")
    kept = core.policy
    assert changes.apply(SLOWER, by="ben", reason="r", same_access_as=kept).version.number == 4
    with pytest.raises(RoleNotAllowed):
        changes.apply(OTHER_KEY, by="ben", reason="r", same_access_as=kept)
    with pytest.raises(RoleNotAllowed):
        changes.rollback(2, by="ben", reason="r", same_access_as=kept)
    assert core.policies.head() == 4


def test_where_numbers_go_is_access(valkey: ValkeyServer) -> None:
    """Who may change waits only cannot send people's numbers to an endpoint of their own, nor let all sends pass."""

    def hooked(host: str, then: str) -> str:
        hook = f'url = "https://{host}/"\nsecret_env = "OTP_EVENTS_WEB"\non_failure = "{then}"\n'
        return GOOD.replace("[app.other]", f"[app.web.decision]\n{hook}[app.other]")

    kept = hooked("app.example.com", "refuse")
    core = make_core(valkey.url, "unused", text=kept, event_secrets={"OTP_EVENTS_WEB": draw_secret()})
    core.active.refresh()
    for text in (hooked("evil.example.com", "refuse"), hooked("app.example.com", "allow"), GOOD):
        with pytest.raises(RoleNotAllowed):
            core.policy_changes.apply(text, by="ben", reason="r", same_access_as=core.policy)
    slower = kept.replace('wait = "5s"', 'wait = "25s"')
    assert core.policy_changes.apply(slower, by="ben", reason="r", same_access_as=core.policy).changed
    core.close()


def test_where_alerts_go_is_access(valkey: ValkeyServer) -> None:
    """They tell of the whole service, and silence would hide what was done."""
    core = make_core(valkey.url, "unused", text=GOOD, event_secrets={"OTP_EVENTS_WEB": draw_secret()})
    core.active.refresh()
    told = f'{GOOD}[alerts]\nurl = "https://evil.example.com"\nsecret_env = "OTP_EVENTS_WEB"\n'
    with pytest.raises(RoleNotAllowed):
        core.policy_changes.apply(told, by="ben", reason="r", same_access_as=core.policy)
    with pytest.raises(PolicyInvalid) as error:
        core.policy_changes.apply(told.replace("_WEB", "_NONE"), by="anna", reason="r")
    assert "OTP_EVENTS_NONE is required: the secret that signs alerts" in f"{error.value.rules()}"
    core.close()


def test_access_is_compared_with_the_version_that_is_replaced(core: Core, changes: PolicyChanges) -> None:
    """Not with one that this process has not followed yet."""
    stale = core.policy
    changes.apply(OTHER_KEY, by="admin", reason="rotation")
    with pytest.raises(RoleNotAllowed):
        changes.apply(SLOWER, by="ben", reason="r", same_access_as=stale)
    with pytest.raises(PolicyConflict):
        changes.apply(OTHER_KEY, by="ben", reason="r", expected=1, same_access_as=stale)


def test_in_an_empty_store_access_is_compared_with_the_policy_file(core: Core) -> None:
    """The policy that processes use while the store holds none."""
    with pytest.raises(RoleNotAllowed):
        core.policy_changes.apply(OTHER_KEY, by="ben", reason="r", same_access_as=core.policy)
    with pytest.raises(NotFound):
        version_of(core.policies)
    applied = core.policy_changes.apply(SLOWER, by="ben", reason="r", same_access_as=core.policy)
    assert applied.version.number == 1
