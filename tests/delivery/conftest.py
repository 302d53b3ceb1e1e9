"""Fixtures of the tests of workers."""

from collections.abc import Iterator

import pytest

from tests.support.spine import Spine, open_spine
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def spine(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give a service of one partition, whose messages land in an inbox."""
    with open_spine(valkey, connections=64, partitions=1) as made:
        yield made


@pytest.fixture
def shared(valkey: ValkeyServer) -> Iterator[Spine]:
    """Give a service of eight partitions for several workers."""
    with open_spine(valkey, connections=64, partitions=8) as made:
        yield made
