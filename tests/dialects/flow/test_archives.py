"""Archives through the Flow door: unpacked by a worker while the last chunk waits, refused as its answer."""

from __future__ import annotations

import gzip
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.depot import background, browse, crates, versions
from entrepot.depot.browse import Wanted
from entrepot.jobs.runner import Runner
from tests.support.flow import Lab, error_of, open_lab
from tests.support.hostile_archives import CORPUS, tarred, zipped

MEMBERS = {"a.txt": b"a", "b/c.bin": bytes(range(256)), "empty": b""}


def runner(lab: Lab) -> Runner:
    return Runner(lab.depot.catalog, background.kinds(lab.depot), queue=crates.QUEUE, worker="test")


def work(lab: Lab) -> None:
    one = runner(lab)
    while one.step():
        pass


@contextmanager
def working(lab: Lab) -> Iterator[None]:
    """A worker beside the server."""
    ended = threading.Event()

    def loop() -> None:
        one = runner(lab)
        while not ended.is_set():
            if not one.step():
                ended.wait(0.01)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with ExitStack() as stack:
        lab = open_lab(tmp_path_factory.mktemp("lab"), stack, **{"limits.unpacked_ratio": 1})
        stack.enter_context(working(lab))
        yield lab


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Lab]:
    """A server that waits for no archive, and whose worker works when it is told to."""
    with ExitStack() as stack:
        yield open_lab(tmp_path, stack, **{"policy.unpack_wait": "1ms"})


def things(lab: Lab) -> list[str]:
    wanted = Wanted(project=lab.project)
    return [one.version.name for one in browse.list_versions(lab.depot, lab.site.world.login("writer"), wanted).rows]


@pytest.mark.parametrize(
    ("filename", "body"),
    [("x.zip", zipped(MEMBERS)), ("x.tar", tarred(MEMBERS)), ("x.tar.gz", gzip.compress(tarred(MEMBERS)))],
)
def test_an_archive_becomes_a_directory(lab: Lab, filename: str, body: bytes) -> None:
    made = lab.writer.upload(body, filename, size=300, is_directory="true")
    found = lab.reader.ok("GET", f"/data/{made}")
    assert (found["is_directory"], found["filename"], found["size"]) == (True, filename, 257)
    assert lab.reader.ok("GET", "/data/search", params={"filename": filename})["data"][0]["id"] == made
    rebuilt = lab.reader.bytes_of(made, filename)
    if filename == "x.zip":
        packed = zipfile.ZipFile(io.BytesIO(rebuilt))
        assert {one: packed.read(one) for one in packed.namelist()} == MEMBERS
    version = versions.get(lab.depot, lab.site.world.login("writer"), int(made)).version
    assert version.unpacked_from is not None
    assert (version.unpacked_from["name"], version.unpacked_from["size"]) == (filename, len(body))
    assert version.revision == 1


@pytest.mark.parametrize(
    "name", ["zip leads out", "tar symbolic link b'2'", "zip wrong CRC", ".tar.gz cut", "zip twice"]
)
def test_a_refusal_is_the_answer_to_the_last_chunk_and_leaves_nothing(lab: Lab, name: str) -> None:
    hostile = CORPUS[name]
    first = lab.writer.chunk(hostile.body[:20], filename=hostile.filename, last=False, is_directory="true").json()[
        "data_id"
    ]

    def last() -> object:
        refused = lab.writer.chunk(
            hostile.body[20:], filename=hostile.filename, offset=20, data=first, is_directory="true"
        )
        assert refused.status_code == 400
        return error_of(refused)

    said = last()
    assert hostile.says in str(said)
    assert things(lab) == []
    # A repeat hears the same.
    assert last() == said


def test_what_is_no_archive_by_its_name_is_refused_with_the_first_chunk(lab: Lab) -> None:
    refused = lab.writer.chunk(b"x", filename="reads.bam", last=False, is_directory="true")
    assert (refused.status_code, list(error_of(refused))) == (400, ["filename"])


def test_a_bomb_is_refused(fresh_lab: Lab) -> None:
    """By the ratio: a gigabyte is free, and what is more has to be worth it."""
    lab = fresh_lab
    body = gzip.compress(tarred({"zeros": bytes(1 << 20)}))
    lab.site.depot.limits = type(lab.site.depot.limits)(unpacked_size=1 << 19)
    with working(lab):
        refused = lab.writer.chunk(body, filename="bomb.tar.gz", is_directory="true")
    assert refused.status_code == 400
    assert "beyond the limit" in str(error_of(refused))


def test_what_takes_too_long_goes_on_behind_the_answer(hasty: Lab) -> None:
    lab = hasty
    first = lab.writer.chunk(b"", filename="x.zip", last=False, is_directory="true").json()["data_id"]

    def last() -> str:
        made: str = lab.writer.chunk(zipped(MEMBERS), filename="x.zip", data=first, is_directory="true").json()["id"]
        return made

    made = last()
    assert lab.writer("GET", f"/data/{made}").status_code == 404
    assert last() == made
    work(lab)
    assert lab.writer.ok("GET", f"/data/{made}")["size"] == 257
    assert last() == made
    assert len(things(lab)) == 1


def test_a_refusal_that_comes_too_late_fails_the_version_with_the_report(hasty: Lab) -> None:
    lab = hasty
    body = CORPUS["zip wrong CRC"].body
    made = lab.writer.chunk(body, filename="x.zip", is_directory="true").json()["id"]
    work(lab)
    assert lab.writer("GET", f"/data/{made}").status_code == 404
    version = versions.get(lab.depot, lab.site.world.login("writer"), int(made)).version
    assert version.state == "failed"
    assert version.report is not None
    assert "bad.txt" in version.report["message"]


@pytest.mark.parametrize("name", ["zip leads out", "zip bomb", "tar hard link b'1'", "tar twice", ".tar.gz cut"])
def test_members_are_judged_before_the_answer_whatever_the_worker_does(hasty: Lab, name: str) -> None:
    """No worker is there: what the directory or the headers tell is no matter of waiting."""
    lab, hostile = hasty, CORPUS[name]
    lab.site.depot.limits = replace(lab.site.depot.limits, unpacked_size=4 << 20)
    begun = lab.writer.chunk(hostile.body[:20], filename=hostile.filename, last=False, is_directory="true").json()
    again = {"filename": hostile.filename, "offset": 20, "data": begun["data_id"], "is_directory": "true"}
    refused = [lab.writer.chunk(hostile.body[20:], **again) for _ in range(2)]
    assert [one.status_code for one in refused] == [400, 400]
    assert hostile.says in str(error_of(refused[0]))
    assert error_of(refused[0]) == error_of(refused[1])
    actor = lab.site.world.login("writer")
    assert browse.list_versions(lab.depot, actor, Wanted(project=lab.project, trashed=None)).rows == ()
    assert list(lab.site.depot.staging.keys()) == []
