"""The port to upstream accounts, their circuit breakers, and the adapter for MOBtexting.

Knows messages, outcomes and breakers. Must not know challenges.
Start with `port.py`. The vendor's words are in `mobtexting/` only.
"""
