"""The guard: decides whether a message may be sent, by rules, counters, pins and the human check.

Knows limits and what they count. Must not know what a send is for, HTTP or vendors.
Start with `README.md`, then `rules.py`, `limiter.py` and `admission.py`.
"""
