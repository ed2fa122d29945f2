"""Contents: found again, placed, told of to those who may know, and ended only when nothing names them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from entrepot.catalog import collecting, contents, reach
from entrepot.catalog.entries import Put, Remove
from entrepot.catalog.failures import ConstraintViolated
from entrepot.catalog.schema import content, extent, live, membership, object_, upload, user, version
from entrepot.catalog.versions import Sight
from entrepot.model.digests import Digests
from entrepot.model.errors import Gone
from entrepot.model.values import Role, Visibility
from tests.support.histories import Histories

GRACE = timedelta(days=1)


def digests(text: str) -> Digests:
    data = text.encode()
    return Digests(len(data), hashlib.sha256(data).digest(), 1, 2)


def place(h: Histories, text: str, key: str | None = None) -> int:
    return h.write(
        lambda conn: contents.insert_placed(conn, digests(text), store="main", key=key or f"k-{text}", at=h.clock())
    )


def hit(h: Histories, *texts: str) -> dict[str, int]:
    by_digest = {digests(text).sha256: text for text in texts}
    found = h.write(lambda conn: contents.dedupe_hit(conn, list(by_digest), at=h.clock()))
    return {by_digest[sha256]: n for sha256, n in found.items()}


def condemn(h: Histories) -> list[int]:
    """Condemn all that nothing names and that was not marked for the grace."""
    before = h.clock() - GRACE
    with h.catalog.read() as conn:
        found, _ = collecting.unreferenced(conn, before=before, after=0, limit=1000)
    h.write(lambda conn: collecting.condemn(conn, found, before=before, at=h.clock()))
    return found


def doom(h: Histories, n: int) -> bool:
    return h.write(lambda conn: collecting.doom(conn, n, before=h.clock() - GRACE))


def object_states(h: Histories) -> dict[str, tuple[str, int]]:
    with h.catalog.read() as conn:
        return {row.key: (row.state, row.live_bytes) for row in conn.execute(select(object_))}


def test_placed_bytes_become_content_with_one_extent(histories: Histories) -> None:
    h = histories
    n = place(h, "hello")
    with h.catalog.read() as conn:
        assert contents.extents(conn, n) == [contents.Extent("main", "k-hello", 0, 5)]
        assert contents.size_of(conn, n) == 5
        assert contents.find(conn, digests("hello").sha256) == n
        assert contents.find_many(conn, [digests("hello").sha256, digests("x").sha256]) == {digests("hello").sha256: n}
        assert contents.object_known(conn, "main", "k-hello")
        assert not contents.object_known(conn, "other", "k-hello")
    assert object_states(h) == {"k-hello": ("placed", 5)}


def test_equal_bytes_placed_twice_are_one_content_and_the_second_object_is_for_the_collector(
    histories: Histories,
) -> None:
    h = histories
    assert place(h, "same", "one") == place(h, "same", "two")
    assert object_states(h) == {"one": ("placed", 4), "two": ("doomed", 0)}


def test_a_pack_names_its_members_and_counts_only_what_lives_in_it(histories: Histories) -> None:
    h = histories
    known = place(h, "known")
    pack = h.write(lambda conn: contents.reserve_object(conn, store="main", key="pack", kind="pack", at=h.clock()))
    members = {0: digests("a"), 1: digests("known"), 6: digests("bb"), 8: digests("a")}
    found = h.write(lambda conn: contents.insert_packed(conn, pack, 9, members, at=h.clock()))
    assert found[digests("known").sha256] == known
    assert object_states(h)["pack"] == ("placed", 3)
    with h.catalog.read() as conn:
        assert contents.extents(conn, found[digests("a").sha256]) == [contents.Extent("main", "pack", 0, 1)]
        assert contents.extents(conn, found[digests("bb").sha256]) == [contents.Extent("main", "pack", 6, 2)]


def test_members_of_a_pack_are_numbered_as_they_lie_where_nobody_else_writes(histories: Histories) -> None:
    """So a batch touches few pages of each index, and who goes from content to content reads the pack in its order."""
    h = histories
    pack = h.write(lambda conn: contents.reserve_object(conn, store="main", key="pack", kind="pack", at=h.clock()))
    members = {n: digests(f"member {n}") for n in range(500)}
    found = h.write(lambda conn: contents.insert_packed(conn, pack, 500, members, at=h.clock()))
    numbers = [found[one.sha256] for one in members.values()]
    assert len(set(numbers)) == 500
    if h.catalog.dialect == "sqlite":
        assert numbers == sorted(numbers)


def test_a_reservation_that_expired_cannot_be_named(histories: Histories) -> None:
    h = histories
    pack = h.write(lambda conn: contents.reserve_object(conn, store="main", key="pack", kind="pack", at=h.clock()))
    h.clock.move(days=2)
    assert h.write(lambda conn: collecting.expire_placing(conn, before=h.clock() - GRACE)) == 1
    with pytest.raises(Gone):
        h.write(lambda conn: contents.insert_packed(conn, pack, 1, {0: digests("a")}, at=h.clock()))
    assert h.rows(content) == 0
    with h.catalog.read() as conn:
        assert [o.key for o in collecting.doomed_objects(conn, limit=10)] == ["pack"]


def test_what_nothing_names_is_condemned_doomed_and_forgotten_in_steps(histories: Histories) -> None:
    h = histories
    n = place(h, "bytes")
    assert condemn(h) == [], "within the grace"
    h.clock.move(days=2)
    assert condemn(h) == [n]
    assert not doom(h, n), "condemned a moment ago"
    h.clock.move(days=2)
    with h.catalog.read() as conn:
        assert collecting.doomable(conn, before=h.clock() - GRACE, limit=10) == [n]
    assert doom(h, n)
    assert not doom(h, n)
    assert h.rows(content, extent) == 0
    with h.catalog.read() as conn:
        (doomed,) = collecting.doomed_objects(conn, limit=10)
    assert (doomed.key, doomed.size) == ("k-bytes", 5)
    assert h.write(lambda conn: collecting.forget_object(conn, doomed.n))
    assert not h.write(lambda conn: collecting.forget_object(conn, doomed.n))
    assert h.rows(object_) == 0


def test_a_pack_loses_bytes_member_by_member_and_goes_with_the_last(histories: Histories) -> None:
    h = histories
    pack = h.write(lambda conn: contents.reserve_object(conn, store="main", key="pack", kind="pack", at=h.clock()))
    found = h.write(
        lambda conn: contents.insert_packed(conn, pack, 3, {0: digests("a"), 1: digests("bb")}, at=h.clock())
    )
    a, bb = found[digests("a").sha256], found[digests("bb").sha256]
    h.clock.move(days=2)
    assert sorted(condemn(h)) == sorted([a, bb])
    h.clock.move(days=2)
    assert doom(h, bb)
    assert object_states(h) == {"pack": ("placed", 1)}
    assert doom(h, a)
    assert object_states(h) == {"pack": ("doomed", 0)}


def test_finding_a_condemned_content_again_takes_it_back(histories: Histories) -> None:
    h = histories
    n = place(h, "bytes")
    h.clock.move(days=2)
    condemn(h)
    assert hit(h, "bytes", "other") == {"bytes": n}
    h.clock.move(hours=1)
    assert not doom(h, n)
    assert condemn(h) == []
    assert place(h, "bytes", "again") == n


def test_an_answer_to_do_you_have_it_is_good_for_the_grace(histories: Histories) -> None:
    h = histories
    n = place(h, "bytes")
    h.clock.move(days=2)
    assert hit(h, "bytes") == {"bytes": n}
    h.clock.move(hours=23)
    assert condemn(h) == []
    h.clock.move(hours=3)
    assert condemn(h) == [n]


def test_a_popular_content_is_not_written_to_on_every_hit(histories: Histories) -> None:
    h = histories
    place(h, "bytes")

    def touched() -> object:
        with h.catalog.read() as conn:
            return conn.execute(select(content.c.touched)).scalar_one()

    first = touched()
    h.clock.move(minutes=30)
    hit(h, "bytes")
    assert touched() == first
    h.clock.move(minutes=31)
    hit(h, "bytes")
    assert touched() == h.clock()


@pytest.mark.parametrize("by", ["live", "past", "upload"])
def test_whatever_names_a_content_keeps_it(histories: Histories, by: str) -> None:
    h, v = histories, histories.version()
    n = place(h, "bytes")
    h.clock.move(days=2)
    condemn(h)
    h.clock.move(days=2)
    if by == "upload":
        h.write(lambda conn: _upload(conn, h, n))
    else:
        h.commit(v, Put("a", n))
        if by == "past":
            h.commit(v, Remove("a"))
    with h.catalog.read() as conn:
        assert reach.is_referenced(conn, n)
    assert not doom(h, n)
    h.clock.move(days=4)
    assert condemn(h) == []
    with h.catalog.read() as conn:
        assert conn.execute(select(content.c.state)).scalars().all() == [0]


def _upload(conn: Connection, h: Histories, n: int) -> None:
    conn.execute(
        insert(upload),
        {
            "uid": UUID(int=99),
            "state": "finished",
            "key": "u",
            "boot_id": "b",
            "purpose": "content",
            "detail": {},
            "content": n,
            "created_at": h.clock(),
            "touched_at": h.clock(),
            "expires_at": h.clock(),
        },
    )


def test_an_entry_cannot_name_a_content_that_was_ended(histories: Histories) -> None:
    """The foreign key is the last line: whoever kept a number too long gets an error, never a dangling entry."""
    h, v = histories, histories.version()
    n = place(h, "bytes")
    h.clock.move(days=2)
    condemn(h)
    h.clock.move(days=2)
    assert doom(h, n)
    with pytest.raises(ConstraintViolated) as caught:
        h.commit(v, Put("a", n))
    assert caught.value.kind == "foreign_key"
    assert h.rows(live) == 0


def test_unreferenced_contents_are_found_page_by_page(histories: Histories) -> None:
    h, v = histories, histories.version()
    numbers = [place(h, f"c{i}") for i in range(7)]
    h.commit(v, Put("a", numbers[3]))
    h.clock.move(days=2)
    found: list[int] = []
    after: int | None = 0
    with h.catalog.read() as conn:
        while after is not None:
            some, after = collecting.unreferenced(conn, before=h.clock() - GRACE, after=after, limit=3)
            found += some
    assert found == numbers[:3] + numbers[4:]


# Who may know


def test_references_are_versions_of_which_a_revision_shows_the_content(histories: Histories) -> None:
    h, v, w, x = histories, histories.version(), histories.version(), histories.version()
    h.put(v, a="1")
    h.copy(v, 1, w)
    h.put(v, b="secret")
    h.put(x, c="secret")
    h.commit(x, Remove("c"))
    with h.catalog.read() as conn:
        secret, one = h.contents["secret"], h.contents["1"]
        assert set(contents.readable_refs(conn, secret, 10)) == {(h.project, v), (h.project, x)}
        assert set(contents.readable_refs(conn, one, 10)) == {(h.project, v), (h.project, w)}
        assert len(contents.readable_refs(conn, one, 1)) == 1
        assert contents.readable_refs(conn, 999, 10) == []


def test_sharing_a_history_with_a_secret_does_not_tell_it(histories: Histories) -> None:
    """w is public and an old copy; what v added later lies in the same strand but is not shown by any revision of w."""
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1")
    h.copy(v, 1, w)
    h.put(v, b="secret")
    h.put(v, b="newer")
    h.write(lambda conn: conn.execute(update(version).where(version.c.id == w).values(visibility="public")))
    stranger = Sight(user=None, open_to_all=(Visibility.PUBLIC,))
    with h.catalog.read() as conn:
        assert contents.readable(conn, h.contents["1"], stranger)
        assert not contents.readable(conn, h.contents["secret"], stranger)
        assert not contents.readable(conn, h.contents["newer"], stranger)
        assert contents.readable(conn, h.contents["secret"], Sight(user=None, everything=True))


def test_many_contents_are_judged_together_as_they_are_one_by_one(histories: Histories) -> None:
    """In the newest revision that may be seen, in older ones only, in a second history, too new, and nowhere."""
    h, v, w, x = histories, histories.version(), histories.version(), histories.version()
    h.put(v, a="kept", b="replaced", c="taken away")
    h.put(v, b="replacement")
    h.commit(v, Remove("c"))
    h.copy(v, 3, w)
    h.put(v, d="too new", e="elsewhere too")
    h.put(x, f="elsewhere too", g="hidden")
    h.write(lambda conn: conn.execute(update(version).where(version.c.id == w).values(visibility="public")))
    stranger = Sight(user=None, open_to_all=(Visibility.PUBLIC,))

    def seen(sight: Sight) -> set[str]:
        with h.catalog.read() as conn:
            many = contents.readable_many(conn, [*h.contents.values(), 999], sight)
            assert many == {n for n in [*h.contents.values(), 999] if contents.readable(conn, n, sight)}
        return {name for name, n in h.contents.items() if n in many}

    alone = seen(stranger)
    assert "kept" in alone
    assert not alone & {"too new", "elsewhere too", "hidden"}
    assert seen(Sight(user=None, everything=True)) == set(h.contents)
    h.copy(v, 1, h.version())
    h.write(lambda conn: conn.execute(update(version).where(version.c.id == x).values(visibility="public")))
    assert seen(stranger) == alone | {"elsewhere too", "hidden"}
    h.write(lambda conn: conn.execute(update(version).where(version.c.id == v).values(visibility="public")))
    assert seen(stranger) == set(h.contents), "old revisions count too"


def test_a_member_may_point_at_what_their_project_has(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")

    def join(conn: Connection) -> int:
        ben = conn.execute(
            insert(user).returning(user.c.id),
            {"uid": UUID(int=77), "name": "ben", "email": "", "settings": {}, "created_at": h.clock()},
        ).scalar_one()
        row = {"team": 1, "user": ben, "role": int(Role.READ), "created_at": h.clock()}
        conn.execute(insert(membership), row)
        return int(ben)

    ben = h.write(join)
    with h.catalog.read() as conn:
        assert contents.readable(conn, h.contents["1"], Sight(user=ben, open_to_all=()))
        assert not contents.readable(conn, h.contents["1"], Sight(user=ben, open_to_all=(), least=Role.WRITE))
        assert not contents.readable(conn, h.contents["1"], Sight(user=ben + 1, open_to_all=()))
    h.write(lambda conn: conn.execute(delete(membership)))
    with h.catalog.read() as conn:
        assert not contents.readable(conn, h.contents["1"], Sight(user=ben, open_to_all=()))


def test_frees_is_what_only_this_version_keeps_alive(histories: Histories) -> None:
    h, v, w, x = histories, histories.version(), histories.version(), histories.version()

    def frees(of: int) -> tuple[int, int]:
        with h.catalog.read() as conn:
            found = reach.frees(conn, of)
        assert found.at_once == found.n_bytes
        return found.contents, found.n_bytes

    assert frees(v) == (0, 0)
    h.put(v, a="1", b="22", gone="55555")
    h.commit(v, Remove("gone"))
    assert frees(v) == (3, 8), "old revisions count too"
    h.copy(v, 2, w)
    assert frees(w) == (0, 0)
    assert frees(v) == (1, 5), "only revision 1 of v shows what w does not"
    h.put(v, c="4444")
    h.put(w, a="333", c="4444")
    assert frees(v) == (1, 5)
    assert frees(w) == (1, 3)
    h.put(x, only="1", mine="666666")
    assert frees(x) == (1, 6)
    h.write(lambda conn: _upload(conn, h, h.contents["666666"]))
    assert frees(x) == (1, 6), "an upload ends by itself, so it is no reason to keep bytes"
    h.write(lambda conn: conn.execute(update(upload).values(purpose="slot", version=v)))
    assert frees(x) == (0, 0), "a slot lasts as long as its version needs it"


def test_parts_of_what_is_freed_are_alike_and_add_up(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    for start in range(0, 60, 20):
        h.put(v, **{f"f{n}": f"{n:02} of its own" for n in range(start, start + 20)})
    h.put(w, **{f"g{n}": f"{n:02} of its own" for n in range(0, 60, 6)})
    h.commit(v, Remove("f59"))
    with h.catalog.read() as conn:
        whole = reach.frees(conn, v)
        parts = [reach.frees(conn, v, part=part, parts=4) for part in range(4)]
        assert reach.held(conn, v, most=1000) == 60, "those of older revisions too"
        assert reach.held(conn, v, most=7) == 8
    assert (whole.contents, sum(one.contents for one in parts)) == (50, 50)
    assert sum(one.n_bytes for one in parts) == whole.n_bytes
    assert all(one.contents > 5 for one in parts)


def test_what_frees_promises_is_what_the_collector_removes(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="22", c="333")
    h.copy(v, 1, w)
    h.put(w, b="4444", d="55555")
    with h.catalog.read() as conn:
        promised = reach.frees(conn, w)
        held = sum(conn.execute(select(object_.c.size)).scalars())
    h.purge(w)
    h.clock.move(days=2)
    condemned = condemn(h)
    h.clock.move(days=2)
    assert [n for n in condemned if not doom(h, n)] == []
    with h.catalog.read() as conn:
        freed = sum(o.size for o in collecting.doomed_objects(conn, limit=100))
    assert len(condemned) == promised.contents
    assert (freed, held - freed) == (promised.n_bytes, 6)
