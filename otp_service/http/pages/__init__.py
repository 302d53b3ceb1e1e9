"""What browsers load from this service: the form, the human check's widget, and an example page for a first try.

Knows files and headers. Must not know any call of the API: the page calls it as the page of any app would.
Start with `scripts.py`.
"""
