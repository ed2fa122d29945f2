"""Data types of entries: taken at the commit, declared, examined behind it, searched; on both databases."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from entrepot.catalog import examinations
from entrepot.catalog.entry_values import Put
from entrepot.catalog.versions import Filter
from entrepot.datatypes.examine import examine
from entrepot.depot import (
    background,
    copies,
    crates,
    entries,
    packing,
    projects,
    putting,
    refusing,
    reports,
    search,
    tasks,
    trash,
    unpacking,
    uploads,
    versions,
    whole,
)
from entrepot.depot.entries import Add, AddBatch, Remove
from entrepot.depot.examining import QUEUE, Readable
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.putting import NewFile
from entrepot.depot.remembered import Remembered
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import Actor
from entrepot.model.data_types import Report, Standing
from entrepot.model.errors import Invalid, KindMismatch, StaleRevision, Unavailable
from entrepot.model.values import Kind, State, TaskState, Version, Visibility
from entrepot.wire import frames
from tests.support.house import House
from tests.support.receivers import work_off

FASTQ = b"@r1\nACGT\n+\nIIII\n"
BAD = b"@r1\nACGT\n+\nIII\n"
CSV = b"sepal,petal\n1,2\n"


@pytest.fixture
def asked(house: House) -> Iterator[list[tuple[int, str | None]]]:
    """What was handed to the examiner, which works in this process here."""
    asked: list[tuple[int, str | None]] = []

    def examiner(source: Readable, data_type: str | None) -> Report:
        asked.append((source.size, data_type))
        return examine(source, data_type, house.depot.types)

    house.depot.examiner = examiner
    yield asked
    house.depot.examiner = None


def put(house: House, actor: Actor, version: Version, path: str, data: bytes, data_type: str | None = None) -> None:
    sink = putting.put_file(house.depot, actor, version.n, NewFile(path, data_type=data_type))
    sink.write(data)
    sink.finish()


def type_of(house: House, actor: Actor, version: Version, path: str) -> str | None:
    return entries.get(house.depot, actor, version.n, path)[2].data_type


def upload(house: House, actor: Actor, data: bytes) -> uploads.UploadRow:
    sink = putting.put_upload(house.depot, actor, NewUpload())
    sink.write(data)
    return sink.finish()


def test_a_file_is_taken_for_what_its_bytes_are(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "reads.txt", gzip.compress(FASTQ))
    row = upload(house, alice, CSV)
    assert row.content_sha256 is not None
    entries.commit(house.depot, alice, version.n, [Add("a.dat", upload=row.uid)])
    entries.commit(house.depot, alice, version.n, [Add("b.bed", sha256=row.content_sha256)])
    kinds = [type_of(house, alice, version, path) for path in ("reads.txt", "a.dat", "b.bed")]
    assert kinds == ["fastq", "csv", "csv"]


def test_members_of_an_archive_are_taken_for_what_their_bytes_are(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    sink = unpacking.put_archive(house.depot, alice, version.n)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (("reads.txt", FASTQ), ("t.csv", CSV), ("large.bin", FASTQ * 200_000)):
            archive.writestr(name, data)
    sink.write(out.getvalue())
    sink.finish()
    kinds = [type_of(house, alice, version, path) for path in ("reads.txt", "t.csv", "large.bin")]
    assert kinds == ["fastq", "csv", "fastq"]


def test_what_came_in_a_batch_is_the_same_remembered_and_read(house: House) -> None:
    alice, ben = house.user("alice"), house.user("ben")
    files = {
        "reads.txt": FASTQ,
        "packed/reads.txt.gz": gzip.compress(FASTQ),
        "t.gz/table": CSV,
        "same.bed": CSV,
        "image.dat": b"\x89PNG\r\n\x1a\n" + bytes(50_000),
        "zeros.fastq": bytes(20_000),
        "unknown": bytes(range(256)) * 80,
        "empty.csv": b"",
        "long.csv": CSV * 10_000,
    }
    told = house.version(alice)
    house.put_batch(alice, told, files)
    by_memory = {path: type_of(house, alice, told, path) for path in files}

    house.depot.remembered = Remembered(0)
    read = house.version(ben)
    house.put_batch(ben, read, files)
    assert {path: type_of(house, ben, read, path) for path in files} == by_memory
    assert by_memory["packed/reads.txt.gz"] == "fastq"
    assert by_memory["same.bed"] == by_memory["t.gz/table"] == "csv"
    assert by_memory["unknown"] is None


def test_what_is_remembered_of_a_batch_saves_the_look_and_is_for_its_sender(house: House) -> None:
    alice, ben = house.user("alice"), house.user("ben")
    version = house.version(alice)
    sink = packing.put_batch(house.depot, alice)
    sha256 = house.sha256(CSV)
    sink.write(frames.header("from/a.bed", len(CSV), sha256) + CSV)
    batch = sink.finish().upload
    assert house.depot.remembered.of(batch.uid, alice.user) == {(sha256, "a.bed"): "csv"}
    assert house.depot.remembered.of(batch.uid, ben.user) == {}
    # Of another type in memory than in truth, so that it shows which of the two counted.
    house.depot.remembered.keep(batch.uid, alice.user, {(sha256, "a.bed"): "text", (sha256, "none"): None})
    adds = [Add(path, upload=batch.uid, sha256=sha256) for path in ("to/a.bed", "none", "other.name")]
    entries.commit(house.depot, alice, version.n, adds)
    assert [type_of(house, alice, version, one.path) for one in adds] == ["text", None, "csv"]
    mine = house.version(ben)
    with pytest.raises(Invalid, match="not yours"):
        entries.commit(house.depot, ben, mine.n, adds)


def test_memory_of_batches_is_bounded_and_keeps_the_latest() -> None:
    memory = Remembered(most=2_000)
    batches = [UUID(int=n) for n in range(10)]
    for batch in batches:
        memory.keep(batch, 1, {(bytes(32), "a.csv"): "csv", (bytes(32), "b.csv"): "csv"})
        memory.keep(batch, 1, {(bytes(32), "a.csv"): "csv", (bytes(32), "b.csv"): "csv"})
    assert [bool(memory.of(batch, 1)) for batch in batches] == [False] * 8 + [True] * 2
    memory.keep(batches[0], 1, {(bytes(32), "a" * 1_000): None})
    assert not memory.of(batches[0], 1), "more than all memory is not kept, and costs nobody else's"
    assert memory.of(batches[9], 1)
    memory.keep(batches[0], 1, {(bytes(32), "x"): None}, [Put(f"{n}/x", 1) for n in range(9)])
    assert memory.files(batches[0], 1) is None, "equal files in many folders are one type, and take room all the same"


def test_a_version_has_the_type_that_all_its_entries_share(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a.fastq", FASTQ)
    assert versions.get(house.depot, alice, version.n).version.data_type == "fastq"
    put(house, alice, version, "a.csv", CSV)
    assert versions.get(house.depot, alice, version.n).version.data_type is None


def test_a_declared_type_is_kept_whatever_the_bytes_are(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a.fastq", FASTQ, data_type="BAM")
    assert type_of(house, alice, version, "a.fastq") == "bam"
    work_off(house.depot, QUEUE)
    found = reports.report(house.depot, alice, version.n, "a.fastq")[2].report
    assert found is not None
    assert (found.standing, found.recognised, found.examined_as) == (Standing.BAD, "fastq", "bam")


def test_an_unknown_type_is_refused_before_the_first_byte(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    with pytest.raises(Invalid, match="Did you mean fastq"):
        putting.put_file(house.depot, alice, version.n, NewFile("a", data_type="fastqq"))
    with pytest.raises(Invalid, match="Did you mean fastq"):
        entries.commit(house.depot, alice, version.n, [Add("a", sha256=bytes(32), data_type="fastqq")])


def test_what_is_copied_from_an_entry_brings_its_type_along(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a", FASTQ, data_type="text")
    entries.commit(house.depot, alice, version.n, [Add("b", source=(version.n, None, "a"))])
    assert type_of(house, alice, version, "b") == "text"


def test_every_commit_is_examined_and_equal_bytes_once(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "good.fastq", FASTQ)
    put(house, alice, version, "again.fastq", FASTQ)
    put(house, alice, version, "bad.fastq", BAD)
    assert reports.report(house.depot, alice, version.n, "bad.fastq")[2].report is None
    work_off(house.depot, QUEUE)
    assert sorted(asked) == sorted([(len(FASTQ), "fastq"), (len(BAD), "fastq")])
    found = reports.report(house.depot, alice, version.n, "bad.fastq")[2]
    assert found.report is not None
    assert found.examined_at == house.depot.now()
    assert (found.report.standing, found.report.findings[0].line) == (Standing.BAD, 4)
    _, _, bad = reports.list_reports(house.depot, alice, version.n, standings=[Standing.BAD])
    assert [one.entry.path for one in bad.rows] == ["bad.fastq"]
    _, _, none = reports.list_reports(house.depot, alice, version.n, data_type="bam")
    assert none.rows == ()


def test_what_shows_no_type_gets_its_report_without_a_process(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    noise = bytes(range(256)) * 80
    house.put_batch(alice, version, {f"d/{i}": noise + bytes([i]) for i in range(5)} | {"empty": b"", "t.csv": CSV})
    work_off(house.depot, QUEUE)
    assert asked == [(len(CSV), "csv")]
    _, _, page = reports.list_reports(house.depot, alice, version.n, standings=[Standing.UNCHECKED])
    assert [one.entry.path for one in page.rows] == ["d/0", "d/1", "d/2", "d/3", "d/4", "empty"]
    assert page.rows[0].report == Report(Standing.UNCHECKED, None, None)


def test_commits_that_follow_each_other_are_examined_together_and_each_by_itself(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice = house.user("alice")
    version, other = house.version(alice, name="one"), house.version(alice, name="other")
    put(house, alice, version, "a", FASTQ)
    put(house, alice, other, "c", FASTQ * 5)
    # What the next revision takes away again is shown by a copy.
    copies.copy(house.depot, alice, version.n, name="copy")
    entries.commit(house.depot, alice, version.n, [Remove("a")])
    put(house, alice, version, "a", FASTQ * 2)
    put(house, alice, version, "b", FASTQ * 3)
    assert waiting(house) == 2
    work_off(house.depot, QUEUE)
    assert sorted(asked) == sorted((len(FASTQ) * times, "fastq") for times in (1, 2, 3, 5))
    put(house, alice, version, "d", FASTQ * 4)
    assert waiting(house) == 1
    work_off(house.depot, QUEUE)
    assert asked[-1] == (len(FASTQ) * 4, "fastq")


def waiting(house: House) -> int:
    """Jobs that wait to examine something."""
    return background.backlog(house.depot).jobs.get((QUEUE, "ready"), 0)


def test_reports_come_in_pages(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    for i in range(5):
        put(house, alice, version, f"{i}.csv", CSV)
    seen, cursor = [], None
    for _ in range(3):
        _, _, page = reports.list_reports(house.depot, alice, version.n, limit=2, cursor=cursor)
        seen += [one.entry.path for one in page.rows]
        cursor = page.cursor
    assert (seen, cursor) == ([f"{i}.csv" for i in range(5)], None)


def test_saying_what_a_file_is_makes_a_revision_that_is_examined(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a", CSV)
    before = entries.get(house.depot, alice, version.n, "a")[2]
    done = reports.declare(house.depot, alice, version.n, {"a": "TEXT"}, expected=1)
    after = entries.get(house.depot, alice, version.n, "a")[2]
    assert (done.revision.number, after.data_type) == (2, "text")
    assert (after.position, after.sha256, after.media_type) == (before.position, before.sha256, before.media_type)
    assert entries.get(house.depot, alice, version.n, "a", revision=1)[2].data_type == "csv"
    work_off(house.depot, QUEUE)
    assert {kind for _, kind in asked} == {"csv", "text"}
    with pytest.raises(StaleRevision):
        reports.declare(house.depot, alice, version.n, {"a": "csv"}, expected=1)


def test_a_check_can_be_asked_for_and_is_a_task(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a.fastq", BAD)
    work_off(house.depot, QUEUE)
    task = reports.check(house.depot, alice, version.n)
    work_off(house.depot, QUEUE)
    ended = tasks.get(house.depot, alice, task.uid)
    assert ended.state is TaskState.DONE
    assert ended.result is not None
    assert (ended.result["bad"], ended.result["good"]) == (1, 0)
    assert len(asked) == 2
    table = house.version(alice, kind=Kind.TABLE)
    with pytest.raises(KindMismatch):
        reports.check(house.depot, alice, table.n)
    house.depot.examiner = None
    with pytest.raises(Unavailable):
        reports.check(house.depot, alice, version.n)


def test_what_was_read_out_is_searched(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a.csv", CSV)
    assert search.search(house.depot, alice, "sepal").rows == ()
    work_off(house.depot, QUEUE)
    hits = search.search(house.depot, alice, "sepal").rows
    assert [hit.found.version.n for hit in hits] == [version.n]
    versions.update(house.depot, alice, version.n, VersionChanges(description="Measured by hand."))
    assert len(search.search(house.depot, alice, "petal").rows) == 1


def found(house: House, actor: Actor, query: str) -> set[str]:
    return {hit.found.version.name for hit in search.search(house.depot, actor, query).rows}


def test_facts_are_searched_by_field(house: House, asked: list[tuple[int, str | None]]) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    few = house.version(alice, name="few", tags=("run",))
    put(house, alice, few, "a.fastq", FASTQ * 3)
    put(house, alice, few, "b.csv", CSV)
    many = house.version(alice, name="many")
    put(house, alice, many, "a.fastq", FASTQ * 40)
    put(house, alice, many, "b.fastq", BAD)
    work_off(house.depot, QUEUE)
    for query, wanted in {
        "facts.reads:>10": {"many"},
        "facts.reads:>=3 type:fastq": {"few", "many"},
        "facts.reads:3": {"few"},
        "facts.reads:3..39": {"few"},
        "facts.reads:<2": {"many"},
        "facts.read_length.max:4 facts.reads:40": {"many"},
        "facts.column_names:SEPAL": {"few"},
        "facts.column_names:pet*": {"few"},
        'facts.column_names:"pet"': set(),
        "facts.quality_encoding:phred*": {"few", "many"},
        "type:csv": {"few"},
        "type:bam": set(),
        "type:nonsense": set(),
        "type:csv type:fastq": set(),
        "standing:bad": {"many"},
        "standing:bad type:csv": set(),
        "standing:good tag:run": {"few"},
        "kind:files facts.reads:>0": {"few", "many"},
        "kind:table facts.reads:>0": set(),
        "man facts.reads:>0": {"many"},
        # Of one file, not of the version: the bad one is not the one with many reads.
        "standing:bad facts.reads:>10": set(),
    }.items():
        assert found(house, alice, query) == wanted, query
    assert found(house, bob, "facts.reads:>0") == found(house, bob, "type:fastq") == set()


def test_facts_are_those_of_the_newest_revision_and_of_versions_that_show_the_file(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice = house.user("alice")
    version = house.version(alice, name="one")
    put(house, alice, version, "a.fastq", FASTQ * 7)
    copied = copies.copy(house.depot, alice, version.n, name="copy")
    entries.commit(house.depot, alice, version.n, [Remove("a.fastq")])
    work_off(house.depot, QUEUE)
    assert found(house, alice, "facts.reads:7") == {"copy"}
    trash.trash(house.depot, alice, copied.n)
    assert found(house, alice, "facts.reads:7") == set()


def test_conditions_on_what_is_in_files_find_only_what_one_may_read(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    for name, visibility in (("shown", Visibility.LISTED), ("open", Visibility.PUBLIC)):
        version = house.version(alice, name=name, visibility=visibility)
        put(house, alice, version, "a.fastq", FASTQ)
    work_off(house.depot, QUEUE)
    assert found(house, bob, "kind:files") == {"shown", "open"}
    assert found(house, bob, "facts.reads:1") == found(house, bob, "type:fastq") == {"open"}


def test_the_job_of_a_version_that_went_to_the_trash_does_nothing(
    house: House, asked: list[tuple[int, str | None]]
) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    put(house, alice, version, "a.csv", CSV)
    trash.trash(house.depot, alice, version.n)
    work_off(house.depot, QUEUE)
    assert asked == []
    with house.depot.catalog.read() as conn:
        assert examinations.find_many(conn, [(1, "csv")]) == {}


# Refusing


@pytest.fixture
def strict(house: House, asked: list[tuple[int, str | None]]) -> tuple[Actor, Version]:
    """Somebody's version in a project that refuses bad files."""
    alice = house.user("alice")
    version = house.version(alice)
    projects.update(house.depot, alice, version.project, ProjectChanges(settings={"refuse_invalid": True}))
    return alice, version


