"""The events that apps receive about their challenges, as signed webhooks.

Knows the events, their queue and the Standard Webhooks format. Must not delay the delivery of a code.
Start with `from_challenge.py`, then `outbox.py` and `sender.py`.
"""
