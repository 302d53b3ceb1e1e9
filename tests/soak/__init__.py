"""A soak: clients that keep a history while everything around them fails, and a judge who reads what they kept.

Knows which faults there are and what must hold through all of them. Must not know how the product works inside.
Start with `__main__.py`: `stand.py` is what runs, `faults.py` what breaks it, `clients.py` who uses it, `judge.py` what
is demanded.
"""
