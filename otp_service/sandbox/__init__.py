"""A stand-in for the upstream's HTTP API, with an inbox that people and tests can read.

Knows only the other side of the wire, so it imports nothing else of this product. Must not touch the disk, and must
not log a number, a code or a token: it holds them in memory only.
Start with `app.py`, which puts `api/`, `reports/` and `phone/` together.
"""

from otp_service.sandbox.app import Sandbox, create_sandbox
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.outcomes import FORCED, Forced, Outcome

__all__ = ["FORCED", "Forced", "Outcome", "Sandbox", "SandboxConfig", "create_sandbox"]
