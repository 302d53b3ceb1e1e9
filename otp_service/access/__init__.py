"""Who may call: API keys, how they look, and the ring of issued keys.

Knows keys and their hashes; must not know what a key lets its holder do.
Start with `api_keys.py`, then `keyring.py`.
"""