def test_the_setting_is_true_or_false(house: House, strict: tuple[Actor, Version]) -> None:
    alice, version = strict
    with pytest.raises(Invalid, match="true or false"):
        projects.update(house.depot, alice, version.project, ProjectChanges(settings={"refuse_invalid": "yes"}))


def test_a_bad_file_is_refused_and_leaves_nothing(house: House, strict: tuple[Actor, Version]) -> None:
    alice, version = strict
    sink = putting.put_file(house.depot, alice, version.n, NewFile("bad.fastq"))
    sink.write(BAD)
    with pytest.raises(
        Invalid, match=r"'bad\.fastq' is no good fastq: Record 1 .* This project refuses such files"
    ) as no:
        sink.finish()
    sink.close()
    assert no.value.errors[0]["line"] == 4
    bad, good = upload(house, alice, BAD), upload(house, alice, FASTQ)
    with pytest.raises(Invalid, match=r"'b\.fastq' is no good fastq"):
        entries.commit(house.depot, alice, version.n, [Add("a.fastq", upload=good.uid), Add("b.fastq", upload=bad.uid)])
    with pytest.raises(Invalid, match=r"'b\.fastq' is no good fastq"):
        whole.create(house.depot, alice, version.project, NewVersion("more"), [Add("b.fastq", upload=bad.uid)])
    sink = packing.put_batch(house.depot, alice)
    for name, data in (("good.fastq", FASTQ), ("bad.fastq", BAD)):
        sink.write(frames.header(name, len(data), house.sha256(data)) + data)
    with pytest.raises(Invalid, match=r"'bad\.fastq' is no good fastq"):
        entries.commit(house.depot, alice, version.n, [AddBatch(batch := sink.finish().upload.uid)])
    uploads.abort(house.depot, alice, batch)
    # Remembered, and yet nobody's any more: that is what is wrong with it, and nothing in it is looked at.
    with pytest.raises(Invalid, match="or it is not yours"):
        entries.commit(house.depot, alice, version.n, [AddBatch(batch)])
    assert versions.get(house.depot, alice, version.n).version.revision == 0
    there = versions.list_versions(house.depot, alice, Filter(project=version.project)).rows
    assert [one.version.n for one in there] == [version.n]


