"""`import entrepot` has the client and every error it may raise."""

from __future__ import annotations

import entrepot
from entrepot.model import errors


def test_every_error_can_be_caught_by_its_name() -> None:
    missing = [name for name in errors.__all__ if name[0].isupper() and name not in entrepot.__all__]
    assert missing == []
    assert entrepot.StaleRevision is errors.StaleRevision


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(entrepot, "Nonsense")
    assert set(entrepot.__all__) <= set(dir(entrepot))
