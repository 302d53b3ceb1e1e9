"""The operators' HTTP API, one module for each subject.

Knows paths, roles and schemas. Must not decide anything: the command line calls the same `ops/`.
Start with `policy.py`.
"""
