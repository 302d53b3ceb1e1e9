"""How a code reaches a person: the worker, the dispatcher that sends, and what delivery reports change.

Brings the rules, the store and the upstreams together; must not know Redis or vendors.
Start with `worker.py`, then `dispatcher.py`.
"""
