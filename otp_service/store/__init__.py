"""The one way to Redis: the client, the scripts, and small facts with a lifetime.

Knows addresses, time limits and retries; must not know what is stored or why.
Start with `scripts.py`.
"""
