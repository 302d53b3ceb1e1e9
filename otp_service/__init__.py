"""Self-hosted service that proves a person holds a phone number."""

__version__ = "0.1.0"
