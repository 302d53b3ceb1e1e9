"""What apps do with a challenge: send, resend, check, read, cancel and redeem.

Knows the steps of each act, one module each, and brings rules and store together. Must not know HTTP, Redis or vendors.
Start with `send.py`, then `check.py`.
"""
