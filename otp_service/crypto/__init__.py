"""Hashes of codes, sealed numbers and signed tokens.

Knows keys and algorithms. Must not know when anything is hashed, sealed or signed.
Start with `code_hashes.py`.
"""
