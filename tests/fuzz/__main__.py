"""Calls a running service as openapi.yaml allows, and as it does not, with Schemathesis and all of its checks.

`python -m tests.fuzz --seconds 90` starts the demo, calls it with the keys of an app and of an operator, and exits
with 1 if an answer is not what openapi.yaml says.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.house.test_sizes import PROJECT
from tests.support.demo_process import Demo

HERE = Path(__file__).parent
SHARES = (
    ("Operators", "ops_key", 0.45),
    ("Verification", "secret_key", 0.3),
    ("Verification", "publishable_key", 0.1),
)
SHORT = (("Tokens", "secret_key", 0.05), ("Callbacks", "webhook_secret", 0.05), ("Health", "ops_key", 0.05))
"""Which calls are made, with which key, and for how much of the time."""
COMMAND = (
    *(
        "--checks=all",
        "--exclude-checks=use_after_free",
    ),  # a DELETE cancels a challenge, which stays readable
    *("--continue-on-failure", "--no-color", "--request-timeout=60", "--workers=1"),
)


def fuzz(demo: Demo, tag: str, key: str, seconds: int, *more: str) -> int:
    """Call everything under a heading of openapi.yaml; gives the exit code."""
    sys.stdout.write(f"{tag} with {key}\n")
    sys.stdout.flush()
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", str(PROJECT / "openapi.yaml"), "--url", demo.keys["api"], "--include-tag", tag),
            *(
                "--header",
                f"Authorization: Bearer {demo.keys[key]}",
                "--max-time",
                str(seconds),
                *COMMAND,
                *more,
            ),
        ],
        cwd=demo.folder,  # it keeps what it found in the folder where it runs
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(PROJECT)},
        check=False,
    ).returncode


def main(arguments: list[str]) -> int:
    """Start the demo and call it; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=90, help="time for all calls together; default: 90")
    parser.add_argument("--seed", type=int, help="make the calls of an earlier run again; default: new ones")
    options = parser.parse_args(arguments)
    seconds, seed = options.seconds, () if options.seed is None else ("--seed", str(options.seed))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing that was started stays
    with tempfile.TemporaryDirectory(prefix="otp-fuzz-") as folder:
        demo = Demo(Path(folder))
        try:
            codes = [
                fuzz(demo, tag, key, max(1, round(seconds * share)), *seed)
                for tag, key, share in (*SHARES, *SHORT)
            ]
        finally:
            demo.close()
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
