"""The command line: serve, worker, sandbox, demo, and the operators' tools. Knows options and exit codes."""

import argparse
import base64
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

from flask import Flask
from prometheus_client import start_http_server

from otp_service import __version__
from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.core import Core, cores
from otp_service.cli import blocks as blocking
from otp_service.cli import demo
from otp_service.cli import keys as issuing
from otp_service.cli import policy as steering
from otp_service.cli import rekey as upkeep
from otp_service.delivery.balances import Balances
from otp_service.delivery.worker import Worker
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.http import app as http_app
from otp_service.http import server
from otp_service.http.problems import raw_problem
from otp_service.policy.active import ActivePolicy
from otp_service.sandbox import SandboxConfig, create_sandbox
from otp_service.settings import SHARED_METRICS
from otp_service.telemetry import logs
from otp_service.upstream.port import UpstreamError

MISCONFIGURED = 2
FAILED = 1
EVENTS_AT_ONCE = 8
"""Events that one worker posts at the same time; a slow endpoint must not take the sends' places."""


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
    steering.options(command("policy", None, "look at the policy, change it, ask what a number would get"))
    upkeep.rekey_options(
        command("rekey", None, "write what outlives a rotation of keys under the newest ones")
    )
    upkeep.forget_options(command("forget", None, "erase all that is known of a number"))
    command("check", _check, "check settings, policy, store and upstreams, and say what is wrong")
    command("secrets", _secrets, "make a new set of secret settings")
    blocking.block_options(command("blocks", None, "see what the guard refuses, and lift it"))
    blocking.pin_options(command("pins", None, "always allow or refuse numbers, prefixes and addresses"))
    blocking.recycled_options(command("recycled", None, "name numbers that have new owners"))
    issuing.key_options(command("keys", None, "say who may call: create, rotate, revoke and list API keys"))
    issuing.app_options(command("apps", None, "add, look at and remove apps of the policy"))
    _sandbox_options(
        command("sandbox", _sandbox, "stand in for the upstream; $SANDBOX_TOKEN is its access token")
    )
    demo.options(command("demo", demo.run, "run the whole product on this machine with a sandbox upstream"))
    return parser


def _serve(_: argparse.Namespace) -> int:
    configuration = configure(os.environ)
    read = configuration.settings

    def start_logging() -> None:
        logs.start_logging("api", read.log_level)

    start_logging()
    server.serve(
        _application(configuration),
        prepare=lambda: _application(configure(os.environ)),
        refuse=raw_problem,
        listen=[address for address in (read.listen, read.ops_listen) if address],
        processes=read.processes,
        threads=read.threads,
        on_start=start_logging,
    )
    return 0


def _application(configuration: Configuration) -> Callable[[], Flask]:
    """Log the policy's warnings once; give what makes the application in each process."""
    if configuration.first:
        for warning in configuration.first.policy.warnings:
            logs.warn(warning)
    return partial(http_app.prepared, configuration, shared_metrics=SHARED_METRICS in os.environ)


def _worker(_: argparse.Namespace) -> int:
    configuration = configure(os.environ)
    read = configuration.settings
    logs.start_logging("worker", read.log_level)
    core = Core(configuration, threads=read.worker_sends + EVENTS_AT_ONCE, hash_slots=cores(), role="worker")
    core.follow()
    Balances(
        active=core.active, facts=core.store.facts, budget=core.store.get_budget, metrics=core.metrics
    ).follow()
    workers = [
        Worker(
            queue=queue,
            membership=core.store.membership(queue),
            scripts=core.scripts,
            handle=handle,
            metrics=core.metrics,
            name=read.worker_name or socket.gethostname(),
            at_once=at_once,
        )
        for queue, handle, at_once in (
            (core.store.due, core.dispatcher.dispatch, read.worker_sends),
            (core.store.events_due, core.webhook_sender.send, EVENTS_AT_ONCE),
        )
    ]
    if read.worker_metrics:
        start_http_server(read.worker_metrics, registry=core.metrics.registry)
    stop = partial(_stop_all, workers)
    for number in (signal.SIGTERM, signal.SIGINT):
        # A thread of its own: a handler runs on the main thread, which may hold the lock that stop() takes.
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
    logs.log("worker.started", sends=read.worker_sends)
    beside = [threading.Thread(target=_run, args=(worker, stop)) for worker in workers]
    for thread in beside:
        thread.start()
    for thread in beside:
        thread.join()
    core.close()
    logs.log("worker.stopped")
    return FAILED if any(worker.broken for worker in workers) else 0


def _run(worker: Worker, stop: Callable[[], None]) -> None:
    """Run one of the queues; the end of one is the end of all."""
    worker.run()
    stop()


def _stop_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.stop()


def _check(_: argparse.Namespace) -> int:
    core = Core(configure(os.environ), threads=1, hash_slots=1, role="check")
    problems = []
    try:
        core.active.refresh()
        memory = core.scripts.bounded(lambda client: client.info("memory"), "check")
        if (evicts := memory.get("maxmemory_policy", "noeviction")) != "noeviction":
            problems.append(f"error: Redis evicts keys ({evicts}): set maxmemory-policy noeviction")
    except StoreUnavailable as error:
        problems.append(f"error: Redis does not answer ({type(error.__cause__).__name__})")
    try:
        active = core.active()
    except StoreUnavailable as error:
        problems.append(f"error: {error.detail}")
    else:
        problems += [f"warning: {warning}" for warning in active.policy.warnings]
        problems += _upstream_problems(active)
    core.close()
    print(*(problems or ["all is well"]), sep="\n")
    return FAILED if any(problem.startswith("error") for problem in problems) else 0


def _upstream_problems(active: ActivePolicy) -> Iterator[str]:
    for name, upstream in active.accounts.items():
        try:
            rows = upstream.balance()
            print(f"upstream {name}: " + ", ".join(f"{row.name} {row.credits:.2f}" for row in rows))
        except UpstreamError as error:
            yield f"error: upstream {name}: {error}"


def _secrets(_: argparse.Namespace) -> int:
    for name, key_id in (
        ("OTP_PEPPERS", "p1:"),
        ("OTP_NUMBER_KEYS", "n1:"),
        ("OTP_LOOKUP_KEYS", "l1:"),
        ("OTP_SUBJECT_KEY", ""),
        ("OTP_SIGNING_KEYS", "s1:"),
    ):
        print(f"{name}={key_id}{new_secret()}")
    return 0


def new_secret() -> str:
    """Draw 32 random bytes as base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _sandbox_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", default="127.0.0.1:8001", metavar="HOST:PORT")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="added to every send")
    parser.add_argument(
        "--error-rate", type=float, default=0.0, metavar="SHARE", help="sends answered with 500, 0 to 1"
    )
    parser.add_argument("--report-url", metavar="URL", help="where delivery reports and replies go")
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
    logs.start_logging("sandbox", "info")
    make_app = partial(create_sandbox, config)
    server.serve(
        make_app,
        prepare=lambda: make_app,
        refuse=raw_problem,
        listen=[options.listen],
        processes=1,  # the inbox lives in memory
        threads=options.threads,
        on_start=lambda: None,
    )
    return 0
