"""What browsers load from this service: the form `<otp-form>` and the human check's widget.

Knows files and headers. Must not know any call of the API: the page calls it as the page of any app would.
Start with `scripts.py`.
"""
