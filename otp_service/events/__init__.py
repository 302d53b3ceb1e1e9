"""What apps are told about their challenges, by signed webhooks.

Knows the events, their queue and the Standard Webhooks form; must not hold up a code.
Start with `from_challenge.py`, then `outbox.py` and `sender.py`.
"""
