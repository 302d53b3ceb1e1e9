"""How many calls one app may have under way."""

from contextlib import ExitStack, suppress

from otp_service.net.shares import Shares


def test_an_app_has_its_share_and_takes_no_other_apps() -> None:
    """Beyond it a call is refused at once, and a share that was given back can be taken again."""
    shares = Shares(2)
    with ExitStack() as held:
        assert [held.enter_context(shares.take("web")) for _ in range(3)] == [True, True, False]
        with shares.take("other") as taken:
            assert taken
    with shares.take("web") as first, shares.take("web") as second:
        assert (first, second) == (True, True)


def test_a_share_is_given_back_however_its_use_ends() -> None:
    """A call that fails frees its share; one that was refused frees none."""
    shares = Shares(1)
    with suppress(RuntimeError), shares.take("web"):
        raise RuntimeError
    with shares.take("web") as first:
        assert first
        for _ in range(2):
            with shares.take("web") as more:
                assert not more
