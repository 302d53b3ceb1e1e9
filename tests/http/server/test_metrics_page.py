"""The page of a worker's metrics: on its address alone, whoever else comes."""

import socket
from collections.abc import Iterator

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter

from otp_service.errors import ConfigurationError
from otp_service.http.server.metrics_page import MetricsListener, show_metrics
from tests.support.patience import PATIENCE
from tests.support.ports import free_port


@pytest.fixture
def address() -> Iterator[str]:
    """Show a counter."""
    registry, metrics = CollectorRegistry(), MetricsListener()
    Counter("seen", "For the test", registry=registry).inc(3)
    named = f"127.0.0.1:{free_port()}"
    listener = metrics.listen(named)
    assert listener is not None
    show_metrics(listener, registry)
    yield named
    metrics.listen("")


def test_a_scraper_reads_the_page(address: str) -> None:
    """Of any path, as the Prometheus client shows it."""
    answer = requests.get(f"http://{address}/metrics", timeout=PATIENCE)
    assert (answer.status_code, "seen_total 3.0" in answer.text) == (200, True)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_what_is_no_request_is_refused_in_plain_text(address: str) -> None:
    """And closes its own connection alone."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"nonsense\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 request" in answer
    assert requests.get(f"http://{address}/metrics", timeout=PATIENCE).ok


def test_clients_that_say_nothing_hold_up_no_scraper(address: str) -> None:
    """Each costs a place, and no thread."""
    host, _, port = address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(20)]
    assert requests.get(f"http://{address}/metrics", timeout=PATIENCE).ok
    for client in silent:
        client.close()


def test_the_same_address_is_kept_and_another_one_takes_its_place() -> None:
    """As a reload demands; what cannot be had changes nothing."""
    metrics, one, other = (MetricsListener(), *(f"127.0.0.1:{free_port()}" for _ in range(2)))
    first = metrics.listen(one)
    assert first is not None
    assert metrics.listen(one) is first
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError) as caught:
            metrics.listen(busy)
    assert caught.value.problems == [
        f"OTP_WORKER_METRICS: cannot listen on {busy}: another program listens there"
    ]
    assert first.fileno() != -1
    second = metrics.listen(other)
    assert second is not None
    assert first.fileno() == -1
    assert metrics.listen("") is None
    assert second.fileno() == -1