def test_a_good_file_goes_in_and_is_examined_once(
    house: House, strict: tuple[Actor, Version], asked: list[tuple[int, str | None]]
) -> None:
    alice, version = strict
    row = upload(house, alice, FASTQ)
    entries.commit(house.depot, alice, version.n, [Add("a.fastq", upload=row.uid)])
    work_off(house.depot, QUEUE)
    assert asked == [(len(FASTQ), "fastq")]
    put(house, alice, version, "b.fastq", FASTQ)
    assert versions.get(house.depot, alice, version.n).version.n_entries == 2


def test_what_an_older_edition_of_the_checks_said_lets_nothing_in(
    house: House, strict: tuple[Actor, Version], asked: list[tuple[int, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, version = strict
    put(house, alice, version, "a.fastq", FASTQ)
    work_off(house.depot, QUEUE)
    digest = hashlib.sha256(FASTQ).digest()
    asked.clear()
    entries.commit(house.depot, alice, version.n, [Add("b.fastq", sha256=digest)])
    assert asked == []
    monkeypatch.setattr(refusing, "EDITION", refusing.EDITION + 1)
    entries.commit(house.depot, alice, version.n, [Add("c.fastq", sha256=digest)])
    assert asked == [(len(FASTQ), "fastq")]


def arrive_by_unpacking(house: House, alice: Actor, version: Version, body: bytes) -> None:
    """Into a version that is there, by a worker."""
    row = house.upload(alice, body, file_name="x.zip")
    task = crates.add(house.depot, alice, version.n, row.uid)
    work_off(house.depot, crates.QUEUE)
    ended = tasks.get(house.depot, alice, task.uid)
    if ended.state is not TaskState.DONE:
        assert ended.error is not None
        raise Invalid(ended.error["detail"], errors=ended.error["report"]["errors"])


def arrive_in_the_request(house: House, alice: Actor, version: Version, body: bytes) -> None:
    sink = unpacking.put_archive(house.depot, alice, version.n)
    try:
        sink.write(body)
        sink.finish()
    except Invalid:
        sink.close()
        raise


def arrive_by_tus(house: House, alice: Actor, version: Version, body: bytes) -> None:
    """In pieces."""
    adds = []
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        for name in packed.namelist():
            row = uploads.begin(house.depot, alice, NewUpload())
            data = packed.read(name)
            for start, end in ((0, len(data) // 2), (len(data) // 2, len(data))):
                with uploads.receive(house.depot, alice, row.uid, start) as receiver:
                    receiver.write(data[start:end])
            adds.append(Add(name, upload=uploads.finish(house.depot, alice, row.uid)[0].uid))
    entries.commit(house.depot, alice, version.n, adds)


def arrive_in_a_pack(house: House, alice: Actor, version: Version, body: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        house.put_batch(alice, version, {name: packed.read(name) for name in packed.namelist()})


WAYS = [arrive_by_unpacking, arrive_in_the_request, arrive_by_tus, arrive_in_a_pack]


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("way", WAYS)
def test_whatever_way_they_come_bad_files_are_refused_and_good_ones_are_not(
    house: House, strict: tuple[Actor, Version], way: Callable[[House, Actor, Version, bytes], None]
) -> None:
    alice, version = strict
    with pytest.raises(Invalid, match=r"'b/bad\.fastq' is no good fastq") as no:
        way(house, alice, version, zipped({"a.fastq": FASTQ, "b/bad.fastq": BAD, "c.txt": b"x\n"}))
    assert [(one["path"], one["line"]) for one in no.value.errors] == [("b/bad.fastq", 4)]
    assert versions.get(house.depot, alice, version.n).version.revision == 0
    # The large one is stored by itself where members of archives are; a pack takes none.
    lines = 100 if way is arrive_in_a_pack else 1_000_000
    way(house, alice, version, zipped({"a.fastq": FASTQ, "empty.txt": b"", "big.txt": b"line\n" * lines}))
    found = versions.get(house.depot, alice, version.n).version
    assert (found.revision, found.n_entries) == (1, 3)


def test_an_archive_that_would_become_a_version_leaves_none(house: House, strict: tuple[Actor, Version]) -> None:
    alice, version = strict
    row = house.upload(alice, zipped({"bad.fastq": BAD}), file_name="x.zip")
    made, _ = crates.create(house.depot, alice, version.project, NewVersion("unpacked"), row.uid)
    work_off(house.depot, crates.QUEUE)
    found = versions.get(house.depot, alice, made.n).version
    assert (found.state, found.number, found.n_entries) == (State.FAILED, None, 0)
    assert found.report is not None
    assert "'bad.fastq' is no good fastq" in found.report["message"]


def test_what_cannot_be_judged_is_let_in(house: House, strict: tuple[Actor, Version]) -> None:
    alice, version = strict
    house.depot.examiner = lambda _source, kind: Report(Standing.UNFINISHED, None, kind, found=1)
    put(house, alice, version, "a.fastq", BAD)
    assert versions.get(house.depot, alice, version.n).version.n_entries == 1
