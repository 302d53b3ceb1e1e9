"""nginx with the configuration that operators get: only its ports, files and services are the test's."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.documents import PROJECT
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST
from tests.support.service_process import listens

CONFIGURATION = PROJECT / "deploy" / "nginx" / "nginx.conf"
PROGRAM = "/usr/sbin/nginx"


def configuration(folder: Path, port: int, services: Sequence[int], certificate: Path) -> str:
    """Return the shipped configuration with addresses of this machine."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for shipped, ours in {
        "listen 443 ssl;": f"listen {HOST}:{port} ssl;",
        "server 10.0.0.11:8000 ": f"server {HOST}:{services[0]} ",
        "server 10.0.0.12:8000 ": f"server {HOST}:{services[-1]} ",
        "/etc/nginx/tls/certificate.pem": str(certificate),
        "/etc/nginx/tls/key.pem": str(certificate),
        "/var/log/nginx/error.log": str(folder / "error.log"),
        "/var/log/nginx/access.log": str(folder / "access.log"),
    }.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, ours)
    return text


@contextmanager
def proxy(folder: Path, port: int, services: Sequence[int], certificate: Path) -> Iterator[None]:
    """Run nginx in front of one or two services until the block ends. Its logs are in the folder."""
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port, services, certificate), encoding="utf-8")
    ours = f"daemon off; pid {folder}/nginx.pid;"
    process = subprocess.Popen([PROGRAM, "-c", str(file), "-e", str(folder / "error.log"), "-g", ours])
    try:
        until(lambda: listens(port), explain=lambda: f"nginx has ended: {process.poll()}")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
