"""API keys: their format, and the ring of keys issued while the service runs.

Knows keys and their hashes. Must not know what a key lets its holder do.
Start with `api_keys.py`, then `keyring.py`.
"""
