"""The command line, one file for each command, with the options beside the handler.

Knows terminals, options and exit codes; must not decide anything that the HTTP API decides too: that is in `ops/`.
Start with `main.py`, then `session.py`, which opens what an operator's command works on.
"""
