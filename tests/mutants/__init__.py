"""Breaks the pure modules, one expression at a time, and sees whether a test of that module notices.

mutmut changes and runs; `found.py` reads what became of each change, `reasons.py` says why some may survive. The
modules and their tests are in pyproject.toml. Functions are changed, tables at the top of a module are not.
"""
