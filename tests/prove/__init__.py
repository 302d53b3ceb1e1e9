"""The headline figures: what is claimed of the product, each measured by one command and kept as evidence.

Knows what is claimed and how it is judged; the parts that attack and measure are those of the tests and benchmarks.
Start with `__main__.py`: one module for each figure, and `evidence.py` for what is kept of it.
"""
