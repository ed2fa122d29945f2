"""Pushing and pulling trees against a real server: everything arrives, and nothing travels twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from entrepot.client.client import Client
from entrepot.client.download import part_of
from entrepot.client.progress import Progress
from entrepot.model.errors import (
    Conflict,
    DigestMismatch,
    KindMismatch,
    NotFound,
    SourceChanged,
    StaleRevision,
)
from entrepot.model.values import Kind
from entrepot.wire.messages.entries import Add
from entrepot.wire.messages.uploads import UploadPage
from tests.e2e.conftest import Counting, Running, environment, make_tree, read_tree

ODD = {
    "empty": b"",
    "another empty": b"",
    "a/b/c/d/e/f/g/h/deep.txt": b"deep",
    "ünïcode/漢字 🐧.txt": "🐧".encode(),
    "100% & more?#.csv": b"a,b\n",
    "name with  spaces ": b"x",
    "a.part": b"not one of ours",
    "~$odd'\"`.txt": b"quotes",
    ".hidden/.file": b"dot",
    "x" * 250: b"long name",
    "twice/1": b"the same",
    "twice/2": b"the same",
}

#: More than travels in a batch: read once to be hashed, and again to be sent.
LARGE = b"a long log\n" * (30 << 10)


def test_odd_trees_come_back_as_they_were(client: Client, project: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", ODD)
    pushed = client.data.push(tree, f"{project}/odd")
    assert pushed.made == "dataset"
    client.data.download(f"{project}/odd", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == ODD


def test_pushing_an_unchanged_tree_sends_nothing_and_makes_no_revision(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    client.data.push(tree, f"{project}/same")
    before = counting.uploads()
    again = client.data.push(tree, f"{project}/same")
    assert not again.changed
    assert again.version is not None
    assert again.version.revision == 1
    assert counting.uploads() == before


def test_a_batch_that_is_committed_whole_is_named_by_itself(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    """Thousands of paths need not travel a second time; where a batch brought less or more than is wanted, they do."""
    commits: list[list[str]] = []

    def note(request: httpx2.Request) -> None:
        if request.url.path.endswith("/commits"):
            commits.append([change["op"] for change in json.loads(request.read())["changes"]])

    counting.before = note
    files = {f"d{n % 7}/{n:03}.txt": f"file {n}".encode() * 9 for n in range(200)} | {"b/large": LARGE[::-1]}
    tree = make_tree(tmp_path / "tree", files)
    client.data.push(tree, f"{project}/small")
    assert set(commits.pop()) == {"add_batch", "add_files"}
    client.data.download(f"{project}/small", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files

    # Two of three are in reach already: what is new is in a batch of its own, between what is named by its digest.
    more = {f"more/{n:03}.txt": files[f"d{n % 7}/{n:03}.txt"] if n % 3 else b"new %d" % n for n in range(60)}
    client.data.push(make_tree(tmp_path / "more", more), f"{project}/more")
    assert "add_batch" not in commits.pop()
    client.data.download(f"{project}/more", tmp_path / "more copy")
    assert read_tree(tmp_path / "more copy") == more


def test_a_batch_whose_names_are_forgotten_is_named_file_by_file(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    """The bytes are there, so the push goes on; only that they once were one batch is of no use any more."""
    network, refused = counting.network, [0]

    class Forgetful(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("/commits") and b"add_batch" in request.read():
                refused[0] += 1
                fault = {"index": 0, "code": "missing_content", "detail": "cannot be told any more"}
                problem = {"code": "invalid", "detail": "Nothing was committed.", "status": 422, "errors": [fault]}
                return httpx2.Response(422, json=problem, headers={"Content-Type": "application/problem+json"})
            return network.handle_request(request)

    counting.network = Forgetful()
    files = {f"{n:03}.txt": b"forgotten %d" % n for n in range(50)}
    client.data.push(make_tree(tmp_path / "tree", files), f"{project}/forgotten")
    counting.network = network
    assert refused == [1]
    client.data.download(f"{project}/forgotten", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files


def test_a_renamed_file_is_never_sent_again(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"old/big.bin": os.urandom(3 << 20), "keep": b"k"})
    client.data.push(tree, f"{project}/renamed")
    counting.sent = 0
    (tree / "new").mkdir()
    (tree / "old" / "big.bin").rename(tree / "new" / "name.bin")
    pushed = client.data.push(tree, f"{project}/renamed")
    assert pushed.plan.renamed == {"new/name.bin": "old/big.bin"}
    assert counting.sent == 0
    (row,) = list(client.versions.diff(f"{project}/renamed", 1))
    assert (row.change, row.old_path, row.path) == ("renamed", "old/big.bin", "new/name.bin")


def test_content_that_is_anywhere_in_reach_is_not_sent(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    content = os.urandom(2 << 20)
    client.data.push(make_tree(tmp_path / "one", {"a": content}), f"{project}/one")
    counting.sent = 0
    pushed = client.data.push(make_tree(tmp_path / "two", {"b": content, "c": content}), f"{project}/two")
    assert counting.sent == 0
    assert pushed.sent_files == 0
    assert client.data.read_bytes(f"{project}/two/c") == content


def test_a_push_makes_the_version_equal_unless_told_to_keep(client: Client, project: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    client.data.push(tree, f"{project}/equal")
    (tree / "b").unlink()
    make_tree(tree, {"c": b"3"})
    kept = client.data.push(tree, f"{project}/equal", keep=True)
    assert kept.version is not None
    assert kept.version.entries == 3
    client.data.push(tree, f"{project}/equal")
    assert [entry.path for entry in client.data.list(f"{project}/equal")] == ["a", "c"]
    assert [entry.path for entry in client.data.list(f"{project}/equal@1.1")] == ["a", "b"]


def test_a_file_becomes_a_folder_and_back(client: Client, project: str, tmp_path: Path) -> None:
    one = make_tree(tmp_path / "one", {"x": b"file"})
    two = make_tree(tmp_path / "two", {"x/y": b"in a folder"})
    for tree in (one, two, one):
        client.data.push(tree, f"{project}/turn")
        client.data.download(f"{project}/turn", tmp_path / f"copy-{tree.name}", keep=False)
    assert read_tree(tmp_path / "copy-one") == {"x": b"file"}
    assert read_tree(tmp_path / "copy-two") == {"x/y": b"in a folder"}


def test_a_folder_of_a_version_is_pushed_and_pulled_alone(client: Client, project: str, tmp_path: Path) -> None:
    client.data.push(make_tree(tmp_path / "all", {"top": b"t", "raw/a": b"1", "raw/b": b"2"}), f"{project}/part")
    client.data.push(make_tree(tmp_path / "raw", {"a": b"1", "c": b"3"}), f"{project}/part/raw")
    assert [entry.path for entry in client.data.list(f"{project}/part")] == ["raw/a", "raw/c", "top"]
    client.data.download(f"{project}/part/raw", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == {"a": b"1", "c": b"3"}
    client.data.download(f"{project}/part/raw/c", tmp_path / "one")
    assert read_tree(tmp_path / "one") == {"c": b"3"}


def test_a_dry_run_says_all_and_does_nothing(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": os.urandom(16)})
    planned = client.data.push(tree, f"{project}/dry", dry_run=True)
    assert (planned.sent_files, list(planned.plan.added)) == (1, ["a"])
    assert counting.sent == 0
    with pytest.raises(NotFound):
        client.versions.get(f"{project}/dry")


def test_a_push_to_a_frozen_version_starts_the_next_one(client: Client, project: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    client.data.push(tree, f"{project}/cold")
    client.versions.freeze(f"{project}/cold")
    make_tree(tree, {"c": b"3"})
    pushed = client.data.push(tree, f"{project}/cold")
    assert pushed.version is not None
    assert (pushed.made, pushed.version.number) == ("version", 2)
    assert [entry.path for entry in client.data.list(f"{project}/cold@1")] == ["a", "b"]
    assert [entry.path for entry in client.data.list(f"{project}/cold")] == ["a", "b", "c"]


def test_a_commit_of_somebody_else_on_other_paths_is_built_upon(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1"})
    client.data.push(tree, f"{project}/both")
    make_tree(tree, {"mine": b"m"})
    pushed = _push_while_somebody_writes(client, counting, tree, f"{project}/both", "theirs")
    assert pushed.on_top_of == 1
    assert [entry.path for entry in client.data.list(f"{project}/both")] == ["a", "mine", "theirs"]


def test_a_commit_of_somebody_else_on_the_same_path_is_not_overwritten(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1"})
    client.data.push(tree, f"{project}/clash")
    make_tree(tree, {"shared": b"mine"})
    with pytest.raises(StaleRevision) as caught:
        _push_while_somebody_writes(client, counting, tree, f"{project}/clash", "shared")
    assert caught.value.errors == [{"path": "shared"}]
    assert client.data.read_bytes(f"{project}/clash/shared") == b"theirs"


def _push_while_somebody_writes(client: Client, counting: Counting, tree: Path, target: str, path: str):  # type: ignore[no-untyped-def]
    """Somebody else commits right before our commit goes out."""
    version = client.versions.get(target)
    upload = client.data.upload_bytes(b"theirs", "theirs")

    def before(request: httpx2.Request) -> None:
        if request.url.path.endswith("/commits"):
            counting.before = None
            client.versions.commit(version, [Add(op="add", path=path, upload=upload)])

    counting.before = before
    return client.data.push(tree, target)


def test_a_table_takes_no_single_files(client: Client, project: str, tmp_path: Path) -> None:
    made = client.versions.create("table", project=project, kind=Kind.TABLE)
    before = client.transport.get("/uploads", UploadPage).rows
    with pytest.raises(KindMismatch, match="table"):
        client.data.push(make_tree(tmp_path / "tree", {"a": b"1"}), made.id)
    assert client.versions.get(made.id).number is None
    with pytest.raises(KindMismatch, match="table"):
        client.data.push(tmp_path / "tree", f"{project}/table")
    assert client.transport.get("/uploads", UploadPage).rows == before, "a name that cannot take them costs no bytes"


def test_a_file_that_never_holds_still_is_refused(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"log": LARGE})

    def before(request: httpx2.Request) -> None:
        if request.method == "PUT":
            # Between hashing and sending, every time.
            with (tree / "log").open("ab") as file:
                file.write(b"more")

    counting.before = before
    with pytest.raises(SourceChanged, match="log"):
        client.data.push(tree, f"{project}/moving")
    with pytest.raises(NotFound):
        client.versions.get(f"{project}/moving")


def test_a_file_that_changed_once_is_pushed_as_it_is_then(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"log": LARGE})

    def before(request: httpx2.Request) -> None:
        if request.method == "PUT":
            counting.before = None
            (tree / "log").write_bytes(LARGE + b" and more")

    counting.before = before
    client.data.push(tree, f"{project}/moved")
    assert client.data.read_bytes(f"{project}/moved/log") == LARGE + b" and more"


KILLED = """
import sys
from entrepot.client.client import Client

