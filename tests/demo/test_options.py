"""What a person chooses about a demo, and the addresses that follow from it."""

from pathlib import Path

import pytest

from otp_service import policy, settings
from otp_service.demo.keys import DemoKeys
from otp_service.demo.options import DemoOptions
from otp_service.demo.processes import service_settings
from tests.conftest import POLICY
from tests.support.ports import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])  # noqa: S104 - not listened on
def test_the_example_page_works_under_both_names_of_this_machine(host: str) -> None:
    """http://localhost:PORT/demo and http://127.0.0.1:PORT/demo are two origins; a person may open either."""
    options = DemoOptions(host=host, port=8000, sandbox_port=8025, var=Path("var"), latency=0, error_rate=0)
    assert {"http://localhost:8000", "http://127.0.0.1:8000"} <= set(options.origins)
    origins = ", ".join(f'"{origin}"' for origin in options.origins)
    read = policy.parse(
        POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/").replace('"https://app.example.com"', origins, 1)
    )
    assert read.apps["web"].origins == tuple(options.origins)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])  # noqa: S104 - not listened on
def test_a_demo_on_any_host_has_settings_that_a_process_takes(host: str) -> None:
    """Its issuer is an address of this machine, even if it listens on all of them."""
    options = DemoOptions(host=host, port=8000, sandbox_port=8025, var=Path("var"), latency=0, error_rate=0)
    made = service_settings(options, DemoKeys.draw(), "redis://localhost", Path("policy.toml"))
    assert settings.read(made).issuer == options.local_api


def test_an_origin_is_named_once() -> None:
    """The demo may listen on a port of the usual frameworks, whose pages may call it."""
    options = DemoOptions(
        host="localhost", port=3000, sandbox_port=8025, var=Path("var"), latency=0, error_rate=0
    )
    assert options.origins.count("http://localhost:3000") == 1
    assert "http://127.0.0.1:5000" in options.origins


def test_other_pages_may_call_if_their_origin_is_named() -> None:
    """What is not an origin is told before anything starts."""
    named = ("https://shop.example.com", "http://localhost:8080", "https://shop.example.com/", 'x"', "null")
    options = DemoOptions(
        host="127.0.0.1",
        port=free_port(),
        sandbox_port=free_port(),
        var=Path("var"),
        latency=0,
        error_rate=0,
        more_origins=named,
    )
    assert set(named[:2]) <= set(options.origins)
    assert [problem.split()[1] for problem in options.problems()] == list(named[2:])
