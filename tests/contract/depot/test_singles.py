"""Versions as single things, on both kinds of catalogue: one row a version, or one a file where they are told apart."""

from __future__ import annotations

import pytest

from entrepot.depot import copies, credentials, entries, singles, uploads, versions
from entrepot.depot.entries import Add
from entrepot.depot.singles import Singles, Sort
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import NameTaken
from entrepot.model.patterns import Pattern
from entrepot.model.values import Version
from tests.support.house import House

ANY = Singles(expand="x.expand", category=("x.category", None))


def person(house: House) -> Actor:
    """Somebody, made at the first mention."""
    try:
        return house.user("ann")
    except NameTaken:
        return credentials.as_operator(house.depot, "ann")


def made(house: House, name: str, *paths: str, **properties: object) -> Version:
    ann = person(house)
    version = versions.create(house.depot, ann, None, NewVersion(name, properties=properties))
    changes = []
    for path in paths:
        row = uploads.begin(house.depot, ann, uploads.NewUpload())
        with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
            receiver.write(path.encode())
            receiver.finish()
        changes.append(Add(path, upload=row.uid, data_type="text" if path.endswith(".txt") else None))
    return entries.commit(house.depot, ann, version.n, changes).version if changes else version


def shown(house: House, wanted: Singles = ANY, start: int = 0, limit: int = 100) -> list[str]:
    total, found = singles.page(house.depot, person(house), wanted, start=start, limit=limit)
    assert total >= len(found)
    return [
        f"{one.version.name}:{one.entry.path}" if one.entry is not None else f"{one.version.name}/" for one in found
    ]


def test_a_row_for_each_version_and_one_for_each_file_of_those_that_are_told_apart(house: House) -> None:
    made(house, "one", "deep/er/a.txt")
    made(house, "tree", "a.txt", "b/c.csv")
    made(house, "empty")
    made(house, "sample", "r1.fq", "r2.fq", **{"x.expand": {"type": "rna"}, "x.category": 3})
    assert shown(house) == ["sample:r2.fq", "sample:r1.fq", "empty/", "tree/", "one:deep/er/a.txt"]
    assert shown(house, start=1, limit=2) == ["sample:r1.fq", "empty/"]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"name": "A.T"}, ["one:deep/er/a.txt"]),
        ({"name": "er"}, []),
        ({"name": ".zip"}, ["tree/"]),
        ({"pattern": Pattern(r"^r\d\.fq$")}, ["sample:r2.fq", "sample:r1.fq"]),
        ({"pattern": Pattern(r"^(a|tree)\.")}, ["tree/", "one:deep/er/a.txt"]),
        ({"is_file": True}, ["sample:r2.fq", "sample:r1.fq", "one:deep/er/a.txt"]),
        ({"category": ("x.category", 3)}, ["sample:r2.fq", "sample:r1.fq"]),
        ({"category": ("x.category", 1)}, ["tree/", "one:deep/er/a.txt"]),
        ({"data_types": ["text"]}, ["one:deep/er/a.txt"]),
        ({"size": (6, 13)}, ["tree/", "one:deep/er/a.txt"]),
        ({"nothing": True}, []),
    ],
)
def test_filters(house: House, wanted: dict[str, object], rows: list[str]) -> None:
    made(house, "one", "deep/er/a.txt")
    made(house, "tree", "a.txt", "b/c.csv")
    made(house, "sample", "r1.fq", "r2.fq", **{"x.expand": {"type": "rna"}, "x.category": 3})
    asked = {"expand": "x.expand", "category": ("x.category", None), **wanted}
    assert shown(house, Singles(**asked)) == rows  # type: ignore[arg-type]


@pytest.mark.parametrize(("sort", "first"), [("filename", "B.txt"), ("-filename", "é.txt"), ("created", "é.txt")])
def test_orders_do_not_depend_on_the_database(house: House, sort: Sort, first: str) -> None:
    for name in ("é.txt", "a.txt", "B.txt"):
        made(house, name, name)
        house.clock.move(seconds=1)
    asked = Singles(expand="x.expand", category=("x.category", None), sort=sort)
    assert shown(house, asked)[0] == f"{first}:{first}"


def test_a_copy_that_went_on_by_itself_shows_its_own_file(house: House) -> None:
    """Both point into one history, of which one shows an older point."""
    ann = person(house)
    first = made(house, "one", "a.txt")
    copies.copy(house.depot, ann, first.n, name="two")
    entries.commit(house.depot, ann, first.n, [entries.Rename("a.txt", "b.txt")])
    assert shown(house) == ["two:a.txt", "one:b.txt"]
    total, found = singles.page_of_versions(house.depot, ann, "x.expand", start=0, limit=10)
    assert (total, found) == (0, [])
    assert singles.count_types(house.depot, ann, ANY) == {"text": 2}
