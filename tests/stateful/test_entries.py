"""Any order of commits, copies, merges, restores, purges and trims, against plain dicts.

The model holds every kept revision of every version as a dict and knows nothing of strands. After each step the touched
revisions are read back; at the end all of them, and after purging everything nothing may be left in the tables.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import select

from entrepot.catalog import entries, strands
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import Describe, DescribeAll, Put, Remove, Rename
from entrepot.catalog.schema import version as version_table
from entrepot.model.errors import EntrepotError, StaleRevision
from tests.support.catalogs import Clock, new_catalog_url
from tests.support.histories import Histories, numbered
from tests.support.machines import run_machine
from tests.support.postgres import PostgresServer

PATHS = ["a", "b", "c", "a/x", "a/y", "a/x/p", "b/x", "b/x/q", "c/d/e", "c/d/f", "a-", "a0", "é/ü", "z"]
FOLDERS = ["", "a", "b", "c", "c/d", "a/x", "b/x", "é"]
TEXTS = ["", "1", "22", "333"]


@dataclass(frozen=True)
class Entry:
    text: str
    meta: str | None
    pos: int


State = dict[str, Entry]


class Refused(Exception):
    """The model says that this commit cannot be made."""


def refuse(when: bool) -> None:
    if when:
        raise Refused


def below(path: str, folder: str) -> bool:
    return folder == "" or path.startswith(folder + "/")


def check_tree(state: State) -> None:
    for path in state:
        refuse(any(below(other, path) for other in state))


def apply(before: State, changes: Sequence[entries.RowChange], next_pos: int) -> tuple[State, int]:
    """What the documentation of a commit says, one entry at a time."""
    puts: dict[str, Put] = {}
    texts: dict[str, str] = {}
    everything: str | None = None
    gone: set[str] = set()
    gone_folders: set[str] = set()
    renames: dict[str, str] = {}
    moves: dict[str, str] = {}
    arriving: set[str] = set()
    for c in changes:
        if isinstance(c, Put):
            refuse(c.path in puts)
            puts[c.path] = c
            arriving.add(c.path)
        elif isinstance(c, Describe):
            refuse(c.path in texts)
            texts[c.path] = c.meta or ""
        elif isinstance(c, DescribeAll):
            refuse(everything is not None)
            everything = c.meta or ""
        elif isinstance(c, Remove):
            if c.path in before:
                gone.add(c.path)
            elif c.recursive and any(below(p, c.path) for p in before):
                gone_folders.add(c.path)
            else:
                refuse(c.condition == "present")
    for c in changes:
        if isinstance(c, Rename):
            refuse(c.source in renames or c.source in moves)
            if c.source in before:
                refuse(c.target in arriving)
                arriving.add(c.target)
                renames[c.source] = c.target
            else:
                refuse(not (c.recursive and any(below(p, c.source) for p in before)))
                moves[c.source] = c.target
    refuse(bool(gone & renames.keys()) or bool(gone_folders & moves.keys()))

    def described(entry: Entry) -> Entry:
        return entry if everything is None else replace(entry, meta=everything or None)

    remaining: State = {}
    arrived: State = {}
    for path, entry in before.items():
        folders = sorted((f for f in gone_folders | moves.keys() if below(path, f)), key=len)
        if path in gone:
            continue
        if path in renames:
            target = renames[path]
        elif not folders:
            remaining[path] = described(entry)
            continue
        elif folders[-1] in gone_folders:
            continue
        else:
            rest = path if folders[-1] == "" else path[len(folders[-1]) + 1 :]
            into = moves[folders[-1]]
            target = f"{into}/{rest}" if into else rest
        refuse(target in arrived)
        arrived[target] = described(entry)
    refuse(any(path in remaining for path in arrived))
    result = remaining | arrived
    for path, put in puts.items():
        text = put.content_text  # type: ignore[attr-defined]
        old = remaining.get(path)
        refuse(put.condition == "absent" and old is not None)
        refuse(put.condition == "present" and path not in before)
        refuse(path in arrived)
        if old is None:
            result[path] = Entry(text, put.meta or None, next_pos)
            next_pos += 1
        else:
            result[path] = Entry(text, old.meta if put.meta is None else put.meta or None, old.pos)
    check_tree(result)
    for path, meta in texts.items():
        refuse(path not in result)
        result[path] = replace(result[path], meta=meta or None)
    return result, next_pos


def merged(source: State, target: State, next_pos: int) -> tuple[State, int]:
    result = dict(target)
    for path, entry in sorted(source.items(), key=lambda item: (item[1].pos, item[0])):
        if path not in target:
            result[path] = Entry(entry.text, entry.meta, next_pos)
            next_pos += 1
    for path, entry in sorted(source.items()):
        if path in target and target[path].text != entry.text:
            k = 1
            while numbered(path, k) in result:
                k += 1
            result[numbered(path, k)] = Entry(entry.text, entry.meta, next_pos)
            next_pos += 1
    check_tree(result)
    return result, next_pos


@dataclass
class Line:
    """A version in the model: its kept revisions and the next position."""

    kept: dict[int, State] = field(default_factory=lambda: {0: {}})
    newest: int = 0
    next_pos: int = 0

    def add(self, state: State) -> None:
        self.newest += 1
        self.kept[self.newest] = state


class TextPut(Put):
    """A put that remembers what its content stands for in the model."""

    content_text: str


paths = st.sampled_from(PATHS)
folders = st.sampled_from(FOLDERS)
metas = st.sampled_from([None, "", "m", "n"])
change_shapes = st.one_of(
    st.tuples(
        st.just("put"),
        paths,
        st.sampled_from(TEXTS),
        metas,
        st.sampled_from(["any", "any", "any", "absent", "present"]),
    ),
    st.tuples(st.just("put"), paths, st.sampled_from(TEXTS), metas, st.just("any")),
    st.tuples(st.just("remove"), paths, st.booleans(), st.sampled_from(["present", "any"])),
    st.tuples(st.just("remove folder"), folders, st.sampled_from(["present", "any"])),
    st.tuples(st.just("rename"), paths, paths),
    st.tuples(st.just("rename folder"), folders, folders),
    st.tuples(st.just("describe"), paths, metas),
    st.tuples(st.just("describe all"), metas),
)


some_texts = st.dictionaries(paths, st.sampled_from(TEXTS), min_size=2, max_size=8)


class EntriesMachine(RuleBasedStateMachine):
    """Runs on one database; `kind`, `server` and `small` are set by the test that starts it."""

    kind: ClassVar[str]
    server: ClassVar[PostgresServer | None]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        # In memory where there is such a place: nothing here asks what a power cut does, and every step commits.
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))

        def server() -> PostgresServer:
            assert self.server is not None
            return self.server

        self.url = self.stack.enter_context(new_catalog_url(self.kind, folder, server))
        self.clock = Clock()
        self.catalog = Catalog.open(self.url, clock=self.clock)
        self.h = Histories(self.catalog, self.clock)
        self.lines: dict[int, Line] = {}

    @initialize(data=st.data(), first=st.lists(some_texts, min_size=2, max_size=4))
    def begin(self, data: st.DataObject, first: list[dict[str, str]]) -> None:
        """A version with some history, a copy of it that both went on from, and an empty one."""
        self.create()
        for texts in first:
            self.put_some(data, texts)
        self.copy(data)
        for v in self.lines:
            self.commit_to(v, data, [("remove", "a", True, "any"), ("put", "c", "22", None, "any")])
        self.create()

    # Steps

    def create(self) -> None:
        self.lines[self.h.version()] = Line()

    @rule(data=st.data(), shapes=st.lists(change_shapes, min_size=0, max_size=4))
    def commit(self, data: st.DataObject, shapes: list[Any]) -> None:
        self.commit_to(self.some_line(data)[0], data, shapes)

    def commit_to(self, v: int, data: st.DataObject, shapes: list[Any]) -> None:
        line = self.lines[v]
        changes = [self.change(shape) for shape in shapes]
        try:
            state, next_pos = apply(line.kept[line.newest], changes, line.next_pos)
        except Refused:
            with pytest.raises(EntrepotError):
                self.h.commit(v, *changes)
        else:
            self.h.commit(v, *changes, expected=line.newest if data.draw(st.booleans()) else None)
            line.next_pos = next_pos
            line.add(state)
        self.check(v, line.newest)

    @rule(data=st.data(), texts=some_texts)
    def put_some(self, data: st.DataObject, texts: dict[str, str]) -> None:
        """Always possible where nothing is in the way, so that versions grow."""
        v, line = self.some_line(data)
        here = line.kept[line.newest]
        fits = {
            path: text
            for path, text in texts.items()
            if not any(below(path, other) or below(other, path) for other in here.keys() | texts.keys())
        }
        self.commit_to(v, data, [("put", path, text, None, "any") for path, text in fits.items()])

    @rule(data=st.data(), what=st.sampled_from(["create", "stale", "sweep", "reopen"]))
    def chore(self, data: st.DataObject, what: str) -> None:
        """What needs doing now and then, as one rule, so that it does not crowd out the others."""
        if what == "create" and len(self.lines) < 6:
            self.create()
        elif what == "stale":
            self.commit_stale(data)
        elif what == "sweep":
            entries.sweep_strands(self.catalog)
        elif what == "reopen":
            self.catalog.close()
            self.catalog = self.h.catalog = Catalog.open(self.url, clock=self.clock)

    def commit_stale(self, data: st.DataObject) -> None:
        v, line = self.some_line(data)
        wrong = data.draw(st.sampled_from([n for n in range(line.newest + 3) if n != line.newest]))
        with pytest.raises(StaleRevision) as caught:
            self.h.commit(v, Put("a", self.h.content("1")), expected=wrong)
        assert caught.value.details["revision"] == line.newest
        self.check(v, line.newest)

    @precondition(lambda self: len(self.lines) < 6)
    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        source, rev = self.some_revision(data)
        line = Line()
        target = self.h.version()
        self.lines[target] = line
        self.h.copy(source, rev, target)
        line.add(self.lines[source].kept[rev])
        line.next_pos = self.lines[source].next_pos
        self.check(target, 1)

    @precondition(lambda self: len(self.lines) < 6)
    @rule(data=st.data(), wanted=st.sets(paths))
    def copy_some(self, data: st.DataObject, wanted: set[str]) -> None:
        source, rev = self.some_revision(data)
        target = self.h.version()
        self.h.write(
            lambda conn: entries.copy_some(
                conn, source, rev, target, sorted(wanted), author=None, at=self.clock(), message=""
            )
        )
        line = self.lines[target] = Line(next_pos=self.lines[source].next_pos)
        line.add({path: entry for path, entry in self.lines[source].kept[rev].items() if path in wanted})
        self.check(target, 1)

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        v, line = self.some_line(data)
        to = data.draw(st.sampled_from(sorted(line.kept)))
        self.h.restore(v, to)
        line.add(line.kept[to])
        self.check(v, line.newest)

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        source, rev = self.some_revision(data)
        v, line = self.some_line(data)
        try:
            state, next_pos = merged(self.lines[source].kept[rev], line.kept[line.newest], line.next_pos)
        except Refused:
            with pytest.raises(EntrepotError):
                self.h.merge(source, rev, v)
        else:
            done = self.h.merge(source, rev, v)
            assert done.added + len(done.renamed) == len(state) - len(line.kept[line.newest])
            line.next_pos = next_pos
            line.add(state)
        self.check(v, line.newest)

    @precondition(lambda self: len(self.lines) > 2)
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        v, _ = self.some_line(data)
        self.h.purge(v)
        del self.lines[v]

    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        v, line = self.some_line(data)
        before = data.draw(st.integers(0, line.newest + 1))
        lost = [num for num in line.kept if 0 < num < min(before, line.newest)]
        assert self.h.trim(v, before) == len(lost)
        for num in lost:
            del line.kept[num]

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.check(*self.some_revision(data), data)

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        a, b = self.some_revision(data), self.some_revision(data)
        self.check_diff(a, b)

    # Checks

    def check(self, v: int, rev: int, data: st.DataObject | None = None) -> None:
        want = self.lines[v].kept[rev]
        rows = self.h.listing(v, rev)
        names = {number: text for text, number in self.h.contents.items()}
        assert {row.path: Entry(names[row.content], row.meta, row.pos) for row in rows} == want
        assert [row.path for row in rows] == sorted(want, key=str.encode)
        assert all(row.size == len(names[row.content]) for row in rows)
        with self.catalog.read() as conn:
            revision = entries.revision(conn, v, rev)
            assert revision is not None
            assert (revision.n_entries, revision.n_bytes) == (len(want), sum(len(e.text) for e in want.values()))
            if rev == self.lines[v].newest:
                shown = conn.execute(select(version_table).where(version_table.c.id == v)).one()
                assert (shown.rev, shown.n_entries, shown.n_bytes) == (rev, len(want), revision.n_bytes)
                assert shown.next_pos == self.lines[v].next_pos
            if data is None:
                return
            by_pos = sorted(want, key=lambda path: want[path].pos)
            assert [row.path for row in entries.page_by_position(conn, v, rev, limit=100)] == by_pos
            cut = data.draw(st.integers(0, len(by_pos)))
            after = want[by_pos[cut - 1]].pos if cut else None
            rest = entries.page_by_position(conn, v, rev, after=after, limit=2)
            assert [row.path for row in rest] == by_pos[cut : cut + 2]
            for path in PATHS:
                row = entries.get(conn, v, rev, path)
                assert (row is not None) == (path in want)
                if row is not None:
                    assert entries.get_by_position(conn, v, rev, row.pos) == row
            folder = data.draw(folders)
            inside = [path for path in sorted(want, key=str.encode) if below(path, folder)]
            assert [row.path for row in entries.page(conn, v, rev, prefix=folder, limit=100)] == inside
            assert self.level(v, rev, folder) == list(level(inside, folder))

    def level(self, v: int, rev: int, folder: str) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        after = None
        with self.catalog.read() as conn:
            while True:
                items = entries.folder(conn, v, rev, folder, after=after, limit=2)
                found += [(item.name, item.is_folder) for item in items]
                assert all((item.entry is None) == item.is_folder for item in items)
                if len(items) < 2:
                    return found
                after = items[-1].name

    def check_diff(self, a: tuple[int, int], b: tuple[int, int]) -> None:
        old, new = (dict(self.lines[v].kept[rev]) for v, rev in (a, b))
        changes = list(entries.diff(self.catalog, a, b))
        names = {number: text for text, number in self.h.contents.items()}

        def facts(row: entries.EntryRow | None) -> Entry:
            assert row is not None
            return Entry(names[row.content], row.meta, row.pos)

        assert [c.path for c in changes if c.kind != "removed"] == sorted(
            (c.path for c in changes if c.kind != "removed"), key=str.encode
        )
        replayed = dict(old)
        for change in changes:
            if change.kind in ("removed", "renamed"):
                assert change.before is not None
                assert replayed.pop(change.before.path) == facts(change.before)
            elif change.kind == "changed":
                assert replayed.pop(change.path) == facts(change.before) != facts(change.after)
        for change in changes:
            if change.kind != "removed":
                assert change.path not in replayed
                replayed[change.path] = facts(change.after)
        assert replayed == new
        # Nothing is called gone and come that is a rename, and nothing is named that did not change.
        gone = sorted(old[c.path].text for c in changes if c.kind == "removed")
        come = [new[c.path].text for c in changes if c.kind == "added"]
        assert not set(gone) & set(come)
        assert all(c.kind != "changed" or old[c.path] != new[c.path] for c in changes)

    def teardown(self) -> None:
        try:
            for v, line in self.lines.items():
                for rev in line.kept:
                    self.check(v, rev)
            every = [(v, rev) for v, line in self.lines.items() for rev in line.kept]
            for a, b in zip(every, random.Random(len(every)).sample(every, len(every)), strict=True):
                self.check_diff(a, b)
            for v in list(self.lines):
                self.h.purge(v)
            entries.sweep_strands(self.catalog)
            assert self.h.rows() == 0
        finally:
            self.catalog.close()
            self.stack.close()

    # Choices

    def some_line(self, data: st.DataObject) -> tuple[int, Line]:
        v = data.draw(st.sampled_from(sorted(self.lines)))
        return v, self.lines[v]

    def some_revision(self, data: st.DataObject) -> tuple[int, int]:
        v, line = self.some_line(data)
        return v, data.draw(st.sampled_from(sorted(line.kept)))

    def change(self, shape: Any) -> entries.RowChange:
        kind, *rest = shape
        if kind == "put":
            path, text, meta, condition = rest
            put = TextPut(path, self.h.content(text), meta=meta, condition=condition)
            put.content_text = text
            return put
        if kind == "remove":
            return Remove(rest[0], recursive=bool(rest[1]), condition=rest[2])
        if kind == "remove folder":
            return Remove(rest[0], recursive=True, condition=rest[1])
        if kind == "rename":
            return Rename(rest[0], rest[1])
        if kind == "rename folder":
            return Rename(rest[0], rest[1], recursive=True)
        if kind == "describe":
            return Describe(rest[0], rest[1])
        return DescribeAll(rest[0])


def level(inside: Sequence[str], folder: str) -> Iterator[tuple[str, bool]]:
    seen: set[str] = set()
    for path in inside:
        name, slash, _ = path[len(folder) + 1 if folder else 0 :].partition("/")
        if name not in seen:
            seen.add(name)
            yield name, bool(slash)


@pytest.fixture(params=["inline", "sliced"])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sliced`: every fork, purge and trim of more than two rows takes the long way, three rows at a time."""
    if request.param == "sliced":
        monkeypatch.setattr(strands, "INLINE", 2)
        monkeypatch.setattr(strands, "SLICE", 3)


@pytest.mark.usefixtures("sizes")
def test_entries_behave_like_dicts_on_sqlite() -> None:
    run_machine(EntriesMachine, 0.8, kind="sqlite", server=None)


@pytest.mark.usefixtures("sizes")
def test_entries_behave_like_dicts_on_postgresql(postgres_server: PostgresServer) -> None:
    run_machine(EntriesMachine, 0.2, kind="postgresql", server=postgres_server)


@pytest.mark.soak
@pytest.mark.usefixtures("sizes")
def test_entries_behave_like_dicts_on_sqlite_for_long() -> None:
    run_machine(EntriesMachine, 0.2, kind="sqlite", server=None)


@pytest.mark.soak
@pytest.mark.usefixtures("sizes")
def test_entries_behave_like_dicts_on_postgresql_for_long(postgres_server: PostgresServer) -> None:
    run_machine(EntriesMachine, 0.05, kind="postgresql", server=postgres_server)