def on_progress(progress):
    if progress.phase == "upload" and progress.{measure} >= {limit}:
        print("now", flush=True)
        sys.stdin.read()

Client().data.push(sys.argv[1], sys.argv[2], on_progress=on_progress)
"""


def _kill_a_push(server: Running, tree: Path, target: str, measure: str, limit: int) -> None:
    """Push in a process of its own and kill it, without a word, when so much has been sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(measure=measure, limit=limit), str(tree), target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(ENTREPOT_URL=server.url, ENTREPOT_TOKEN=server.token),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def test_a_killed_push_of_many_files_sends_only_what_was_unfinished(
    client: Client, server: Running, project: str, counting: Counting, tmp_path: Path
) -> None:
    files = {f"f{n}": os.urandom(257 << 10) for n in range(24)}
    tree = make_tree(tmp_path / "tree", files)
    _kill_a_push(server, tree, f"{project}/killed", "files_done", 10)
    with pytest.raises(NotFound):
        client.versions.get(f"{project}/killed")
    pushed = client.data.push(tree, f"{project}/killed")
    assert counting.uploads() <= 24 - 10
    assert pushed.version is not None
    assert pushed.version.entries == 24
    client.data.download(f"{project}/killed", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files


def test_a_killed_push_of_one_large_file_goes_on_in_the_middle(
    client: Client, server: Running, project: str, counting: Counting, tmp_path: Path
) -> None:
    content = os.urandom(48 << 20)
    tree = make_tree(tmp_path / "tree", {"large.bin": content})
    _kill_a_push(server, tree, f"{project}/large", "bytes_moved", 32 << 20)
    client.data.push(tree, f"{project}/large")
    assert counting.sent < len(content)
    got = hashlib.sha256()
    with client.data.open(f"{project}/large/large.bin") as opened:
        while block := opened.read(1 << 20):
            got.update(block)
    assert got.digest() == hashlib.sha256(content).digest()


@pytest.mark.parametrize("size", [4 << 20, 20 << 20], ids=["one request", "tus"])
def test_an_upload_survives_a_broken_connection(
    client: Client, project: str, counting: Counting, tmp_path: Path, size: int
) -> None:
    content = os.urandom(size)
    counting.cut_upload_after = size // 2
    client.data.push(make_tree(tmp_path / "tree", {"f": content}), f"{project}/broken")
    # One request starts over; a large upload goes on at the byte that the server has.
    assert counting.sent <= size * 3 // 2
    assert client.data.read_bytes(f"{project}/broken/f") == content


def test_a_stream_of_unknown_length_survives_a_broken_connection(
    client: Client, project: str, counting: Counting
) -> None:
    content = os.urandom(20 << 20)
    made = client.versions.create("streamed", project=project)
    counting.cut_upload_after = 3 << 20
    upload = client.data.upload_stream(io.BytesIO(content), "s.bin")
    client.versions.commit(made, [Add(op="add", path="s.bin", upload=upload)])
    assert client.data.read_bytes(made.id, "s.bin") == content


def test_a_new_version_from_a_file_and_from_bytes(client: Client, project: str, tmp_path: Path) -> None:
    (tmp_path / "counts.tsv").write_bytes(b"a\t1\n")
    one = client.data.from_file(tmp_path / "counts.tsv", project=project)
    assert (one.name, one.entries, one.state) == ("counts", 1, "ready")
    two = client.data.from_bytes(b"b", "Counts of b", "b.txt", project=project, tags=["b"])
    assert (two.name, two.tags) == ("Counts of b", ["b"])
    again = client.data.from_bytes(b"c", "Counts of b", "c.txt", project=project, numbering="next")
    assert again.number == 2
    written = client.data.write(f"{project}/counts", b"x", "notes/x.txt", metadata="a note")
    assert written.revision.number == 2
    assert client.data.entry(f"{project}/counts/notes/x.txt").metadata == "a note"


def test_a_cancelled_push_leaves_what_the_next_one_goes_on_from(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {f"f{n}": os.urandom(257 << 10) for n in range(16)})

    class Enough(Exception):
        pass

    def cancel(progress: Progress) -> None:
        if progress.phase == "upload" and progress.files_done >= 6:
            raise Enough

    with pytest.raises(Enough):
        client.data.push(tree, f"{project}/cancelled", on_progress=cancel)
    first = counting.uploads()
    client.data.push(tree, f"{project}/cancelled")
    assert counting.uploads() - first <= 10


# --- pulling ----------------------------------------------------------------------------------------------------------


def test_pulling_again_fetches_nothing(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    client.data.push(make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"}), f"{project}/again")
    client.data.download(f"{project}/again", tmp_path / "copy")
    counting.calls.clear()
    done = client.data.download(f"{project}/again", tmp_path / "copy")
    assert done.fetched_files == 0
    assert not [path for method, path in counting.calls if "/files/" in path]


def test_a_pull_follows_the_dataset_and_tidies_only_what_it_put_there(
    client: Client, project: str, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "gone/b": b"2"})
    client.data.push(tree, f"{project}/follow")
    client.data.download(f"{project}/follow", tmp_path / "copy")
    make_tree(tmp_path / "copy", {"mine": b"my own"})
    (tree / "gone" / "b").unlink()
    make_tree(tree, {"a": b"new"})
    client.data.push(tree, f"{project}/follow")
    done = client.data.download(f"{project}/follow", tmp_path / "copy")
    assert done.removed == ["gone/b"]
    assert read_tree(tmp_path / "copy") == {"a": b"new", "mine": b"my own"}
    assert not (tmp_path / "copy" / "gone").exists()


def test_an_edited_file_stops_the_pull_before_it_writes_anything(client: Client, project: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    client.data.push(tree, f"{project}/edited")
    client.data.download(f"{project}/edited", tmp_path / "copy")
    make_tree(tmp_path / "copy", {"a": b"my edit"})
    make_tree(tree, {"a": b"theirs", "b": b"also new"})
    client.data.push(tree, f"{project}/edited")
    with pytest.raises(Conflict) as caught:
        client.data.download(f"{project}/edited", tmp_path / "copy")
    assert caught.value.errors == [{"path": "a"}]
    assert read_tree(tmp_path / "copy") == {"a": b"my edit", "b": b"2"}
    client.data.download(f"{project}/edited", tmp_path / "copy", force=True)
    assert read_tree(tmp_path / "copy") == {"a": b"theirs", "b": b"also new"}


def test_a_pull_goes_on_in_the_middle_of_a_file(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    content = os.urandom(20 << 20)
    client.data.push(make_tree(tmp_path / "tree", {"large.bin": content}), f"{project}/resume")
    ranges: list[str | None] = []

    class Enough(Exception):
        pass

    def before(request: httpx2.Request) -> None:
        if "/files/" in request.url.path:
            ranges.append(request.headers.get("Range"))
            if len(ranges) == 3:
                raise Enough

    counting.before = before
    counting.cut_after = 6 << 20
    with pytest.raises(Enough):
        client.data.download(f"{project}/resume", tmp_path / "copy")
    assert ranges == [None, f"bytes={6 << 20}-", f"bytes={12 << 20}-"]
    assert not (tmp_path / "copy" / "large.bin").exists()
    part = part_of(tmp_path / "copy" / "large.bin", "sha256:" + hashlib.sha256(content).hexdigest())
    assert part.read_bytes() == content[: 12 << 20]
    counting.cut_after = None
    client.data.download(f"{project}/resume", tmp_path / "copy")
    assert ranges[3:] == [f"bytes={12 << 20}-"]
    assert (tmp_path / "copy" / "large.bin").read_bytes() == content
    assert not part.exists()


def test_a_damaged_unfinished_file_is_not_believed(client: Client, project: str, tmp_path: Path) -> None:
    content = os.urandom(2 << 20)
    client.data.push(make_tree(tmp_path / "tree", {"f": content}), f"{project}/damaged")
    target = tmp_path / "copy" / "f"
    target.parent.mkdir()
    part_of(target, "sha256:" + hashlib.sha256(content).hexdigest()).write_bytes(b"\0" * (1 << 20))
    client.data.download(f"{project}/damaged", tmp_path / "copy")
    assert target.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_pull_does_not_write_through_a_link(client: Client, project: str, tmp_path: Path) -> None:
    client.data.push(make_tree(tmp_path / "tree", {"raw/a": b"1"}), f"{project}/linked")
    (tmp_path / "outside").mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "raw").symlink_to(tmp_path / "outside")
    with pytest.raises(Conflict, match="link"):
        client.data.download(f"{project}/linked", tmp_path / "copy")
    assert read_tree(tmp_path / "outside") == {}


def test_a_locked_pull_gives_exactly_the_locked_bytes(client: Client, project: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1", "b": b"2"})
    client.data.push(tree, f"{project}/locked")
    lock = tmp_path / "work" / "entrepot.lock"
    lock.parent.mkdir()
    client.data.download(f"{project}/locked", lock.parent / "data", lock=lock)
    make_tree(tree, {"a": b"changed", "c": b"3"})
    client.data.push(tree, f"{project}/locked")
    client.data.download(f"{project}/locked", lock.parent / "data")
    (done,) = client.data.download_locked(lock)
    assert done.reference == f"{project}/locked@1.1"
    assert read_tree(lock.parent / "data") == {"a": b"1", "b": b"2"}


def test_a_locked_pull_fails_on_any_other_file(client: Client, project: str, tmp_path: Path) -> None:
    client.data.push(make_tree(tmp_path / "tree", {"a": b"1"}), f"{project}/strict")
    lock = tmp_path / "entrepot.lock"
    client.data.download(f"{project}/strict", tmp_path / "data", lock=lock)
    make_tree(tmp_path / "data", {"extra": b"x"})
    with pytest.raises(DigestMismatch, match="extra"):
        client.data.download_locked(lock)


def test_several_files_are_fetched_at_once(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    client.data.push(
        make_tree(tmp_path / "tree", {f"f{n}": bytes([n]) * (257 << 10) for n in range(8)}), f"{project}/parallel"
    )
    both = threading.Barrier(2, timeout=60)

    def before(request: httpx2.Request) -> None:
        if "/files/" in request.url.path and not both.broken:
            # Passes only when a second request is on its way while the first one waits.
            both.wait()

    counting.before = before
    assert client.data.download(f"{project}/parallel", tmp_path / "copy").fetched_files == 8
