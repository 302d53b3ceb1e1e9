"""The server's processes: stopped, replaced and reloaded under load, and not one request is lost."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from otp_service.errors import ConfigurationError
from otp_service.http.server.listeners import drop_new_handshakes, open_listeners
from tests.support.load import GET, loaded
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.served import answer


@contextmanager
def service(port: int, file: Path, answering: float = 10 * PATIENCE) -> Iterator[subprocess.Popen[str]]:
    """Start a service and wait until it is ready; end it at last."""
    command = [sys.executable, "-m", "tests.support.echo_service", str(port), str(file), str(answering)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            mine = None
            while mine != process.pid:  # another one may answer on the same port
                with suppress(OSError, AssertionError):
                    mine = parent(int(asked(port).split()[-1]))
                assert process.poll() is None, process.stdout and process.stdout.read()
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def parent(pid: int) -> int | None:
    """Return the parent of a process, if there is one still."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def asked(port: int) -> str:
    """Ask once, on a new connection."""
    with socket.create_connection((HOST, port), timeout=PATIENCE) as client:
        client.sendall(GET)
        return answer(client)[2].decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What the service reads when it starts."""
    file = tmp_path / "text"
    file.write_text("first")
    return file


def to(port: int) -> Callable[[], socket.socket]:
    """Return what connects to a port."""
    return partial(socket.create_connection, (HOST, port), PATIENCE)


@pytest.mark.parametrize(
    ("rounds", "answers"), [(1, 300), pytest.param(5, 2000, marks=pytest.mark.slow)], ids=["once", "10,000"]
)
def test_a_successor_on_the_same_port_takes_over_without_a_lost_request(
    file: Path, rounds: int, answers: int
) -> None:
    """Start the new one, stop the old one: clients that keep connections and clients that do not see nothing of it."""
    port = free_port()
    with ExitStack() as started:
        running = started.enter_context(service(port, file))
        load = started.enter_context(loaded(to(port), 8))
        for number in range(rounds):
            load.reach(answers)
            file.write_text(f"round-{number}")
            successor = started.enter_context(service(port, file))
            running.terminate()
            until(lambda gone=running: gone.poll() is not None, progress=lambda: load.answered)  # type: ignore[misc]
            assert running.returncode == 0
            running = successor
        load.reach(answers)
        load.end()
        assert (load.lost, load.refused) == ([], 0)
        assert set(load.texts) == {"first", *(f"round-{number}" for number in range(rounds))}
        assert load.answered >= (rounds + 1) * answers


def test_a_stop_resets_none_of_64_clients(file: Path) -> None:
    """Each gets its last answer with `Connection: close`, and is refused when it comes again."""
    port = free_port()
    with service(port, file) as running, loaded(to(port), 64, until_refused=True) as load:
        load.reach(500)
        running.terminate()
        load.join()
        until(lambda: running.poll() is not None)
        assert (load.lost, load.refused, running.returncode) == ([], 64, 0)
    assert len(list(file.parent.glob(f"{file.name}.*"))) == 2  # each process did what it does at its end


def test_a_reload_replaces_the_processes_without_a_lost_request(file: Path) -> None:
    """SIGHUP: the new processes say what the file says now."""
    port = free_port()
    with service(port, file) as running, loaded(to(port), 8) as load:
        load.reach(100)
        file.write_text("second")
        running.send_signal(signal.SIGHUP)
        until(lambda: load.texts["second"] > 0, progress=lambda: load.answered)
        before = load.texts["first"]
        until(lambda: load.texts["second"] > 500, progress=lambda: load.answered)
        load.end()
        assert (load.lost, load.refused) == ([], 0)
        assert load.texts["first"] - before < 500
        says(running, '"event": "reload.done", "processes": 2')


def says(running: subprocess.Popen[str], text: str) -> None:
    """Wait until the log of a service has a text."""
    assert running.stdout
    log, read = running.stdout.fileno(), bytearray()
    os.set_blocking(log, False)

    def has_text() -> bool:
        with suppress(BlockingIOError):
            read.extend(os.read(log, 65536))
        return text.encode() in read

    until(has_text)
    os.set_blocking(log, True)


def test_a_killed_process_is_replaced(file: Path) -> None:
    """The other one answers meanwhile."""
    port = free_port()
    with service(port, file) as running:
        pids: set[str] = set()
        while len(pids) < 2:
            pids.add(asked(port).split()[1])
        victim, left = pids
        os.kill(int(victim), signal.SIGKILL)
        found: set[str] = set()

        def replaced() -> bool:
            with suppress(OSError, AssertionError):  # a connection that the victim had accepted
                found.add(asked(port).split()[1])
            return bool(found - {victim, left})

        until(replaced)
        assert parent(int((found - pids).pop())) == running.pid


def test_a_process_with_a_stuck_call_is_replaced(file: Path) -> None:
    """It answers what it still can, then another process has its place, with all its threads."""
    port = free_port()
    with (
        service(port, file, answering=2) as running,
        socket.create_connection((HOST, port), timeout=PATIENCE) as stuck,
    ):
        pids: set[str] = set()
        while len(pids) < 2:
            pids.add(asked(port).split()[1])
        stuck.sendall(GET.replace(b"GET /", b"GET /stuck"))
        until(lambda: len({int(pid) for pid in pids if parent(int(pid))}) == 1)
        left = next(pid for pid in pids if parent(int(pid)))
        until(lambda: asked(port).split()[1] not in pids)
        assert parent(int(left)) == running.pid


def test_no_process_outlives_its_killed_parent(file: Path) -> None:
    """It would go on to take its share of the connections to the port."""
    port = free_port()
    with service(port, file) as running:
        pids: set[int] = set()
        while len(pids) < 2:
            pids.add(int(asked(port).split()[1]))
        running.kill()
        until(lambda: not any(parent(pid) for pid in pids))
        with pytest.raises(ConnectionRefusedError):
            asked(port)


def test_a_client_that_comes_between_two_services_meets_the_second() -> None:
    """The first one still takes who was connected; a handshake that begins later is passed over, not reset."""
    address = (HOST, free_port())
    text = f"{HOST}:{address[1]}"
    (old,) = open_listeners([text])
    with ExitStack() as opened:
        early = opened.enter_context(socket.create_connection(address, timeout=PATIENCE))
        drop_new_handshakes([old])
        late = opened.enter_context(socket.socket())
        late.settimeout(0)
        late.connect_ex(address)
        (new,) = open_listeners([text])
        opened.enter_context(new)
        taken, peer = old.accept()
        opened.enter_context(taken)
        assert peer == early.getsockname()
        with pytest.raises(BlockingIOError):
            old.accept()
        old.close()
        assert early.send(b"a") == len(taken.recv(1))
        new.settimeout(PATIENCE)
        taken, peer = new.accept()
        opened.enter_context(taken)
        assert peer == late.getsockname()


def test_a_taken_port_is_named() -> None:
    """All of them at once; what could be had is given back."""
    free = free_port()
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        taken = [f"{HOST}:{server.getsockname()[1]}" for server in (one, other)]
        with pytest.raises(ConfigurationError) as error:
            open_listeners([f"{HOST}:{free}", *taken, "192.0.2.1:80"])
    assert error.value.problems == [
        *(f"cannot listen on {address}: another program listens there" for address in taken),
        "cannot listen on 192.0.2.1:80: Cannot assign requested address",
    ]
    with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, free)):
        pass
