"""Benchmarks: ratios within one run on one machine. `make bench` prints the table; CI only sees that they run."""
