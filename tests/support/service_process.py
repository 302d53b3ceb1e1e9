"""The product's `serve` as a real process, with settings of its own."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from otp_service.cli.secrets import new_secret
from tests.support.http_api import UPSTREAM_TOKEN
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST
from tests.support.valkey_server import ValkeyServer


def settings(valkey: ValkeyServer, policy: Path, **own: str) -> dict[str, str]:
    """Return the settings of a deployment with secrets of its own."""
    return {
        "OTP_REDIS_URL": valkey.url,
        "OTP_REDIS_PREFIX": f"t{secrets.token_hex(6)}",
        "OTP_POLICY_FILE": str(policy),
        "OTP_ISSUER": "https://otp.example.com",
        "OTP_UPSTREAM_MAIN_TOKEN": UPSTREAM_TOKEN,
        "OTP_TRUSTED_PROXIES": "1",
        "OTP_PROCESSES": "2",
        "OTP_PEPPERS": f"p1:{new_secret()}",
        "OTP_NUMBER_KEYS": f"n1:{new_secret()}",
        "OTP_LOOKUP_KEYS": f"l1:{new_secret()}",
        "OTP_SUBJECT_KEY": new_secret(),
        "OTP_SIGNING_KEYS": f"s1:{new_secret()}",
        "OTP_DEVICE_KEYS": f"d1:{new_secret()}",
        **own,
    }


@contextmanager
def serving(values: Mapping[str, str], *ports: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve until the block ends; it begins when somebody listens on these ports."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}
    command = [sys.executable, "-m", "otp_service", "serve"]
    process = subprocess.Popen(command, env=clean | dict(values), stdout=subprocess.DEVNULL)
    try:
        until(lambda: all(map(listens, ports)), explain=lambda: f"serve has ended: {process.poll()}")
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def listens(port: int) -> bool:
    """Tell whether a connection to a port is taken."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
