"""The vendor's HTTP API v2 as customers call it: routes, tokens, the fields of each call, accepted messages.

Knows the documented requests and answers. Must not know how reports travel or what a person sees on the phone.
Start with `routing.py`, then `sms.py`; every accepted message passes through `switchboard.py`.
"""
