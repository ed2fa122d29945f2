"""Bringing over what an installation of UFDL holds."""
