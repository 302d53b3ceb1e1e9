"""Figures: how many were asked for, let in, sent, delivered and verified, and what two orders of steps can tell.

Knows which notes are counted, how counters are kept, read and added up, and how shares are compared. Must not know a
challenge, a number or a person: counters hold none. Start with `counting.py`, then `counters.py` and `summary.py`.
"""
