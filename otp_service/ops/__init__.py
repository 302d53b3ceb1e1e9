"""What operators do, shared by the command line and the HTTP API.

Knows the acts and what the audit log says of them; must not know HTTP or a terminal.
Start with `policy_changes.py`, then the module that is named after the act.
"""
