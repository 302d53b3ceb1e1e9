"""What apps do with a challenge: send, resend, check, look, cancel, redeem.

Brings the rules and the store together; must not know HTTP, Redis or vendors.
Start with `service.py`.
"""
