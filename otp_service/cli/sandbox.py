"""The `sandbox` command: the stand-in for the upstream, as a server of its own.

Knows its options. Must not know how it answers.
"""

import os
from functools import partial

import click

from otp_service.errors import ConfigurationError
from otp_service.http.body import MAX_POLICY
from otp_service.http.problems import raw_problem
from otp_service.http.server import processes
from otp_service.sandbox import SandboxConfig, create_sandbox
from otp_service.settings import LOG_LEVELS
from otp_service.telemetry import logs


@click.command
@click.option(
    "--listen", default="127.0.0.1:8001", metavar="HOST:PORT", show_default=True, help="Where it listens."
)
@click.option("--latency", type=float, default=0.0, metavar="SECONDS", help="Time added to every send.")
@click.option(
    "--error-rate", type=float, default=0.0, metavar="SHARE", help="Sends answered with 500, from 0 to 1."
)
@click.option("--report-url", metavar="URL", help="Where delivery reports and replies go.")
@click.option("--reach-out", is_flag=True, help="Post reports also beyond private networks.")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    show_default=True,
    help="Lowest level that is logged.",
)
@click.option("--threads", type=int, default=128, show_default=True, help="Requests answered at once.")
def sandbox(
    *,
    listen: str,
    latency: float,
    error_rate: float,
    report_url: str | None,
    reach_out: bool,
    log_level: str,
    threads: int,
) -> None:
    """Stand in for the upstream. $SANDBOX_TOKEN is the access token that it accepts."""
    token = os.environ.get("SANDBOX_TOKEN", "")
    if not token:
        raise ConfigurationError(["SANDBOX_TOKEN is required: the access token that the sandbox accepts"])
    try:
        config = SandboxConfig(
            tokens=frozenset({token}),
            latency=latency,
            error_rate=error_rate,
            report_url=report_url,
            reach_out=reach_out,
            report_secret=os.environ.get("SANDBOX_REPORT_SECRET"),
        )
    except ValueError as error:
        raise ConfigurationError(str(error).split("; ")) from None
    logs.start_logging("sandbox", log_level)
    make_app = partial(create_sandbox, config)
    processes.serve(
        make_app,
        prepare=lambda: make_app,
        refuse=raw_problem,
        listen=[listen],
        processes=1,  # the inbox lives in memory
        threads=threads,
        max_body=MAX_POLICY,
        probes=["/healthz"],
        on_start=lambda: None,
    )
