"""What needs a person now, and the operators' own endpoint, which is told when it begins and when it is over.

Knows where each state is read, and from when on it needs someone. Must not know how it came about, or how a page looks.
Start with `lookout.py`, then `bulletin.py` and `teller.py`.
"""
