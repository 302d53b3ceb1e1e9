"""How many cores a rate needs: pure arithmetic over a hash's time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.ops.sizing import API, LOAD, SLOT, STORE, WORKER, sizes, slot_share, strongest, whole

HASHES = {"owasp": 0.020, "owasp-low-memory": 0.015, "fast": 0.0004}


def test_each_message_is_hashed_once_by_a_worker_and_once_by_the_api() -> None:
    """And costs each of them something besides; every core is planned to be busy for a part of the time."""
    owasp, *_ = sizes(6000, HASHES)
    assert owasp.api == pytest.approx(100 * (0.020 + API) / LOAD)
    assert owasp.worker == pytest.approx(100 * (0.020 + WORKER) / LOAD)
    assert owasp.store == pytest.approx(100 * STORE / LOAD)
    assert owasp.processes == owasp.api + owasp.worker


def test_the_strongest_profile_that_fits_is_named() -> None:
    """The order is that of the profiles; if none fits, none is named."""
    named = {
        cores: found.profile if (found := strongest(sizes(6000, HASHES), cores)) else None
        for cores in (7, 6, 2, 0)
    }
    assert named == {7: "owasp", 6: "owasp-low-memory", 2: "fast", 0: None}


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000), st.floats(1e-5, 1))
def test_more_messages_never_need_fewer_cores(one: int, more: int, hashed: float) -> None:
    """Of any part, and of the guard's node."""
    (low,), (high,) = sizes(one, {"p": hashed}), sizes(one + more, {"p": hashed})
    assert low.api <= high.api
    assert low.worker <= high.worker
    assert low.store <= high.store
    assert slot_share(one) <= slot_share(one + more)


def test_the_guards_node_is_full_at_the_rate_that_was_measured() -> None:
    """A minute has sixty seconds."""
    assert slot_share(SLOT * 60) == 1


def test_cores_are_provided_whole() -> None:
    """At least one, as even an idle process needs some."""
    assert [whole(cores) for cores in (0.01, 1.0, 1.01)] == [1, 1, 2]
