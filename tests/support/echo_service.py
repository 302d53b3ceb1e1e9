"""Serves a few lines of WSGI by the product's own processes: `python -m tests.support.echo_service PORT FILE SECONDS`.

Each answer is the content that FILE had when the process was made, and the process's id. /stuck is never answered, and
its process is replaced after so many seconds.
A process that ends leaves a file beside FILE, with its id at the end of the name.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

from otp_service.http.problems import raw_problem
from otp_service.http.server import processes
from otp_service.http.server.bounds import Bounds
from otp_service.telemetry.logs import start_logging
from tests.support.patience import PATIENCE
from tests.support.ports import HOST


def main(port: str, file: str, answering: str) -> None:
    """Serve until told to stop."""

    def make_app() -> Any:  # noqa: ANN401 - WSGI
        text = f"{Path(file).read_text()} {os.getpid()}".encode()

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333
            if environ["PATH_INFO"] == "/stuck":
                threading.Event().wait()
            start_response("200 OK", [("Content-Length", str(len(text)))])
            return [text]

        return answer

    start_logging("echo", "info")
    processes.serve(
        make_app,
        prepare=lambda: make_app,
        refuse=raw_problem,
        listen=[f"{HOST}:{port}"],
        processes=2,
        threads=4,
        max_body=1024,
        probes=(),
        on_start=lambda: None,
        on_end=lambda _: Path(f"{file}.{os.getpid()}").touch(),
        bounds=Bounds(answering=float(answering), request=PATIENCE, waiting=PATIENCE),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
