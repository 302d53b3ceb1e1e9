"""The HTTP edge: who calls, what they ask, and how an answer or a problem looks.

Knows Flask, schemas and status codes; must not know how anything is done.
Start with `app.py`, then `public.py`, the calls of apps.
"""
