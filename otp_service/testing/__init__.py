"""Fixtures of pytest for tests of apps that use this service: the whole product, with a sandbox upstream.

Knows how such a service is started and what its sandbox has received. Must not know how it works.
Start with `running.py`. In a `conftest.py`: `pytest_plugins = ["otp_service.testing"]`.
"""

from collections.abc import Iterator

import pytest

from otp_service.testing.running import Message, RunningService

__all__ = ["Message", "RunningService", "otp", "otp_server"]

_ORIGINS = "otp_origins"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for pages: `otp_origins`, one a line."""
    parser.addini(_ORIGINS, "Origins whose pages may use the publishable key, one a line.", "linelist", [])


@pytest.fixture(scope="session")
def otp_server(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[RunningService]:
    """Run the service and its sandbox for all tests of a session."""
    origins: list[str] = pytestconfig.getini(_ORIGINS)
    with RunningService(tmp_path_factory.mktemp("otp"), origins) as running:
        yield running


@pytest.fixture
def otp(otp_server: RunningService) -> RunningService:
    """Give the running service with an empty inbox and no forced outcome."""
    otp_server.reset()
    return otp_server
