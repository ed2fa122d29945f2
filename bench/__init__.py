"""Benchmarks: how fast, how much memory, beside what. `python -m bench --list` names them."""
