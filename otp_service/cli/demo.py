"""The command `demo`. Knows its options; must not know how the demo works."""

import argparse
from pathlib import Path

from otp_service.demo import supervisor
from otp_service.demo.options import DemoOptions

_LAST_PORT = 65535


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="where the API and the sandbox listen")
    parser.add_argument("--port", type=_port, default=8000, help="port of the API")
    parser.add_argument("--sandbox-port", type=_port, default=8001, help="port of the sandbox upstream")
    parser.add_argument(
        "--var", type=Path, default=Path("var"), metavar="DIR", help="folder for the demo's files"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="time the sandbox adds to each send"
    )
    parser.add_argument(
        "--error-rate", type=float, default=0.0, metavar="SHARE", help="share of sends that fail, 0 to 1"
    )


def run(chosen: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    return supervisor.run(
        DemoOptions(
            host=chosen.host,
            port=chosen.port,
            sandbox_port=chosen.sandbox_port,
            var=chosen.var,
            latency=chosen.latency,
            error_rate=chosen.error_rate,
        )
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:6]) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to {_LAST_PORT}")
    return int(text)
