"""What apps do with a challenge: send, resend, check, read, cancel, redeem.

Brings the rules and the store together, one module for each act. Must not know HTTP, Redis or vendors.
Start with `send.py`, then `check.py`.
"""
