"""The operators' console: pages for browsers, written by the server, that read and act without JavaScript.

Knows forms, sessions, templates and pictures; must not know how anything is done: each page asks the same use cases as
the operators' API, and decides nothing.
Start with `site.py`, then `frame.py`; each page is a module.
"""
