"""The guard's stores on a real server, for each test of its own."""

from collections.abc import Iterator

import pytest

from tests.support.counters import Counters, open_counters
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def counters(valkey: ValkeyServer) -> Iterator[Counters]:
    """Give each test its own counters."""
    with open_counters(valkey) as made:
        yield made
