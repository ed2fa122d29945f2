"""Error tables: total, leaves before kinds, and data that a test can read."""

from __future__ import annotations

import pytest

from entrepot.http.errors import ErrorTable
from entrepot.model import errors
from entrepot.model.errors import EntrepotError, Invalid, all_leaves

KINDS = {kind: 400 + at for at, kind in enumerate(EntrepotError.__subclasses__())}


def test_a_table_of_the_ten_kinds_covers_every_leaf() -> None:
    table = ErrorTable(KINDS)
    assert len(KINDS) == 10
    assert table.uncovered() == []
    assert set(table.rows()) == set(all_leaves())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_table_without_a_kind_is_refused(kind: type[EntrepotError]) -> None:
    with pytest.raises(Invalid, match=rf"no status for .*\b{kind.__name__}\b"):
        ErrorTable({other: status for other, status in KINDS.items() if other is not kind})


@pytest.mark.parametrize("status", [0, 200, 302, 399, 600])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(Invalid, match=str(status)):
        ErrorTable(KINDS, {errors.Frozen: status})


def test_a_leaf_goes_before_its_kind() -> None:
    table = ErrorTable(KINDS, {errors.NameTaken: 499})
    assert table.status(errors.NameTaken("x")) == 499
    assert table.status(errors.Frozen("x")) == KINDS[errors.Conflict]


def test_a_class_below_a_leaf_follows_it() -> None:
    class TakenTwice(errors.NameTaken):
        code = "taken_twice"

    assert ErrorTable(KINDS, {errors.NameTaken: 499}).status(TakenTwice) == 499


def test_callers_without_credentials_may_be_told_something_else() -> None:
    table = ErrorTable(KINDS, {errors.Hidden: 403}, anonymous={errors.Hidden: 401})
    assert table.status(errors.Hidden("x")) == 403
    assert table.status(errors.Hidden("x"), anonymous=True) == 401
    assert table.status(errors.NotFound("x"), anonymous=True) == table.status(errors.NotFound("x"))


def test_a_row_for_a_leaf_goes_before_an_anonymous_row_for_its_kind() -> None:
    table = ErrorTable(KINDS, {errors.Hidden: 404}, anonymous={errors.Forbidden: 401})
    assert table.status(errors.Hidden("x"), anonymous=True) == 404
    assert table.status(errors.Forbidden("x"), anonymous=True) == 401


def test_the_bare_root_is_a_server_error() -> None:
    assert ErrorTable(KINDS).status(EntrepotError("x")) == 500
