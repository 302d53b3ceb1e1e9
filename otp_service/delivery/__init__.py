"""How a code reaches a person: workers, the dispatcher that sends, and what delivery reports and replies change.

Knows the order of a send and of a fallback, and brings rules, store and upstreams together. Must not know vendors.
Start with `worker.py`, then `dispatcher.py`; `receipts.py` for delivery reports.
"""
