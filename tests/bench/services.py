"""The services that are put under load: the product as it is run for real, and a peer to compare it with."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from otp_service.access.api_keys import digest
from otp_service.cli.secrets import new_secret
from tests.bench.load import Request, Target, node
from tests.support.patience import PATIENCE, until
from tests.support.ports import free_port
from tests.support.valkey_server import ValkeyServer

SECRET = "sk_only-for-measuring-only-for-measuring"
WEBHOOK = "whs_only-for-measuring-only-for-measuring"
PEER = Path(__file__).with_name("peer")
INSTALLED = Path("var/bench-peer")
"""Where the peer is installed once."""
_ROOM = '{ human_check = [], refuse = ["1000000/d"] }'
_POLICY = f"""
[app.bench]
brand = "Acme"
secret_keys = ["{digest(SECRET)}"]

# Every rule counts; none refuses.
[guard]
countries = {{ allow = ["*"] }}
cooldown = {{ mode = "off" }}
number = {_ROOM}
address = {_ROOM}
prefix = {_ROOM}
unproven = {_ROOM}
country = {_ROOM}
app = {{ refuse = ["1000000/d"] }}
money = {{ refuse = ["1000000/d"] }}
everything = {{ refuse = ["1000000/d"] }}
conversion = {{ mode = "watch" }}

[upstream.standin]
kind = "mobtexting"
base_url = "http://127.0.0.1:$port/api/v2/"
token_env = "OTP_UPSTREAM_STANDIN_TOKEN"
sms = {{ service = "T", sender = "ACMEIN" }}
whatsapp = {{ sender = "919000000001", template = "otp_login" }}
tolerance = 1000

[upstream.standin.receipts]
secrets = ["{digest(WEBHOOK)}"]

[[route]]
steps = [$steps]
"""
AT_ONCE = '{ channel = "sms", upstream = "standin", until = "accepted" }'
FALLING_BACK = (
    '{ channel = "sms", upstream = "standin", wait = "60s" }, '
    '{ channel = "whatsapp", upstream = "standin", until = "accepted" }'
)
"""Steps of a route."""


@contextmanager
def product(
    profile: str, *, within: Sequence[str] = (), steps: str = AT_ONCE, **settings: str
) -> Iterator[Target]:
    """Run store, API and worker as in production, with every guarantee on and limits wide enough for the load.

    `within` is a command that runs API and worker, such as one that limits them; `steps` are those of the only route.
    """
    port, upstream_port = free_port(), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = ValkeyServer(options={"appendfsync": "everysec"})
        stack.callback(store.close)
        policy = folder / "policy.toml"
        policy.write_text(_POLICY.replace("$port", str(upstream_port)).replace("$steps", steps))
        environment = {
            "OTP_REDIS_URL": store.url,
            "OTP_POLICY_FILE": str(policy),
            "OTP_ISSUER": "https://otp.example.com",
            "OTP_PEPPERS": f"p1:{new_secret()}",
            "OTP_NUMBER_KEYS": f"n1:{new_secret()}",
            "OTP_LOOKUP_KEYS": f"l1:{new_secret()}",
            "OTP_SUBJECT_KEY": new_secret(),
            "OTP_SIGNING_KEYS": f"s1:{new_secret()}",
            "OTP_DEVICE_KEYS": f"d1:{new_secret()}",
            "OTP_UPSTREAM_STANDIN_TOKEN": "0123456789abcdef0123456789abcdef",
            "OTP_HASH_PROFILE": profile,
            "OTP_LISTEN": f"127.0.0.1:{port}",
            "OTP_LOG_LEVEL": "warning",
            **settings,
        }
        log = folder / "log"
        api, worker = (
            stack.enter_context(
                _running([*within, sys.executable, "-m", "otp_service", word], environment, log)
            )
            for word in ("serve", "worker")
        )
        until(lambda: _is_ready(f"http://127.0.0.1:{port}/readyz", (api, worker), log))
        headers = {"Authorization": f"Bearer {SECRET}"}
        yield Target(
            port=port,
            send=Request("/otp/send", '{"to":"{to}"}', 202, headers=headers),
            verify=Request(
                "/otp/verify", '{"challenge_id":"{challenge_id}","code":"{code}"}', headers=headers
            ),
            upstream_port=upstream_port,
            to=r"(49\d{9,12})",
            code=r"\b(\d{6})\b",
            store=store.socket,
            pids={"api": api.pid, "worker": worker.pid, "store": store.pid},
        )


@contextmanager
def bare_view() -> Iterator[Target]:
    """Run a Flask view that only reads JSON, under the same server as the product."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with _running([sys.executable, "-m", "tests.bench.bare_view", str(port)], {}, log) as server:
            until(lambda: _is_listening(f"http://127.0.0.1:{port}/", server, log))
            yield Target(port=port, send=Request("/", '{"to":"{to}"}'), pids={"api": server.pid})


@contextmanager
def peer(*, bare: bool) -> Iterator[Target]:
    """Run better-auth: its own HTTP routes, or with `bare` its bare calls. Its codes are stored in clear text."""
    folder = _install_peer()
    port, upstream_port = free_port(), free_port()
    with ExitStack() as stack:
        store = ValkeyServer(options={"appendfsync": "everysec"})
        stack.callback(store.close)
        shutil.copy(PEER / "server.mjs", folder)
        environment = {
            "NODE_ENV": "production",
            "PORT": str(port),
            "REDIS_SOCKET": str(store.socket),
            "UPSTREAM_PORT": str(upstream_port),
        }
        log = folder / "log"
        server = stack.enter_context(_running([node(), str(folder / "server.mjs")], environment, log))
        until(lambda: _is_listening(f"http://127.0.0.1:{port}/", server, log))
        send, verify = (
            ("/otp/send", "/otp/verify")
            if bare
            else ("/api/auth/phone-number/send-otp", "/api/auth/phone-number/verify")
        )
        checked = '{"phoneNumber":"{to}","code":"{code}"' + ("}" if bare else ',"disableSession":true}')
        yield Target(
            port=port,
            send=Request(send, '{"phoneNumber":"{to}"}'),
            verify=Request(verify, checked, says='"status":true'),
            upstream_port=upstream_port,
            to=r'"to":"\W(\d+)"',
            code=r'"code":"(\d+)"',
            pids={"server": server.pid, "store": store.pid},
        )


def _install_peer() -> Path:
    """Install the peer as its lock file says, once. Raises FileNotFoundError if npm is not at hand."""
    npm = shutil.which("npm")
    if not npm:
        raise FileNotFoundError("the comparison needs npm")
    lock = "package-lock.json"
    if not (INSTALLED / "node_modules").exists() or _differ(PEER / lock, INSTALLED / lock):
        INSTALLED.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", ".npmrc", lock):
            shutil.copy(PEER / name, INSTALLED)
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=INSTALLED, check=True)
    return INSTALLED.resolve()


def _differ(one: Path, other: Path) -> bool:
    return not other.exists() or one.read_bytes() != other.read_bytes()


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def _is_ready(url: str, processes: tuple[subprocess.Popen[bytes], ...], log: Path) -> bool:
    for process in processes:
        assert process.poll() is None, log.read_text()
    return _answers(url, lambda answer: answer.ok)


def _is_listening(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return _answers(url, lambda _: True)


def _answers(url: str, right: Callable[[requests.Response], bool]) -> bool:
    try:
        return right(requests.get(url, timeout=PATIENCE))
    except requests.RequestException:
        return False
