"""The command line: serve, worker, sandbox, demo, and the operators' tools. Knows options and exit codes."""

import argparse
import base64
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

from flask import Flask
from prometheus_client import start_http_server

from otp_service import __version__, app, demo, edge, server, telemetry
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.mobtexting import UpstreamError
from otp_service.sandbox import SandboxConfig, create_sandbox
from otp_service.service import digest
from otp_service.settings import SHARED_METRICS
from otp_service.worker import Worker

MISCONFIGURED = 2
FAILED = 1
KEY_KINDS = {"publishable": "pk", "secret": "sk", "ops": "ops"}


def run(arguments: list[str]) -> int:
    """Run one command; gives the exit code: 0, 1 for a failure, 2 for wrong settings or options."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.act(options)
    except ConfigurationError as error:
        print("otp-service cannot start:", *(f"  - {p}" for p in error.problems), sep="\n", file=sys.stderr)
        return MISCONFIGURED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otp-service", description="Proves that a person holds a phone number."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, act: object, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(act=act)
        return made

    command("serve", _serve, "serve the HTTP API; settings come from OTP_* variables")
    command("worker", _worker, "send what is due; settings come from OTP_* variables")
    command("check", _check, "check settings, policy, store and upstreams, and say what is wrong")
    command("secrets", _secrets, "make a new set of secret settings")
    keys = command("keys", _keys, "make an API key: shown once, its hash is for the policy")
    keys.add_argument("kind", choices=KEY_KINDS)
    _sandbox_options(
        command("sandbox", _sandbox, "stand in for the upstream; $SANDBOX_TOKEN is its access token")
    )
    demo.options(command("demo", demo.run, "run the whole product on this machine with a sandbox upstream"))
    return parser


def _serve(_: argparse.Namespace) -> int:
    read, _loaded = app.configure(os.environ)
    shared = SHARED_METRICS in os.environ

    def start_logging() -> None:
        telemetry.start_logging("api", read.log_level)

    def prepare() -> Callable[[], Flask]:
        settings, policy = app.configure(os.environ)
        for warning in policy.warnings:
            telemetry.warn(warning)
        return partial(app.prepared, settings, policy, shared_metrics=shared)

    start_logging()
    server.serve(
        prepare,
        refuse=edge.raw_problem,
        listen=read.listen,
        processes=read.processes,
        threads=read.threads,
        on_start=start_logging,
    )
    return 0


def _worker(_: argparse.Namespace) -> int:
    read, loaded = app.configure(os.environ)
    telemetry.start_logging("worker", read.log_level)
    core = app.build(read, loaded, threads=read.worker_sends, hash_slots=app.cores(), role="worker")
    worker = Worker(
        store=core.store,
        scripts=core.scripts,
        attend=core.service.attend,
        metrics=core.metrics,
        name=read.worker_name or socket.gethostname(),
        sends=read.worker_sends,
    )
    if read.worker_metrics:
        start_http_server(read.worker_metrics, registry=core.metrics.registry)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A thread of its own: a handler runs on the main thread, which may hold the lock that stop() takes.
        signal.signal(number, lambda *_: threading.Thread(target=worker.stop).start())
    telemetry.event("worker.started", sends=read.worker_sends)
    worker.run()
    for client in core.clients.values():
        client.close()
    core.scripts.close()
    telemetry.event("worker.stopped")
    return FAILED if worker.broken else 0


def _check(_: argparse.Namespace) -> int:
    read, loaded = app.configure(os.environ)
    core = app.build(read, loaded, threads=1, hash_slots=1, role="check")
    problems = [f"warning: {warning}" for warning in loaded.warnings]
    try:
        core.store.ping()
        memory = core.scripts.bounded(lambda client: client.info("memory"), "check")
        if (evicts := memory.get("maxmemory_policy", "noeviction")) != "noeviction":
            problems.append(f"error: Redis evicts keys ({evicts}): set maxmemory-policy noeviction")
    except StoreUnavailable as error:
        problems.append(f"error: Redis does not answer ({type(error.__cause__).__name__})")
    for name, upstream in core.clients.items():
        try:
            rows = upstream.balance()
            print(f"upstream {name}: " + ", ".join(f"{row.name} {row.credits:.2f}" for row in rows))
        except UpstreamError as error:
            problems.append(f"error: upstream {name}: {error}")
        upstream.close()
    core.scripts.close()
    print(*(problems or ["all is well"]), sep="\n")
    return FAILED if any(problem.startswith("error") for problem in problems) else 0


def _secrets(_: argparse.Namespace) -> int:
    for name, key_id in (
        ("OTP_PEPPERS", "p1:"),
        ("OTP_NUMBER_KEYS", "n1:"),
        ("OTP_LOOKUP_KEY", ""),
        ("OTP_SIGNING_KEYS", "s1:"),
    ):
        print(f"{name}={key_id}{new_secret()}")
    return 0


def new_secret() -> str:
    """Draw 32 random bytes as base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _keys(options: argparse.Namespace) -> int:
    key = f"{KEY_KINDS[options.kind]}_{secrets.token_urlsafe(24)}"
    print(f"key:  {key}   (shown once)\nhash: {digest(key)}   (for {options.kind} keys in the policy)")
    return 0


def _sandbox_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", default="127.0.0.1:8001", metavar="HOST:PORT")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="added to every send")
    parser.add_argument(
        "--error-rate", type=float, default=0.0, metavar="SHARE", help="sends answered with 500, 0 to 1"
    )
    parser.add_argument("--report-url", metavar="URL", help="where SMS delivery reports go")
    parser.add_argument("--threads", type=int, default=128, help="requests answered at once")


def _sandbox(options: argparse.Namespace) -> int:
    token = os.environ.get("SANDBOX_TOKEN", "")
    if not token:
        raise ConfigurationError(["SANDBOX_TOKEN is required: the access token that the sandbox accepts"])
    try:
        config = SandboxConfig(
            tokens=frozenset({token}),
            latency=options.latency,
            error_rate=options.error_rate,
            report_url=options.report_url,
            report_secret=os.environ.get("SANDBOX_REPORT_SECRET"),
        )
    except ValueError as error:
        raise ConfigurationError(str(error).split("; ")) from None
    telemetry.start_logging("sandbox", "info")
    server.serve(
        lambda: partial(create_sandbox, config),
        refuse=edge.raw_problem,
        listen=options.listen,
        processes=1,  # the inbox lives in memory
        threads=options.threads,
        on_start=lambda: None,
    )
    return 0
