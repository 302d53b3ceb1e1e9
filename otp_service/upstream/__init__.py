"""The port to upstream accounts, how well each account is, and the adapter for MOBtexting.

Knows messages, outcomes and breakers; must not know challenges.
Start with `port.py`; vendor words are in `mobtexting/` only.
"""
