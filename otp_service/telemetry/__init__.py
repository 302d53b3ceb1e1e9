"""The log and the metrics.

Knows how secrets and numbers look, so that none gets out; must not know what happens in the product.
Start with `logs.py`.
"""
