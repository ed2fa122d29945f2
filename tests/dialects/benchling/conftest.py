"""Every test of this door may ask for a `lab`, or for one that a whole module shares."""

from __future__ import annotations

from tests.support.benchling import fresh_lab as fresh_lab
from tests.support.benchling import lab as lab
from tests.support.benchling import shared_lab as shared_lab
