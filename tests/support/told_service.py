"""A whole service as its own processes, whose upstream reports when and what the test says."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from flask import Flask, jsonify, request

from otp_service.access.api_keys import digest
from otp_service.events import signing_secrets
from otp_service.sandbox import Sandbox, SandboxConfig, create_sandbox
from otp_service.sandbox.mailbox import Message
from otp_service.sandbox.outcomes import ANY, Outcome, Selection
from tests.conftest import OPS, ORIGIN, PUBLISHABLE, SECRET
from tests.support.endpoint import Endpoint
from tests.support.journeys import account
from tests.support.patience import PATIENCE, until
from tests.support.ports import HOST, free_port
from tests.support.sandbox_server import Serving
from tests.support.service_process import listens, settings
from tests.support.spine import OPEN_GUARD
from tests.support.valkey_server import ValkeyServer

REPORTS = "whs_the-reports-of-the-account-"
"""Begins the secret of the reports of an account; its name follows."""
TOKENS = {"main": "0123456789abcdef0123456789abcdef", "spare": "fedcba9876543210fedcba9876543210"}
BUSY = 503
APPS = ("web", "strict", "careful", "pumped", "decided", "watched")
"""Apps with the usual rules, one message an hour to a number, a human check at an address, one message an hour to all
numbers that begin alike, an endpoint that decides, and events."""
CREDITS = 10_000_000
"""Of a sandbox that has just started; a balance of that is low here."""
TOLERANCE = {"main": 1000, "spare": 3}
"""Faults in a row that open a breaker."""
PROCESSES = 4
"""Of the API and of the worker, two each."""
NEVER = 86_400.0
"""Seconds after which the sandbox would report by itself."""


def key_of(app: str, kind: str) -> str:
    """Return the key of an app, secret or publishable."""
    return f"{SECRET if kind == 'secret' else PUBLISHABLE}-{app}"


def _app(name: str, more: str) -> str:
    keys = {kind: digest(key_of(name, kind)) for kind in ("secret", "publishable")}
    return f"""
[app.{name}]
brand = "Acme"
origins = ["{ORIGIN}"]
secret_keys = ["{keys["secret"]}"]
publishable_keys = ["{keys["publishable"]}"]
{more}"""


def _account(name: str, url: str) -> str:
    receipts = f'[upstream.{name}.receipts]\nsecrets = ["{digest(REPORTS + name)}"]\n'
    return account(name, url, f"tolerance = {TOLERANCE[name]}\nlow_balance = {CREDITS + 1}") + receipts


def policy(url: str, events: str, decision: str, *, ttl: str, wait: str) -> str:
    """Write the policy. `wait` is what a step waits for a report, except where it is waited for on purpose."""
    secret = 'secret_env = "OTP_EVENTS_WEB"'
    own = {
        "strict": '[app.strict.guard]\nnumber = { refuse = ["1/h"], trickle = [] }\n',
        "careful": '[app.careful.guard]\naddress = { mode = "enforce", human_check = ["1/h"] }\n',
        "pumped": '[app.pumped.guard]\nprefix = { mode = "enforce", refuse = ["1/h"], trickle = [] }\n',
        "decided": f'[app.decided.decision]\nurl = "{decision}"\n{secret}\non_failure = "refuse"\n',
        "watched": f'[app.watched.events]\nurl = "{events}"\n{secret}\n',
    }
    accounts = "".join(_account(name, f"{url}/api/v2/") for name in TOKENS)
    return f"""guard.countries.allow = ["*"]
{"".join(_app(name, own.get(name, "")) for name in APPS)}
[operator.anna]
keys = ["{digest(OPS)}"]
{OPEN_GUARD}
[challenge]
ttl = "{ttl}"
max_sends = 6
cooldown = ["1s"]
{accounts}
[[route]]
name = "alone"
match = {{ purpose = ["alone"] }}
steps = [{{ channel = "sms", upstream = "main" }}]

[[route]]
name = "quick"
match = {{ purpose = ["quick"] }}
steps = [{{ channel = "sms", upstream = "main", wait = "5s" }}, {{ channel = "voice", upstream = "main" }}]

[[route]]
name = "twice"
match = {{ purpose = ["twice"] }}
steps = [
  {{ channel = "sms", upstream = ["main", "spare"], wait = "{wait}" }},
  {{ channel = "whatsapp", upstream = "main" }},
]

[[route]]
name = "open"
match = {{ purpose = ["open"] }}
steps = [
  {{ channel = "whatsapp", upstream = "main", wait = "{wait}", if = "open" }},
  {{ channel = "sms", upstream = "main" }},
]

[[route]]
name = "usual"
steps = [
  {{ channel = "sms", upstream = "main", wait = "{wait}" }},
  {{ channel = "whatsapp", upstream = "main", wait = "{wait}" }},
  {{ channel = "voice", upstream = "main" }},
]
"""


class Decider:
    """The endpoint of an app that decides: answers by number, else allow."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        app = Flask("decider")
        app.add_url_rule("/decide", view_func=self._decide, methods=["POST"])
        self._serving = Serving(app)
        self.url = f"{self._serving.url}/decide"

    def _decide(self) -> Any:  # noqa: ANN401 - what Flask takes
        to = request.get_json()["data"]["to"]
        return jsonify(decision=self.answers.get(to, "allow"))

    def close(self) -> None:
        """Stop serving."""
        self._serving.close()


