"""The composition root: settings and a policy become a running core.

Knows every class and how the parts fit together; must not know HTTP or a terminal.
Start with `core.py`. `foundation.py` is the small part of it that an operator's command needs.
"""
