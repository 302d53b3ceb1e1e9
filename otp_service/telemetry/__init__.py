"""The log and the metrics.

Knows what secrets and numbers look like, so that none gets out. Must not know what happens in the product.
Start with `logs.py`.
"""
