"""The shipped test kit: contract suites, strategies and faulty stores for whoever writes a backend.

It may import anything; nothing imports it.
"""
