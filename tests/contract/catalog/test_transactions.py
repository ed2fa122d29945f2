"""What `Catalog.read` and `Catalog.write` promise, on both databases."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, make_url, select, update

from entrepot.catalog.database import Catalog, ConstraintViolated, Contended, NotYet
from entrepot.catalog.postgres import require_version
from entrepot.catalog.schema import dataset, installation, version, word
from entrepot.model.errors import DiskFull, Invalid, NotFound, Unavailable, Unsupported
from tests.support.postgres import PostgresServer


def add(conn: Connection, text: str) -> None:
    conn.execute(insert(word).values(text=text))


def words(catalog: Catalog) -> set[str]:
    with catalog.read() as conn:
        return set(conn.execute(select(word.c.text)).scalars())


def test_a_write_returns_its_value_and_is_seen_by_the_next_read(catalog: Catalog) -> None:
    assert catalog.write(lambda conn: (add(conn, "a"), 7)[1]) == 7
    assert words(catalog) == {"a"}


def test_a_failing_write_leaves_nothing_and_hands_its_error_out(catalog: Catalog) -> None:
    def work(conn: Connection) -> None:
        add(conn, "a")
        raise NotFound("no such thing")

    with pytest.raises(NotFound, match="no such thing"):
        catalog.write(work)
    assert words(catalog) == set()


def test_jobs_that_share_a_commit_fail_alone(catalog: Catalog) -> None:
    """Many at once, so that on SQLite they meet in one batch; every third fails after it wrote."""

    def one(n: int) -> bool:
        def work(conn: Connection) -> None:
            add(conn, f"w{n}")
            if n % 3 == 0:
                raise NotFound(str(n))

        try:
            catalog.write(work)
        except NotFound as error:
            return error.message != str(n)
        return True

    with ThreadPoolExecutor(24) as pool:
        done = list(pool.map(one, range(120)))
    assert done == [n % 3 != 0 for n in range(120)]
    assert words(catalog) == {f"w{n}" for n in range(120) if n % 3}


def test_a_bulk_write_and_its_neighbours_all_arrive(catalog: Catalog) -> None:
    def one(n: int) -> None:
        catalog.write(lambda conn: add(conn, f"w{n}"), bulk=n % 5 == 0)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(100)))
    assert len(words(catalog)) == 100


def test_hooks_run_once_after_the_commit_and_never_after_a_rollback(catalog: Catalog) -> None:
    seen: list[tuple[str, bool]] = []

    def good(conn: Connection) -> None:
        add(conn, "a")
        catalog.after_commit(conn, lambda: seen.append(("good", "a" in words(catalog))))

    def bad(conn: Connection) -> None:
        catalog.after_commit(conn, lambda: seen.append(("bad", False)))
        raise NotFound("x")

    catalog.write(good)
    with pytest.raises(NotFound):
        catalog.write(bad)
    assert seen == [("good", True)]


def test_a_hook_that_fails_does_not_make_the_commit_look_failed(catalog: Catalog) -> None:
    ran: list[int] = []

    def work(conn: Connection) -> str:
        add(conn, "a")
        catalog.after_commit(conn, lambda: 1 // 0)  # type: ignore[arg-type]
        catalog.after_commit(conn, lambda: ran.append(1))
        return "done"

    assert catalog.write(work) == "done"
    assert ran == [1]


def test_preparation_runs_outside_of_the_transaction_and_then_the_work_again(catalog: Catalog) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> int:
        runs.append(len(words(catalog)))
        add(conn, "from work")
        if len(runs) == 1:
            raise NotYet(lambda c: c.write(lambda inner: add(inner, "prepared")))
        return len(runs)

    assert catalog.write(work) == 2
    assert runs == [0, 1]
    assert words(catalog) == {"prepared", "from work"}


def test_endless_preparation_is_refused(catalog: Catalog) -> None:
    def work(conn: Connection) -> None:
        raise NotYet(lambda c: None)

    with pytest.raises(Unavailable):
        catalog.write(work)


def test_work_may_not_commit(catalog: Catalog) -> None:
    def work(conn: Connection) -> None:
        add(conn, "a")
        conn.commit()

    with pytest.raises(RuntimeError, match="must not commit"):
        catalog.write(work)
    assert words(catalog) == set()
    catalog.write(lambda conn: add(conn, "b"))
    assert words(catalog) == {"b"}


def test_a_commit_inside_of_work_does_not_harm_those_who_share_the_batch(catalog: Catalog) -> None:
    def one(n: int) -> bool:
        def work(conn: Connection) -> None:
            add(conn, f"w{n}")
            if n % 7 == 0:
                conn.commit()

        try:
            catalog.write(work)
        except RuntimeError:
            return False
        return True

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(one, range(70))) == [n % 7 != 0 for n in range(70)]
    assert words(catalog) == {f"w{n}" for n in range(70) if n % 7}


def test_work_may_take_back_a_part_of_itself(catalog: Catalog) -> None:
    def work(conn: Connection) -> None:
        add(conn, "a")
        with contextlib.suppress(ConstraintViolated), conn.begin_nested():
            add(conn, "b")
            add(conn, "a")
        add(conn, "c")

    catalog.write(work)
    assert words(catalog) == {"a", "c"}


def test_work_sees_the_context_variables_of_its_caller(catalog: Catalog) -> None:
    name = contextvars.ContextVar("name", default="nobody")
    name.set("somebody")
    assert catalog.write(lambda conn: name.get()) == "somebody"


def test_a_read_shows_one_moment(catalog: Catalog) -> None:
    count = select(func.count()).select_from(word)
    catalog.write(lambda conn: add(conn, "a"))
    with catalog.read() as conn:
        assert conn.execute(count).scalar_one() == 1
        catalog.write(lambda inner: add(inner, "b"))
        assert conn.execute(count).scalar_one() == 1
    with catalog.read() as conn:
        assert conn.execute(count).scalar_one() == 2


def test_reads_of_one_moment_see_nothing_that_came_between_them(catalog: Catalog) -> None:
    with catalog.one_moment(), ThreadPoolExecutor(1) as elsewhere:
        assert words(catalog) == set()
        elsewhere.submit(catalog.write, lambda conn: add(conn, "a")).result()
        with catalog.one_moment():
            assert words(catalog) == set()
        assert words(catalog) == set()
        assert elsewhere.submit(words, catalog).result() == {"a"}, "it is this thread's moment"
    assert words(catalog) == {"a"}


def test_a_write_or_an_error_ends_a_moment(catalog: Catalog) -> None:
    with catalog.one_moment(), ThreadPoolExecutor(1) as elsewhere:
        assert words(catalog) == set()
        catalog.write(lambda conn: add(conn, "a"))
        assert words(catalog) == {"a"}
        elsewhere.submit(catalog.write, lambda conn: add(conn, "b")).result()
        with pytest.raises(NotFound), catalog.read():
            raise NotFound("no such thing")
        assert words(catalog) == {"a", "b"}
        with pytest.raises(Exception, match="nothing_of_the_kind"), catalog.read() as conn:
            conn.exec_driver_sql("SELECT nothing_of_the_kind")
        assert words(catalog) == {"a", "b"}


def test_who_reads_when_a_moment_ends_goes_on_reading(catalog: Catalog) -> None:
    count = select(func.count()).select_from(word)
    with contextlib.ExitStack() as later:
        with catalog.one_moment():
            conn = later.enter_context(catalog.read())
            assert conn.execute(count).scalar_one() == 0
            catalog.write(lambda inner: add(inner, "a"))
        assert conn.execute(count).scalar_one() == 0
        assert words(catalog) == {"a"}
    assert words(catalog) == {"a"}


def test_a_read_cannot_write(catalog: Catalog) -> None:
    with pytest.raises(Exception, match=r"read-?only"), catalog.read() as conn:
        add(conn, "a")
    assert words(catalog) == set()


def test_reads_run_beside_each_other_and_beside_a_write(catalog: Catalog) -> None:
    inside = threading.Barrier(9, timeout=30)

    def reader(_: int) -> int:
        with catalog.read() as conn:
            found = conn.execute(select(func.count()).select_from(word)).scalar_one()
            inside.wait()
            return int(found)

    def work(conn: Connection) -> None:
        add(conn, "a")
        inside.wait()

    with ThreadPoolExecutor(9) as pool:
        reading = [pool.submit(reader, n) for n in range(8)]
        pool.submit(catalog.write, work).result()
        assert [r.result() for r in reading] == [0] * 8


def test_a_broken_rule_names_the_same_constraint_on_both_databases(catalog: Catalog) -> None:
    with pytest.raises(ConstraintViolated) as caught:
        catalog.write(lambda conn: (add(conn, "a"), add(conn, "a")))
    assert (caught.value.kind, caught.value.constraint) == ("unique", "uq_word_text")

    with pytest.raises(ConstraintViolated) as caught:
        catalog.write(lambda conn: [conn.execute(insert(installation).values(key="k", value=1)) for _ in range(2)])
    assert (caught.value.kind, caught.value.constraint) == ("unique", "pk_installation")

    with pytest.raises(ConstraintViolated) as caught:
        catalog.write(lambda conn: conn.execute(insert(word).values(text=None)))
    assert (caught.value.kind, caught.value.constraint) == ("not_null", "word.text")


def test_a_row_that_points_nowhere_is_refused(catalog: Catalog, clock: object) -> None:
    row = {"uid": __import__("uuid").UUID(int=1), "project": 99, "name": "n", "slug": "s", "created_at": clock()}  # type: ignore[operator]
    with pytest.raises(ConstraintViolated) as caught:
        catalog.write(lambda conn: conn.execute(insert(dataset).values(row)))
    assert caught.value.kind == "foreign_key"


def test_partial_unique_indexes_are_named_too() -> None:
    from entrepot.catalog.failures import _unique_names

    assert _unique_names()["version.project", "version.alias"] == "uq_version_alias_active"
    assert set(_unique_names()) >= {("version.dataset", "version.number")}
    assert version.name == "version"


def test_concurrent_increments_are_all_counted(catalog: Catalog) -> None:
    catalog.write(lambda conn: conn.execute(insert(installation).values(key="n", value=0)))

    def work(conn: Connection) -> None:
        row = select(installation.c.value).where(installation.c.key == "n").with_for_update()
        value = conn.execute(row).scalar_one()
        conn.execute(update(installation).where(installation.c.key == "n").values(value=value + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: catalog.write(work), range(80)))
    with catalog.read() as conn:
        assert conn.execute(select(installation.c.value)).scalar_one() == 80


def test_deadlocked_writers_are_tried_again(catalog: Catalog) -> None:
    """Two transactions take two rows in opposite order; on PostgreSQL one is chosen as victim and runs again."""
    catalog.write(lambda conn: [conn.execute(insert(installation).values(key=k, value=0)) for k in "ab"])
    meet = threading.Barrier(2)

    def bump(first: str, second: str, runs: list[int]) -> None:
        def work(conn: Connection) -> None:
            runs.append(1)
            take(conn, first)
            if len(runs) == 1 and catalog.dialect == "postgresql":
                meet.wait(timeout=30)
            take(conn, second)

        catalog.write(work)

    def take(conn: Connection, key: str) -> None:
        row = select(installation.c.value).where(installation.c.key == key).with_for_update()
        value = conn.execute(row).scalar_one()
        conn.execute(update(installation).where(installation.c.key == key).values(value=value + 1))

    runs: tuple[list[int], list[int]] = ([], [])
    with ThreadPoolExecutor(2) as pool:
        for future in (pool.submit(bump, "a", "b", runs[0]), pool.submit(bump, "b", "a", runs[1])):
            future.result()
    with catalog.read() as conn:
        assert list(conn.execute(select(installation.c.value)).scalars()) == [2, 2]
    assert sum(map(len, runs)) == (3 if catalog.dialect == "postgresql" else 2)


def test_contention_without_end_is_reported_as_unavailable(catalog: Catalog) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        runs.append(1)
        raise Contended("again")

    with pytest.raises(Unavailable):
        catalog.write(work)
    assert len(runs) == (1 if catalog.dialect == "sqlite" else 10)


def test_a_closed_catalogue_says_so(catalog: Catalog) -> None:
    catalog.close()
    with pytest.raises(Unavailable, match="closed"):
        catalog.write(lambda conn: None)
    with pytest.raises(Unavailable, match="closed"), catalog.read():
        pass


def test_strange_addresses_are_refused_without_repeating_them(tmp_path: Path, clock: object) -> None:
    for address in ("mysql://u:secret@h/db", "sqlite://", "post gres://secret", ":memory:"):
        with pytest.raises(Invalid) as caught:
            Catalog.open(address, clock=clock)  # type: ignore[arg-type]
        assert "secret" not in caught.value.message


def test_a_database_that_refuses_says_why(postgres_server: PostgresServer, clock: Any) -> None:
    """It is an operator who reads this, with a wrong line in the settings."""
    postgres_server.execute("create role guest login")
    try:
        with postgres_server.database() as name:
            whole = make_url(postgres_server.url(name))
            for url, said in (
                (whole.set(username="guest"), "may not do this"),
                (whole.set(database="nothere"), "nothere"),
                (whole.set(username="nobodyhere"), "nobodyhere"),
                (whole.set(port=1), "cannot be reached"),
            ):
                opened = Catalog.open(url.render_as_string(hide_password=False), clock=clock)
                with closing(opened) as catalog, pytest.raises(Unavailable, match=said):
                    catalog.upgrade()
    finally:
        postgres_server.execute("drop role guest")


@pytest.mark.parametrize("catalog_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("state", "said"),
    [("53100", "No space left on device"), ("XX000", "Disk quota exceeded")],
    ids=["disk", "quota before PostgreSQL 16"],
)
def test_a_database_without_room_says_so(catalog: Catalog, state: str, said: str) -> None:
    """What the server says when a file of its cannot grow, said by a function of its own."""
    statement = f"DO $$ BEGIN RAISE 'could not extend file \"base/5/1\": {said}' USING ERRCODE = '{state}'; END $$"

    def work(conn: Connection) -> None:
        add(conn, "a")
        conn.exec_driver_sql(statement)

    with pytest.raises(DiskFull, match="nothing was changed"):
        catalog.write(work)
    assert words(catalog) == set()


@pytest.mark.parametrize(("number", "named"), [(90624, r"9\.6"), (120018, "12")])
def test_a_database_that_is_too_old_is_refused(number: int, named: str) -> None:
    with pytest.raises(Unsupported, match=f"PostgreSQL {named}\\."):
        require_version(number)
    require_version(130000)
