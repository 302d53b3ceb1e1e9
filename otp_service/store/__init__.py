"""The one way to Redis: the client, the scripts, partitions, due queues, and small facts with a lifetime.

Knows addresses, time limits and retries. Must not know what is stored or why.
Start with `scripts.py`; `connection.py` makes the client.
"""
