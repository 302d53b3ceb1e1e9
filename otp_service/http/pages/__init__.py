"""What browsers load from this service: the human check's widget, and an example page for a first try.

Knows files and headers. Must not know any call of the API; the page itself calls it as any app's page would.
"""
