"""The exit codes of all commands; 0 is success.

Must not know which command ends with which.
"""

FAILED = 1
MISCONFIGURED = 2
"""For wrong settings or options."""
