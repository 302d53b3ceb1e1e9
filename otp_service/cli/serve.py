"""The `serve` command: the HTTP API in its processes.

Knows what each process of the server is made from. Must not know what it serves.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import click
from flask import Flask, redirect

from otp_service.bootstrap.activation import configure
from otp_service.bootstrap.configuration import Configuration
from otp_service.http.app import mount, prepared
from otp_service.http.body import MAX_POLICY
from otp_service.http.door import Door
from otp_service.http.problems import raw_problem
from otp_service.http.public import PROBES
from otp_service.http.server import processes
from otp_service.http.server.bounds import USUAL
from otp_service.ops.places import OPS_PLACES
from otp_service.settings import SHARED_METRICS
from otp_service.telemetry import logs


@click.command
@click.option("--shop", type=click.Path(path_type=Path), hidden=True, help="Also serve the demo's shop.")
def serve(*, shop: Path | None) -> None:
    """Serve the HTTP API. Settings come from OTP_* variables."""
    configuration = configure(os.environ)
    read = configuration.settings

    def start_logging() -> None:
        logs.start_logging("api", read.log_level)

    start_logging()
    processes.serve(
        _application(configuration, shop),
        prepare=lambda: _application(configure(os.environ), shop),
        refuse=raw_problem,
        listen=[address for address in (read.listen, read.ops_listen) if address],
        processes=read.processes,
        threads=read.threads + OPS_PLACES,
        max_body=MAX_POLICY,
        probes=PROBES,
        on_start=start_logging,
        make_door=lambda app: Door.of(app.extensions["otp"]),
        on_end=lambda app: app.extensions["otp"].close(),
        bounds=replace(USUAL, stopping=1) if shop else USUAL,  # a person waits for a demo to end
    )


def _application(configuration: Configuration, shop: Path | None) -> Callable[[], Flask]:
    """Log the policy's warnings once; return what makes the application in each process."""
    if configuration.policy_file:
        for warning in configuration.policy_file.policy.warnings:
            logs.warn(warning)
    make = partial(prepared, configuration, shared_metrics=SHARED_METRICS in os.environ)
    return partial(_with_shop, make, shop) if shop else make


def _with_shop(make: Callable[[], Flask], file: Path) -> Flask:
    shop = import_module("otp_service.demo.shop.shop")  # a service in production never loads it
    app = mount(make(), "/demo", shop.create_shop(shop.ShopConfig.read(file)))
    app.add_url_rule("/", "home", lambda: redirect("/demo"))
    return app
