"""The operators' HTTP API, one module for each subject.

Knows paths, roles and schemas; must not decide anything, as the command line calls the same `ops/`.
Start with `policy.py`.
"""
