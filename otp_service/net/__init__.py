"""Outgoing connections: limited in time and size. If an app chose the address, they reach public hosts only.

Knows sockets and TLS. Must not know what is sent.
Start with `bounded.py`.
"""
