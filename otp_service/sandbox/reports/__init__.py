"""What happens after a message was accepted: its statuses, one after the other, and reports to webhooks.

Knows status words, report bodies, signatures and retries. Must not know requests to the API or the inbox pages.
Start with `settling.py`; `bodies.py` has the content of a report, `pushes.py` sends it.
"""
