"""The demo: an embedded Valkey, the sandbox upstream, the API and a worker, run as one.

Starts them as child processes, restarts one that ends, and stops them all together. Must not know what they do.
"""

import logging
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import requests

from otp_service.demo import documents, processes
from otp_service.demo.child import Child
from otp_service.demo.keys import DemoKeys
from otp_service.demo.options import DemoOptions
from otp_service.errors import ConfigurationError
from otp_service.telemetry import logs

READY_WITHIN = 300.0
"""Seconds that the API and the sandbox have to answer for the first time: long, because a process that ends is noticed
at once, and a busy machine may be slow."""
SAY_EVERY = 10.0
"""Seconds after which a person is told again that the demo is still starting."""
MAX_CRASHES = 3
"""The demo stops after this many consecutive crashes of one process, each soon after its start."""


def run(options: DemoOptions) -> int:
    """Run the demo until Ctrl-C or SIGTERM and return the exit code.

    Raises ConfigurationError if a port or the folder is in use, or the host is not allowed.
    """
    problems = list(options.problems())
    if problems:
        raise ConfigurationError(problems)
    stop = threading.Event()
    stop_on_signals(stop)
    logs.start_logging("demo", options.log_level)
    with documents.folders(options.var) as sockets:
        return _run(replace(options, var=options.var.resolve()), sockets, stop)


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` when a signal asks this process to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # In a thread: a handler runs on the main thread, which may hold the lock that set() takes.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())


def _run(options: DemoOptions, sockets: Path, stop: threading.Event) -> int:
    keys = DemoKeys.read_or_draw(options.var / "keys.json")
    policy = options.var / "policy.toml"
    policy.write_text(documents.policy(options, keys), encoding="utf-8")
    documents.write_shop_json(options, keys)
    redis_url, store = processes.store(options.var, sockets)
    settings = processes.service_settings(options, keys, redis_url, policy)
    supervisor = Supervisor([*store, *processes.service(options, keys, settings)], options.var / "metrics")
    try:
        supervisor.start()
        if not supervisor.wait_ready([f"{options.api}/readyz", f"{options.sandbox}/healthz"], stop):
            return 0 if stop.is_set() else 1
        documents.write_demo_json(options, keys, settings)
        print(documents.welcome(options, keys), flush=True)
        return supervisor.supervise(stop)
    finally:
        supervisor.end()


class Supervisor:
    """Runs child processes as one; `metrics` is the folder of their gauges."""

    def __init__(self, children: Sequence[Child], metrics: Path) -> None:
        self._children = children
        self._metrics = metrics

    def start(self) -> None:
        """Start all of them."""
        for child in self._children:
            child.start()

    def wait_ready(self, urls: Iterable[str], stop: threading.Event) -> bool:
        """Wait until every URL answers; False if `stop` is set, a process ends, or it takes too long."""
        began = told = time.monotonic()
        waiting = list(urls)
        with requests.Session() as session:
            session.trust_env = False
            while waiting and not stop.is_set():
                now = time.monotonic()
                if now > began + READY_WITHIN or self._ended():
                    for child in self._ended():
                        logs.log("demo.ended_early", logging.ERROR, child=child.name, said=child.said)
                    logs.warn("demo.not_ready: a process did not start, see above")
                    return False
                if now > told + SAY_EVERY:
                    told = now
                    print(f"Starting, {now - began:.0f} s so far ...", flush=True)
                waiting = [url for url in waiting if not _answers(session, url)]
                stop.wait(0.05 if waiting else 0)
        return not stop.is_set()

    def supervise(self, stop: threading.Event) -> int:
        """Restart processes that end until `stop` is set; return 1 if one crashes again and again."""
        while not stop.wait(0.1):
            for child in self._ended():
                self._remove_gauges(child)
                if child.count_crash() >= MAX_CRASHES:
                    logs.log("demo.gave_up", logging.ERROR, child=child.name, said=child.said)
                    return 1
                exit_code = child.process and child.process.returncode
                logs.log("demo.restarted", logging.WARNING, child=child.name, exit_code=exit_code)
                child.start()
        return 0

    def end(self) -> None:
        """Say so, and end all of them: first the API and the worker, which need the others to finish their work."""
        print("Stopping ...", flush=True)
        first = [child for child in self._children if child.name in {"api", "worker"}]
        _end(first)
        _end([child for child in self._children if child not in first])

    def _ended(self) -> list[Child]:
        return [child for child in self._children if child.has_ended]

    def _remove_gauges(self, child: Child) -> None:
        """Remove the gauges of a process that ended, so that they leave the sums."""
        if child.process is not None:
            for file in self._metrics.glob(f"gauge_live*_{child.process.pid}.db"):
                file.unlink(missing_ok=True)


def _end(children: Iterable[Child]) -> None:
    ending = list(children)
    for child in ending:
        child.stop()
    for child in ending:
        child.wait()


def _answers(session: requests.Session, url: str) -> bool:
    try:
        return session.get(url, timeout=1).ok
    except requests.RequestException:
        return False
