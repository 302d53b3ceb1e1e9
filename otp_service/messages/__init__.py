"""Texts: what a code's message says in each language, how it is counted, and what people answer.

Knows words, alphabets and sizes. Must not know who sends a text, or when.
Start with `templates.py`.
"""
