"""A shop that signs people up, signs them in and confirms payments: what an app's backend looks like, to copy from.

Knows the service by its HTTP API only, as any app does. Must not know how the service works, nor import its parts.
Start with `shop.py`; `phone.py` is the phone beside the shop, which no real shop has.
"""
