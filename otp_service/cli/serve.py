"""The `serve` command: the HTTP API in its processes.

Knows what each process of the server is made from. Must not know what it serves.
"""

import os
from collections.abc import Callable
from functools import partial

import click
from flask import Flask

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.http.app import prepared
from otp_service.http.body import MAX_POLICY
from otp_service.http.problems import raw_problem
from otp_service.http.server import processes
from otp_service.ops.places import OPS_PLACES
from otp_service.settings import SHARED_METRICS
from otp_service.telemetry import logs


@click.command
def serve() -> None:
    """Serve the HTTP API. Settings come from OTP_* variables."""
    configuration = configure(os.environ)
    read = configuration.settings

    def start_logging() -> None:
        logs.start_logging("api", read.log_level)

    start_logging()
    processes.serve(
        _application(configuration),
        prepare=lambda: _application(configure(os.environ)),
        refuse=raw_problem,
        listen=[address for address in (read.listen, read.ops_listen) if address],
        processes=read.processes,
        threads=read.threads + OPS_PLACES,
        max_body=MAX_POLICY,
        on_start=start_logging,
        on_end=lambda app: app.extensions["otp"].close(),
    )


def _application(configuration: Configuration) -> Callable[[], Flask]:
    """Log the policy's warnings once; return what makes the application in each process."""
    if configuration.policy_file:
        for warning in configuration.policy_file.policy.warnings:
            logs.warn(warning)
    return partial(prepared, configuration, shared_metrics=SHARED_METRICS in os.environ)
