"""SHA256SUMS of a release and its signature with an SSH key, as docs/deploy.md checks them."""

import hashlib
import subprocess
from pathlib import Path

NAMESPACE = "otp-service"
"""What the signature is for: one that was made for something else does not count."""


def write(folder: Path) -> None:
    """Write the hash of each file that is there."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def sign(folder: Path, key: Path) -> None:
    """Write SHA256SUMS.sig with the releaser's key. Raises RuntimeError if the key cannot sign."""
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(folder / "SHA256SUMS")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ssh-keygen: {done.stderr.strip()}")
