"""How long what is signed is valid, for those who must know this and sign nothing.

Must not import what signs: an operator's command shows these times, and starts without it.
"""

TOKEN_LIFETIME = 300
"""Seconds for which a verification token is valid."""
DEVICE_LIFETIME = 180 * 86400
"""Seconds for which a device or a session that verified a number counts as known."""
