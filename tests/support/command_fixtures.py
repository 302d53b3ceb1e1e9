"""Fixtures of the operators' commands: a product's settings, a process that runs with them, what runs a command."""

import logging
import secrets
from collections.abc import Iterator

import pytest

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration, PolicyFile
from otp_service.bootstrap.core import Core
from otp_service.cli import main as cli
from otp_service.telemetry import logs
from tests.conftest import UPSTREAM_TOKEN
from tests.support.http_api import GOOD, Run
from tests.support.patience import PATIENT_LIMITS
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def environment(
    valkey: ValkeyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Settings of a product; changes to them count from the next command on."""
    assert cli.run(["secrets"]) == 0
    made = dict(line.split("=", maxsplit=1) for line in capsys.readouterr().out.splitlines())
    made |= {
        "OTP_REDIS_URL": valkey.url,
        "OTP_REDIS_PREFIX": f"t{secrets.token_hex(6)}",
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN,
    }
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def product(environment: dict[str, str]) -> Iterator[Core]:
    """A running process with those settings."""
    read = configure(environment).settings
    made = Core(
        Configuration(read, PolicyFile.parse(GOOD)),
        threads=2,
        hash_slots=1,
        role="test",
        limits=PATIENT_LIMITS,
    )
    yield made
    made.close()


@pytest.fixture
def run(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command; gives exit code, output and errors."""
    root = logging.getLogger()
    before = root.handlers, root.level, logs.LOG.level

    def act(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    assert environment
    yield act
    root.handlers = before[0]
    root.setLevel(before[1])
    logs.LOG.setLevel(before[2])
    logging.captureWarnings(capture=False)
