"""The composition root: settings and a policy become a running core.

Each floor adds parts to the one below, and a process takes the lowest that has what it needs: `foundation.py` (stores,
policy versions, key rings), `operations.py` (what operators do with the store alone), `editing.py` (what they do with
the policy), `verifying.py` (what apps ask for) and `core.py` (all).

Knows every class and how the parts fit together; must not know HTTP or a terminal. Start with `foundation.py`.
"""
