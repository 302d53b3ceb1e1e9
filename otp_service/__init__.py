"""Self-hosted service that proves a person holds a phone number.

Knows its version. Must not import anything: docs/design.md says what each folder decides.
Start with `cli/serve.py` and `cli/worker.py`, the two processes, or with `verification/send.py`.
"""

__version__ = "1.0.0"
