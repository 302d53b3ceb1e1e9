"""The `worker` command: sends what is due, and posts events to apps, in several processes.

Knows the queues and how a process of workers starts and stops. Must not know what is done for one challenge or event.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

import click
from prometheus_client import CollectorRegistry, multiprocess

from otp_service import child_process
from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.bootstrap.core import Core
from otp_service.cli.exit_codes import FAILED
from otp_service.delivery.balances import Balances
from otp_service.delivery.processes import Processes, Work
from otp_service.delivery.worker import Worker
from otp_service.errors import ConfigurationError
from otp_service.http.server.metrics_page import MetricsListener, show_metrics
from otp_service.ops.hash_speed import usable_cores
from otp_service.settings import SHARED_METRICS
from otp_service.telemetry import logs

EVENTS_AT_ONCE = 8
"""Events that one process posts at the same time; a slow endpoint must not take the places of sends."""


@click.command
def worker() -> int:
    """Send what is due. Settings come from OTP_* variables."""
    configuration = configure(os.environ)
    read = configuration.settings
    logs.start_logging("worker", read.log_level)
    count = read.worker_processes or usable_cores()
    metrics = MetricsListener()
    processes = Processes(
        partial(_work, configuration, count, metrics.listen(read.worker_metrics)),
        count,
        prepare=partial(_prepare_again, count, metrics),
        forget=_forget_metrics,
    )
    logs.log("worker.started", processes=count, sends=read.worker_sends)
    ended_well = processes.run()
    logs.log("worker.stopped")
    return 0 if ended_well else FAILED


def _prepare_again(count: int, metrics: MetricsListener) -> Work | None:
    """Read settings and policy file again; None with the problems in the log if they cannot be used."""
    try:
        configuration = configure(os.environ)
        return partial(_work, configuration, count, metrics.listen(configuration.settings.worker_metrics))
    except ConfigurationError as error:
        for problem in error.problems:
            logs.log("reload.refused", logging.ERROR, problem=problem)
        return None


def _work(configuration: Configuration, count: int, metrics: socket.socket | None, place: int) -> int:
    """Do the work of one process until SIGTERM, which is blocked until the workers can be stopped."""
    read = configuration.settings
    slots = max(1, usable_cores() // count)
    core = Core(configuration, threads=read.worker_sends + EVENTS_AT_ONCE, hash_slots=slots, role="worker")
    core.follow()
    core.journal.follow()
    if place == 0:
        core.sweeper.follow()
        Balances(
            active=core.active, facts=core.store.facts, budget=core.store.get_budget, metrics=core.metrics
        ).start()
        if metrics:
            show_metrics(metrics, _of_all_processes(core))
    workers = _workers(core, f"{read.worker_name or socket.gethostname()}.{place}")
    stop = partial(_stop_all, workers)
    # In a thread: a handler runs on the main thread, which may hold the lock that stop() takes.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop).start())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    child_process.freeze_start()
    _run_all(workers, stop)
    core.close()
    return FAILED if any(each.broken for each in workers) else 0


def _of_all_processes(core: Core) -> CollectorRegistry:
    """Return what sums the metrics of all processes, if they share a folder."""
    if SHARED_METRICS not in os.environ:
        return core.metrics.registry
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _forget_metrics(process: int) -> None:
    """Remove the gauges of a process that ended from the sums."""
    if SHARED_METRICS in os.environ:
        multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]


def _workers(core: Core, name: str) -> list[Worker]:
    """Make a worker for each queue."""
    read = core.settings
    return [
        Worker(
            queue=queue,
            membership=core.store.membership(queue),
            scripts=core.scripts,
            handle=handle,
            metrics=core.metrics,
            name=name,
            at_once=at_once,
            turns=turns,
            beside=beside,
        )
        for queue, handle, at_once, turns, beside in (
            (
                core.store.due,
                core.dispatcher.dispatch,
                read.worker_sends,
                core.turns,
                (core.expiry.run, core.pace.run),
            ),
            (core.store.events_due, core.webhook_sender.send, EVENTS_AT_ONCE, None, ()),
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
