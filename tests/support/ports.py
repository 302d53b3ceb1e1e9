"""Ports for servers of tests: those that integrators' tests use, too."""

from otp_service.testing.ports import HOST, free_port

__all__ = ["HOST", "free_port"]
