"""Every test of this door may ask for a `lab`, or for one that a whole module shares."""

from __future__ import annotations

from tests.support.datature import fresh_lab as fresh_lab
from tests.support.datature import lab as lab
from tests.support.datature import shared_lab as shared_lab
