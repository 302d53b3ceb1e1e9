"""How a code reaches a person: the worker, the dispatcher that sends, and what delivery reports change.

Knows the order of a send and of a fallback, and brings rules, store and upstreams together. Must not know Redis
or vendors.
Start with `worker.py`, then `dispatcher.py`.
"""
