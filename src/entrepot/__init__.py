"""Entrepot: one home for data files, typed tables and record sets."""

from __future__ import annotations

from entrepot._version import __version__

__all__ = ["__version__"]
