"""Every test of this door may ask for the premises, which a whole module shares."""

from __future__ import annotations

from tests.support.browsing import premises as premises
