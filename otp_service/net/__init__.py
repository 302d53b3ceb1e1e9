"""Outgoing connections: bounded in time and size, and, for addresses that others chose, to public hosts only.

Knows sockets and TLS; must not know what is sent.
Start with `bounded.py`.
"""
