"""The whole product on one machine, with an embedded store and the sandbox as its upstream.

Knows which processes run, with which settings, and how they are kept running. Must not know what they do.
Start with `supervisor.py`; `processes.py` says what is started, `policy.toml` is the policy.
"""
