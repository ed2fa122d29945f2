"""Nouns and rules: plain Python, no I/O, no third party. Everything else stands on this floor."""
