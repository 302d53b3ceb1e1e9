"""Fixtures of the form's tests; a test module asks for them with `pytest_plugins`."""

from collections.abc import Iterator

import pytest

from tests.support.form_site import FormSite, form_site
from tests.support.patience import until
from tests.support.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def site_of_module(valkey: ValkeyServer) -> Iterator[FormSite]:
    """Start one site for all tests of a module."""
    with form_site(valkey) as made:
        yield made


@pytest.fixture
def site(site_of_module: FormSite) -> Iterator[FormSite]:
    """The site with empty phones, and a clock that a test may move.

    What a test has sent arrives before it ends: later, or by a clock that was set back, it would be the next test's.
    """
    parts = site_of_module.sandbox.extensions["sandbox"]
    parts.mailbox.clear()
    parts.outcomes.release()
    site_of_module.asked.clear()
    site_of_module.posted.clear()
    yield site_of_module
    until(site_of_module.is_at_rest)
    site_of_module.core.scripts.offset = 0
