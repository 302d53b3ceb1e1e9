"""The person's side: the inbox as a page and as JSON, replies, and the controls that force outcomes.

Knows what people and tests see and change. Must not know how a message came in.
Start with `pages.py`; `controls.py` has everything that changes something.
"""
