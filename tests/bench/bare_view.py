"""A Flask view that reads JSON and answers with JSON, under our server: what a request costs before the product begins.

python -m tests.bench.bare_view PORT
"""

import sys
from typing import Any

from flask import Flask, request

from otp_service.http.problems import raw_problem
from otp_service.http.server import processes

PROCESSES, THREADS, MAX_BODY = 2, 8, 16 * 1024


def make_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)

    @app.post("/")
    def read() -> dict[str, Any]:
        return {"to": request.get_json()["to"]}

    return app


def main() -> None:
    """Serve until told to stop."""
    processes.serve(
        make_app,
        prepare=lambda: make_app,
        refuse=raw_problem,
        listen=[f"127.0.0.1:{sys.argv[1]}"],
        processes=PROCESSES,
        threads=THREADS,
        max_body=MAX_BODY,
        probes=(),
        on_start=lambda: None,
    )


if __name__ == "__main__":
    main()
