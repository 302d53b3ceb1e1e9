"""What a person can choose about a demo, and the addresses that follow from it.

Knows hosts and ports. Must not know the command line or what listens at an address.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otp_service.policy.fields import ORIGIN

_REACHABLE_AT = {
    "localhost": "localhost",
    "127.0.0.1": "127.0.0.1",
    "::1": "[::1]",
    "0.0.0.0": "127.0.0.1",  # noqa: S104 - the person at the keyboard chose so
    "::": "[::1]",
}
"""The hosts to listen on, and how this machine reaches each: the policy allows plain HTTP to itself only."""
_NAMES = ("localhost", "127.0.0.1")
"""The names of this machine that a policy allows in origins with plain HTTP."""
_PORTS_OF_APPS = (3000, 5000)
"""Where the usual frameworks serve an app that is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Where the demo listens and keeps its files, and how its sandbox behaves; `latency` is in seconds.

    Pages of `more_origins` may call it, too. Its processes log at `log_level`.
    """

    host: str
    port: int
    sandbox_port: int
    var: Path
    latency: float
    error_rate: float
    more_origins: tuple[str, ...] = ()
    log_level: str = "warning"

    def problems(self) -> Iterator[str]:
        """Yield everything that prevents a start: ports that are in use, a host that is not allowed."""
        for option, port in (("--port", self.port), ("--sandbox-port", self.sandbox_port)):
            if not _is_free(self.host, port):
                yield f"{option} {port} is in use on {self.host}: choose another port with {option} PORT"
        if self.host not in _REACHABLE_AT:
            yield f"--host {self.host} is not one of {', '.join(_REACHABLE_AT)}: choose one of them"
        if self.port == self.sandbox_port:
            yield "--port and --sandbox-port are the same: choose two different ports"
        for origin in self.more_origins:
            if not re.match(ORIGIN, origin):
                yield f"--origin {origin} is not an origin, such as http://localhost:8080"

    @property
    def listen_host(self) -> str:
        """The host as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def api(self) -> str:
        """The URL of the API, as people see it."""
        return f"http://{self.listen_host}:{self.port}"

    @property
    def sandbox(self) -> str:
        """The URL of the sandbox, as people see it."""
        return f"http://{self.listen_host}:{self.sandbox_port}"

    @property
    def local_api(self) -> str:
        """The URL at which this machine reaches the API."""
        return f"http://{_REACHABLE_AT[self.host]}:{self.port}"

    @property
    def local_sandbox(self) -> str:
        """The URL at which this machine reaches the sandbox."""
        return f"http://{_REACHABLE_AT[self.host]}:{self.sandbox_port}"

    @property
    def origins(self) -> list[str]:
        """The origins of browsers that may call the API, by either name of this machine."""
        ports = (*_PORTS_OF_APPS, self.port, self.sandbox_port)
        own = (f"http://{host}:{port}" for port in ports for host in _NAMES)
        return list(dict.fromkeys([*own, *self.more_origins]))


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
