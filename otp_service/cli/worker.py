"""The `worker` command: sends what is due, and posts events to apps.

Knows the queues and how a process of workers starts and stops. Must not know what is done for one challenge or event.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

import click
from prometheus_client import start_http_server

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.core import Core, cores
from otp_service.cli.exit_codes import FAILED
from otp_service.delivery.balances import Balances
from otp_service.delivery.worker import Worker
from otp_service.telemetry import logs

EVENTS_AT_ONCE = 8
"""Events that one worker posts at the same time; a slow endpoint must not take the places of sends."""


@click.command
def worker() -> int:
    """Send what is due. Settings come from OTP_* variables."""
    configuration = configure(os.environ)
    read = configuration.settings
    logs.start_logging("worker", read.log_level)
    core = Core(configuration, threads=read.worker_sends + EVENTS_AT_ONCE, hash_slots=cores(), role="worker")
    core.follow()
    core.conversion.follow()
    Balances(
        active=core.active, facts=core.store.facts, budget=core.store.get_budget, metrics=core.metrics
    ).start()
    workers = _workers(core)
    if read.worker_metrics:
        start_http_server(read.worker_metrics, registry=core.metrics.registry)
    stop = partial(_stop_all, workers)
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: a handler runs on the main thread, which may hold the lock that stop() takes.
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
    logs.log("worker.started", sends=read.worker_sends)
    _run_all(workers, stop)
    core.close()
    logs.log("worker.stopped")
    return FAILED if any(each.broken for each in workers) else 0


def _workers(core: Core) -> list[Worker]:
    """Make a worker for each queue."""
    read = core.settings
    return [
        Worker(
            queue=queue,
            membership=core.store.membership(queue),
            scripts=core.scripts,
            handle=handle,
            metrics=core.metrics,
            name=read.worker_name or socket.gethostname(),
            at_once=at_once,
            beside=beside,
        )
        for queue, handle, at_once, beside in (
            (core.store.due, core.dispatcher.dispatch, read.worker_sends, (core.expiry.run, core.pace.run)),
            (core.store.events_due, core.webhook_sender.send, EVENTS_AT_ONCE, ()),
        )
    ]


def _run_all(workers: list[Worker], stop: Callable[[], None]) -> None:
    """Run the workers side by side; when one ends, all end."""

    def run(each: Worker) -> None:
        each.run()
        stop()

    threads = [threading.Thread(target=run, args=(each,)) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _stop_all(workers: list[Worker]) -> None:
    for each in workers:
        each.stop()
