"""Pages of much: work that is bounded, counted and not timed. And tables and records from a form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from entrepot.depot import collection, record_checks, table_summaries
from entrepot.model.values import Kind
from entrepot.web.routes import versions
from tests.dialects.web.test_versions import multipart, url
from tests.support import tables as support
from tests.support.browsing import Premises, plain

SIZES = (600, 3000)


@pytest.fixture(scope="module", autouse=True)
def equipped(premises: Premises, tmp_path_factory: pytest.TempPathFactory) -> None:
    support.equip(premises.site, tmp_path_factory.mktemp("workshop"))
    depot = premises.depot
    depot.checkers = {**depot.checkers, Kind.RECORDS.value: record_checks.checker(depot)}


@pytest.fixture(scope="module")
def sizes(premises: Premises) -> list[str]:
    """Versions of more and of very many more files than any page shows, in one folder, each of two revisions."""
    made = []
    for n, size in enumerate(SIZES):
        version = premises.version({"a.txt": b"of many"}, name=f"Of {size} files")
        sha256 = premises.api.read(f"/versions/{version}/entry", path="a.txt")["sha256"]
        adds = [{"op": "add", "path": f"in/f{i:05}", "sha256": sha256} for i in range(size)]
        premises.api.made(f"/versions/{version}/commits", changes=adds)
        premises.api.file(version, "b.txt", b"%d" % n)
        made.append(version)
    return made


@contextmanager
def steps(premises: Premises) -> Iterator[list[int]]:
    """Hundreds of steps that SQLite takes for what is read meanwhile."""
    catalog, taken = premises.depot.catalog, [0]
    read = catalog.read

    def count() -> int:
        taken[0] += 1
        return 0

    @contextmanager
    def counting(**how: Any) -> Iterator[Any]:
        with read(**how) as conn:
            driver = conn.connection.dbapi_connection
            driver.set_progress_handler(count, 100)  # type: ignore[union-attr]
            try:
                yield conn
            finally:
                driver.set_progress_handler(None, 0)  # type: ignore[union-attr]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "read", counting)
        yield taken


PAGES = ("", "files", "files?path=in", "files?path=in&revision=2", "history", "diff", "use", "trash", "upload", "edit")


@pytest.mark.parametrize("page", [*PAGES, "copy", "graph", "file?path=in/f00400"])
def test_a_page_of_many_files_is_no_more_work_than_one_of_some(
    premises: Premises, sizes: list[str], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_SOME", 100)
    taken, said = [], []
    for version in sizes:
        with steps(premises) as counted:
            said.append(len(premises.chief.page(f"{url(version)}/{page}".rstrip("/"))))
        taken.append(counted[0])
    assert taken[0] > 0
    assert taken[1] <= 1.2 * taken[0] + 20, taken
    assert said[1] <= 1.1 * said[0] + 2000, said


def test_what_a_purge_frees_is_counted_part_by_part(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "PART", 4)
    made = premises.version({f"f{n:02}": b"%02d of its own" % n for n in range(10)})
    page = premises.chief.page(url(made, "purge"))
    assert "about" in plain(page)
    seen = 0
    while found := re.search(r'hx-get="([^"]+)"', page):
        assert "% of the files are counted" in plain(page)
        page, seen = premises.chief.page(found[1].replace("&amp;", "&")), seen + 1
    assert (plain(page), seen) == ("130 B", 2)
    assert premises.writer.get(url(made, "frees")).status_code == 403
    assert premises.chief.get(url(made, "frees", part=5, parts=3)).status_code == 422
    assert "about" in premises.chief.text(premises.chief.done(url(made, "trash")))


def work(premises: Premises) -> None:
    support.work(premises)  # type: ignore[arg-type]


def table(premises: Premises, name: str, body: bytes, **fields: str) -> str:
    form = {"project": "birds", "name": name, "kind": "table", **fields}
    assert multipart(premises.writer, "/ui/upload", form, {"t.csv": body}) == 303
    return premises.writer.led


def test_columns_of_a_large_table_are_shown_when_they_are_counted(
    premises: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_summaries, "AT_ONCE", 3)
    monkeypatch.setattr(table_summaries.summary, "__kwdefaults__", {"revision": None, "at_once": 3})
    made = table(premises, "Counted later", b"n,s\n3,c\n1,\n2,b\n")
    work(premises)
    page = premises.reader.page(f"{made}/table/columns")
    assert "being counted" in plain(page)
    assert 'hx-trigger="every' in page
    work(premises)
    page = premises.reader.page(f"{made}/table/columns")
    assert "2 of 3" in plain(page)
    assert "hx-trigger" not in page


def test_a_table_from_a_form_is_checked_and_then_there(premises: Premises) -> None:
    made = table(premises, "Weights", b"id,w\n1,2.5\n2,NA\n", null_values="NA, n/a")
    assert "being checked" in premises.writer.text(made)
    work(premises)
    page = premises.writer.text(f"{made}/table")
    assert "2 rows, 2 columns" in page
    assert "number" in page
    assert (
        multipart(
            premises.writer,
            "/ui/upload",
            {"project": "birds", "name": "Weights", "kind": "table"},
            {"t.csv": b"a\n1\n"},
        )
        == 409
    )


def test_what_a_check_refused_is_told_with_its_rows_and_may_be_sent_again(premises: Premises) -> None:
    made = table(premises, "Refused", b"id,w\n1,2\n2\n3,4\n")
    work(premises)
    page = premises.writer.page(made)
    assert "could not be taken" in plain(page)
    assert "/table/rejects" in page
    assert "Send it again" in plain(page)
    assert "the whole row" in premises.writer.text(f"{made}/table/rejects")
    again = table(premises, "Refused", b"id,w\n1,2\n2\n3,4\n", quarantine="1")
    work(premises)
    assert "2 rows" in premises.writer.text(f"{again}/table")
    assert "1 were left out" in premises.writer.text(f"{again}/table/rejects")


def test_records_from_a_form_are_checked_and_then_there(premises: Premises) -> None:
    form = {"project": "birds", "name": "Boxes", "kind": "records"}
    body = b"".join(json.dumps({"id": n}).encode() + b"\n" for n in range(3))
    assert multipart(premises.writer, "/ui/upload", form, {"boxes.ndjson": body}) == 303
    work(premises)
    assert "3 items" in premises.writer.text(f"{premises.writer.led}/records")
    assert multipart(premises.writer, "/ui/upload", {**form, "kind": "spell"}, {"a": b"1"}) == 422


def look(premises: Premises, body: bytes, token: str | None = None, **query: str) -> str:
    field = {"Entrepot-Form-Token": premises.writer.token() if token is None else token}
    answer = premises.writer.request("POST", "/ui/upload/look", params=query, content=body, headers=field)
    return plain(answer.text) if answer.status_code == 200 else str(answer.status_code)


def test_what_a_file_would_be_is_shown_before_it_is_sent(premises: Premises) -> None:
    body = b"id,<i>\n1,x\n2\n"
    said = look(premises, body, file="t.csv", size=str(len(body)))
    for expected in ("2 columns , 1 good row", "whole number", "<i>", "1 row would be refused", "Row 2"):
        assert expected.replace(" ,", ",") in said.replace(" ,", ","), said
    assert "by the beginning of the file" in look(premises, body, file="t.csv", size="999")
    assert "does not tell its columns" in look(premises, b"PAR1", file="t.parquet", size="999")
    assert "cannot be read as a table" in look(premises, b"", file="t.csv", size="0")
    assert look(premises, body, token="0" * 64, file="t.csv") == "403"
    assert (
        "<i>"
        not in premises.writer.request(
            "POST",
            "/ui/upload/look",
            params={"file": "t.csv"},
            content=body,
            headers={"Entrepot-Form-Token": premises.writer.token()},
        ).text
    )


def test_suggestions_are_what_one_may_see(premises: Premises) -> None:
    premises.version({"a.txt": b"1"}, name="Sparrow songs", description="*Sung* at dawn")
    found = premises.reader.get("/ui/suggest", params={"q": "sparr"}).json()
    (row,) = found["rows"]
    assert (row["name"], row["kind"], row["text"], found["more"]) == ("Sparrow songs", "files", "Sung at dawn", False)
    assert "birds · 1 file" in row["note"]
    assert premises.outsider.get("/ui/suggest", params={"q": "sparr"}).json()["rows"] == []
    assert premises.reader.get("/ui/suggest", params={"q": ""}).json()["rows"] == []
    assert premises.reader.get("/ui/suggest", params={"q": "rows>"}).status_code == 200
