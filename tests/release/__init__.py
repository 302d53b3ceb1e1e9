"""What leaves the house: the packages of a version, the list of their parts, their hashes and a signature.

Knows how a release is made and judged. Must not know how the service works. Start with `__main__.py`.
"""
