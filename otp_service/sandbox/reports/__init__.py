"""What follows after a message was accepted: status by status, and the webhooks that are told.

Knows status words, report bodies, signatures and retries. Must not know requests to the API or the inbox pages.
Start with `settling.py`; `bodies.py` says what a report contains, `pushes.py` sends it.
"""
