"""A challenge: its values, the moves between its states, and its record in the store.

Knows states, deliveries and deadlines. Must not know vendors, HTTP or why anything is limited.
Start with `model.py`, then `transitions.py` and `store.py`.
"""