@dataclass
class Service:
    """The running service, and what is around it."""

    url: str
    sandbox: Sandbox
    upstream: str
    events: Endpoint
    decider: Decider
    environment: dict[str, str]
    log: Path
    processes: list["subprocess.Popen[bytes]"]
    version: int = 1
    _local: threading.local = field(default_factory=threading.local)

    def call(
        self, method: str, path: str, key: str, body: object = None, **headers: str
    ) -> requests.Response:
        """Make a request; whatever the answer, it is that of the service."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        sent = {
            "Authorization": f"Bearer {key}",
            **{name.replace("_", "-"): headers[name] for name in headers},
        }
        answer: requests.Response = self._local.session.request(
            method, self.url + path, json=body, headers=sent, timeout=PATIENCE
        )
        return answer

    def apply(self, *, ttl: str, wait: str) -> None:
        """Put a policy into force, in all processes."""
        text = policy(self.upstream, self.events.url, self.decider.url, ttl=ttl, wait=wait)
        answer = self.call("PUT", "/ops/policy", OPS, {"text": text, "reason": "the next part"})
        assert answer.ok, answer.text
        self.version = answer.json()["version"]
        self._follow()

    def add_review(self, number: str) -> str:
        """Add a review number of the app web; gives its code."""
        asked = ("review", "add", number, "--app", "web", "--purpose", "login", "--reason", "a test")
        done = subprocess.run(
            [sys.executable, "-m", "otp_service", *asked],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        self.version += 1
        self._follow()
        return done.stdout.split()[1]

    def _follow(self) -> None:
        """Wait until each process follows the newest version."""

        def all_do() -> bool:
            lines = self.log.read_text(encoding="utf-8").splitlines()
            said = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
            followed = {
                one["pid"]
                for one in said
                if one["event"] == "policy.followed" and one["version"] >= self.version
            }
            return len(followed) >= PROCESSES

        until(all_do, pause=0.1, progress=lambda: self.log.stat().st_size)

    def force(self, number: str, channel: str, outcome: Outcome, account_name: str = ANY) -> None:
        """Let messages to a number end so."""
        self.sandbox.outcomes.force(Selection(number.removeprefix("+"), channel, account_name), outcome)

    def messages(self, number: str) -> list[Message]:
        """Return the messages that a number got, the oldest first."""
        return self.sandbox.mailbox.newest(100, number.removeprefix("+"))[::-1]

    def report(self, message: Message, word: str) -> None:
        """Let the sandbox report a status of a message now."""
        self.sandbox.reports.schedule(message, ((0, word),))


@contextmanager
def running(valkey: ValkeyServer, folder: Path, **more: str) -> Iterator[Service]:
    """Run the service until the block ends: two processes of the API, a worker with two, the sandbox in this one.

    `more` are settings of its own.
    """
    port = free_port()
    url = f"http://{HOST}:{port}"
    app = create_sandbox(
        SandboxConfig(
            {token: name for name, token in TOKENS.items()},
            report_delay=NEVER,
            report_url=f"{url}/webhooks/mobtexting/{{account}}/{REPORTS}{{account}}",
        )
    )
    sandbox: Sandbox = app.extensions["sandbox"]
    with ExitStack() as stack:
        stack.callback(sandbox.close)
        upstream = stack.enter_context(closing(Serving(app))).url
        events = stack.enter_context(closing(Endpoint()))
        decider = stack.enter_context(closing(Decider()))
        file = folder / "policy.toml"
        file.write_text(policy(upstream, events.url, decider.url, ttl="1m", wait="20s"))
        values = settings(
            valkey,
            file,
            OTP_LISTEN=f"{HOST}:{port}",
            OTP_UPSTREAM_MAIN_TOKEN=TOKENS["main"],
            OTP_UPSTREAM_SPARE_TOKEN=TOKENS["spare"],
            OTP_EVENTS_WEB=signing_secrets.draw_secret(),
            OTP_PRIVATE_EVENTS="yes",
            OTP_HASH_PROFILE="fast",
            OTP_PARTITIONS="4",
            OTP_WORKER_PROCESSES="2",
            OTP_WORKER_NAME=f"w{secrets.token_hex(4)}",
            **more,
        )
        log = folder / "log"
        processes = [stack.enter_context(_process(command, values, log)) for command in ("serve", "worker")]
        made = Service(url, sandbox, upstream, events, decider, values, log, processes)
        until(lambda: _runs(processes, log) and listens(port), pause=0.1)
        until(lambda: _runs(processes, log) and made.call("GET", "/readyz", OPS).ok, pause=0.1)
        yield made


@contextmanager
def _process(command: str, values: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "otp_service", command],
            env=clean | values,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def _runs(processes: Sequence["subprocess.Popen[bytes]"], log: Path) -> bool:
    assert all(process.poll() is None for process in processes), log.read_text(encoding="utf-8")
    return True
