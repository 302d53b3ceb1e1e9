"""The whole product on one machine, with an embedded store and the sandbox as its upstream.

Knows processes and how they are supervised; must not know what they do.
Start with `supervisor.py`.
"""
