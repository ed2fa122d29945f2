"""The Flow door, at /flow/api."""
