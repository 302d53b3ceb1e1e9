"""The `demo` command: the whole product on this machine.

Knows its options. Must not know which processes a demo has.
"""

from pathlib import Path

import click

from otp_service.demo import supervisor
from otp_service.demo.options import DemoOptions

_PORT = click.IntRange(1, 65535)


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the API and the sandbox listen.")
@click.option("--port", type=_PORT, default=8000, show_default=True, help="Port of the API.")
@click.option(
    "--sandbox-port", type=_PORT, default=8001, show_default=True, help="Port of the sandbox upstream."
)
@click.option(
    "--var",
    type=click.Path(path_type=Path),
    default=Path("var"),
    show_default=True,
    metavar="DIR",
    help="Folder for the demo's files.",
)
@click.option(
    "--latency", type=float, default=0.0, metavar="SECONDS", help="Time that the sandbox adds to each send."
)
@click.option(
    "--error-rate",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="Share of sends that fail, from 0 to 1.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Origin of pages that may call the API, such as http://localhost:8080. Can be repeated.",
)
@click.option("--verbose", is_flag=True, help="Log everything that happens, not only what went wrong.")
def demo(
    *,
    host: str,
    port: int,
    sandbox_port: int,
    var: Path,
    latency: float,
    error_rate: float,
    origins: tuple[str, ...],
    verbose: bool,
) -> int:
    """Run the whole product on this machine, with a sandbox upstream."""
    return supervisor.run(
        DemoOptions(
            host=host,
            port=port,
            sandbox_port=sandbox_port,
            var=var,
            latency=latency,
            error_rate=error_rate,
            more_origins=origins,
            log_level="info" if verbose else "warning",
        )
    )
