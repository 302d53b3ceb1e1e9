"""A stand-in of the upstream's HTTP API, with an inbox that people and tests can read.

Knows the other side of the wire only, so it imports nothing else of this product. Must not touch the disk,
and must not log a number, a code or a token: what it holds in clear it holds in memory.
"""

from otp_service.sandbox.app import Sandbox, create_sandbox
from otp_service.sandbox.config import SandboxConfig
from otp_service.sandbox.outcomes import FORCED, Forced, Outcome

__all__ = ["FORCED", "Forced", "Outcome", "Sandbox", "SandboxConfig", "create_sandbox"]
