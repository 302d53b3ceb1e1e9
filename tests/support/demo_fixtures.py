"""Fixtures of running demos; a test module asks for them with `pytest_plugins`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo_process import Demo, StartDemo
from tests.support.documents import start_of_events


@pytest.fixture(scope="session")
def ending() -> Iterator[list[Demo]]:
    """Demos that were asked to end; they are waited for after all tests."""
    demos: list[Demo] = []
    yield demos
    for demo in demos:
        demo.close()


@pytest.fixture
def start_demo(tmp_path: Path, ending: list[Demo]) -> Iterator[StartDemo]:
    """Starts demos of a test's own, which end with it."""
    started: list[Demo] = []

    def start(*options: str, verbose: bool = True, **environment: str) -> Demo:
        started.append(Demo(tmp_path, *options, environment=environment, verbose=verbose))
        return started[-1]

    yield start
    for demo in started:
        demo.end()
        ending.append(demo)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, ending: list[Demo]) -> Iterator[Demo]:
    """One running demo for all tests, started as the document says, so that it sends events to this machine, too."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".venv").symlink_to(sys.prefix)
    running = Demo(folder, environment=start_of_events(folder))
    yield running
    running.end()
    ending.append(running)
