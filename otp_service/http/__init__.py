"""The HTTP layer: who calls, what is asked, and how answers and problems look.

Knows Flask, schemas and status codes; must not know how anything is done.
Start with `app.py`, then `public.py`, the calls of apps.
"""
