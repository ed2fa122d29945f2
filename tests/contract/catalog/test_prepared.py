"""A prepared statement answers as Core does, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, insert, select, update

from entrepot.catalog.database import Catalog, ConstraintViolated
from entrepot.catalog.prepared import FirstRow, Prepared
from entrepot.catalog.schema import user, word

AT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
GIVEN = {
    "uid": UUID(int=7),
    "name": "ada",
    "email": "ada@example.org",
    "first_name": "",
    "last_name": "",
    "is_staff": True,
    "is_active": True,
    "epoch": 3,
    "settings": {"a": 1},
    "created_at": AT,
    "last_login_at": None,
}

ADD = Prepared(insert(user).returning(user.c.id), GIVEN)
BY_NAME = select(*(user.c[name] for name in GIVEN)).where(user.c.name == bindparam("name"))
FIND = Prepared(BY_NAME)
RENAME = Prepared(update(user).where(user.c.id == bindparam("row")).values(name=bindparam("new_name")))
ADD_WORD = Prepared(insert(word), ("text",))


def add_ada(catalog: Catalog) -> int:
    return int(catalog.write(lambda conn: ADD(conn, GIVEN).scalar()))


def test_it_writes_and_reads_values_of_every_type_as_core_does(catalog: Catalog) -> None:
    add_ada(catalog)
    for _ in range(2):
        with catalog.read() as conn:
            row = FIND(conn, {"name": "ada"}).first()
            assert tuple(row) == tuple(conn.execute(BY_NAME, {"name": "ada"}).one())
            assert (row.uid, row.created_at, row.last_login_at, row.is_staff) == (UUID(int=7), AT, None, True)
            assert row.settings == {"a": 1}
            assert FIND(conn, {"name": "bob"}).first() is None


def test_a_first_row_is_taken_apart_once_and_anew_as_soon_as_it_is_another(catalog: Catalog) -> None:
    n = add_ada(catalog)
    made: list[str] = []

    def make(row: Any) -> tuple[str, bool]:
        made.append(row.name)
        return row.name, row.is_active

    of = select(user.c.name, user.c.is_active, user.c.created_at).where(user.c.id == bindparam("n"))
    person, with_list = FirstRow(Prepared(of), make), FirstRow(Prepared(of.add_columns(user.c.settings)), make)

    def seen(one: FirstRow[tuple[str, bool]]) -> tuple[str, bool] | None:
        with catalog.read() as conn:
            return one(conn, {"n": n})

    assert [seen(person), seen(person), made] == [("ada", True), ("ada", True), ["ada"]]
    catalog.write(lambda conn: conn.execute(update(user).values(is_active=False)).rowcount)
    assert [seen(person), made] == [("ada", False), ["ada", "ada"]]
    # What is no key, as a value that the driver of PostgreSQL has parsed, is not remembered.
    assert seen(with_list) == seen(with_list) == ("ada", False)
    with catalog.read() as conn:
        assert person(conn, {"n": n + 1}) is None


def test_it_says_how_many_rows_it_changed(catalog: Catalog) -> None:
    n = add_ada(catalog)
    changed = catalog.write(lambda conn: [RENAME(conn, {"row": row, "new_name": "eve"}).rowcount for row in (n, n + 1)])
    assert changed == [1, 0]
    with catalog.read() as conn:
        assert FIND(conn, {"name": "eve"}).first().uid == UUID(int=7)


def test_what_a_driver_says_is_translated(catalog: Catalog) -> None:
    add_ada(catalog)
    with pytest.raises(ConstraintViolated):
        catalog.write(lambda conn: ADD(conn, GIVEN))


def test_a_read_that_begins_with_it_sees_one_moment_to_its_end_also_through_core(catalog: Catalog) -> None:
    with catalog.read() as conn:
        assert FIND(conn, {"name": "ada"}).first() is None
        add_ada(catalog)
        assert conn.execute(BY_NAME, {"name": "ada"}).first() is None
        assert FIND(conn, {"name": "ada"}).first() is None
    with catalog.read() as conn:
        assert FIND(conn, {"name": "ada"}).first() is not None


def test_a_write_that_fails_takes_back_what_it_wrote(catalog: Catalog) -> None:
    def work(conn: object) -> None:
        ADD_WORD(conn, {"text": "a"})  # type: ignore[arg-type]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        catalog.write(work)
    with catalog.read() as conn:
        assert conn.execute(select(word.c.text)).first() is None


def test_a_statement_whose_text_depends_on_its_values_is_refused(catalog: Catalog) -> None:
    listed = Prepared(select(user.c.id).where(user.c.name.in_(bindparam("names", expanding=True))))
    with catalog.read() as conn, pytest.raises(RuntimeError, match="another text"):
        listed(conn, {"names": ["ada"]})


@pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
def test_reads_that_follow_each_other_are_planned_once(catalog: Catalog) -> None:
    """psycopg prepares what it has sent five times, and forgets all of it when its connection rolls back."""
    for _ in range(8):
        with catalog.read() as conn:
            FIND(conn, {"name": "ada"})
    with catalog.read() as conn:
        prepared = conn.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars().all()
    assert any('FROM "user"' in statement for statement in prepared)
