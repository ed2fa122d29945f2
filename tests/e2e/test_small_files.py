"""Small files travel in batches, each checked by itself, and no break costs more than one batch."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from entrepot.client.batches import FILES
from entrepot.client.client import Client
from entrepot.client.progress import Progress
from entrepot.model.errors import DigestMismatch, NotFound
from tests.e2e.conftest import Counting, Running, environment, make_tree, read_tree


def batches(counting: Counting) -> int:
    return counting.calls.count(("PUT", "/packs"))


def fetched(counting: Counting) -> int:
    return sum(method == "POST" and path.endswith("/batch") for method, path in counting.calls)


def small_tree(root: Path, count: int, size: int) -> dict[str, bytes]:
    files = {f"d{n % 7}/f{n:04}": os.urandom(size) for n in range(count)}
    make_tree(root, files)
    return files


def test_thousands_of_small_files_take_a_few_requests_and_are_told_one_by_one(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    dice = random.Random(7)
    files = {f"d{n % 20:02}/f{n:04}.txt": dice.randbytes(16 + dice.randrange(600)) for n in range(2480)}
    files |= {f"twins/{n}": b"the same bytes of this test" for n in range(20)}
    make_tree(tmp_path / "tree", files)
    seen: list[Progress] = []
    pushed = client.data.push(tmp_path / "tree", f"{project}/many", on_progress=seen.append)
    assert pushed.version is not None
    assert (pushed.version.entries, pushed.version.revision) == (2500, 1)
    unique = len(set(files.values()))
    # Four senders: the first batch is a quarter of a whole one, the second half of one.
    assert FILES * (1 + 2 + 3) // 4 > unique > FILES * (1 + 2) // 4
    assert (pushed.sent_files, batches(counting)) == (unique, 3)
    last = [one for one in seen if one.phase == "upload"][-1]
    # The twins are done too, without being sent.
    assert (last.files_done, last.files_total, last.bytes_done) == (2500, 2500, last.bytes_total)
    assert last.bytes_moved == sum(map(len, set(files.values())))
    seen.clear()
    done = client.data.download(f"{project}/many", tmp_path / "copy", on_progress=seen.append)
    assert read_tree(tmp_path / "copy") == files
    assert (done.fetched_files, fetched(counting)) == (2500, 2)
    last = [one for one in seen if one.phase == "download"][-1]
    assert (last.files_done, last.bytes_done) == (2500, sum(map(len, files.values())))


def test_a_second_push_sends_the_one_file_that_changed(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    files = small_tree(tmp_path / "tree", 50, 100)
    client.data.push(tmp_path / "tree", f"{project}/again")
    before = batches(counting)
    make_tree(tmp_path / "tree", {"d1/f0001": b"changed in this test"})
    pushed = client.data.push(tmp_path / "tree", f"{project}/again")
    assert (pushed.sent_files, batches(counting)) == (1, before)
    client.data.download(f"{project}/again", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files | {"d1/f0001": b"changed in this test"}


def test_a_small_file_is_sent_as_it_was_read(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    files = small_tree(tmp_path / "tree", 20, 100)

    def before(request: httpx2.Request) -> None:
        if request.method == "PUT":
            make_tree(tmp_path / "tree", {"d1/f0001": b"changed while the batch was on its way"})

    counting.before = before
    client.data.push(tmp_path / "tree", f"{project}/as-it-was")
    counting.before = None
    assert batches(counting) == 1
    assert client.data.read_bytes(f"{project}/as-it-was/d1/f0001") == files["d1/f0001"]
    assert client.data.push(tmp_path / "tree", f"{project}/as-it-was").sent_files == 1
    assert client.data.read_bytes(f"{project}/as-it-was/d1/f0001") == b"changed while the batch was on its way"


def test_a_dry_run_says_what_a_push_would_send(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    files = small_tree(tmp_path / "tree", 30, 100) | {"large": os.urandom(300 << 10)}
    make_tree(tmp_path / "tree", {"large": files["large"], "twin": files["d1/f0001"]})
    told = client.data.push(tmp_path / "tree", f"{project}/told", dry_run=True)
    assert counting.sent == 0
    done = client.data.push(tmp_path / "tree", f"{project}/told")
    assert (told.sent_files, told.sent_bytes) == (done.sent_files, done.sent_bytes) == (31, 3000 + (300 << 10))
    assert told.plan.contents == done.plan.contents


KILLED = """
import sys
from entrepot.client.client import Client

def on_progress(progress):
    if progress.phase == "upload" and progress.files_done >= 1:
        print("now", flush=True)
        sys.stdin.read()

Client().data.push(sys.argv[1], sys.argv[2], on_progress=on_progress)
"""


def test_a_killed_push_goes_on_with_the_first_batch_that_was_not_confirmed(
    client: Client, server: Running, project: str, counting: Counting, tmp_path: Path
) -> None:
    files = small_tree(tmp_path / "tree", 90, 200 << 10)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "tree"), f"{project}/killed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(ENTREPOT_URL=server.url, ENTREPOT_TOKEN=server.token),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.kill()
    with pytest.raises(NotFound):
        client.versions.get(f"{project}/killed")
    client.data.push(tmp_path / "tree", f"{project}/killed")
    # At least one batch was confirmed and written down before anybody was told of its files.
    assert counting.sent < 90 * (200 << 10)
    assert batches(counting) < 3
    client.data.download(f"{project}/killed", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files


def test_a_batch_survives_a_broken_connection(client: Client, project: str, counting: Counting, tmp_path: Path) -> None:
    files = small_tree(tmp_path / "tree", 30, 100 << 10)
    counting.cut_upload_after = 1 << 20
    seen: list[Progress] = []
    client.data.push(tmp_path / "tree", f"{project}/cut", on_progress=seen.append)
    assert batches(counting) == 2
    last = [one for one in seen if one.phase == "upload"][-1]
    assert (last.files_done, last.bytes_done) == (30, 30 * (100 << 10))
    client.data.download(f"{project}/cut", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files


def test_a_pull_goes_on_with_the_first_file_that_is_missing(
    client: Client, project: str, counting: Counting, tmp_path: Path
) -> None:
    files = small_tree(tmp_path / "tree", 30, 100 << 10)
    client.data.push(tmp_path / "tree", f"{project}/resumed")
    asked: list[list[str]] = []

    def before(request: httpx2.Request) -> None:
        if request.url.path.endswith("/batch"):
            asked.append(json.loads(request.content)["paths"])

    counting.before, counting.cut_after = before, 1 << 20
    client.data.download(f"{project}/resumed", tmp_path / "copy")
    assert read_tree(tmp_path / "copy") == files
    # A torn file comes again, and nothing else does.
    assert [len(paths) for paths in asked] == [30, 20, 10]
    assert asked[0][10:] == asked[1]


class Flipping(Counting):
    """One bit of every answer with files changes on the way, as often as told."""

    left = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if self.left and request.url.path.endswith("/batch"):
            assert isinstance(response.stream, httpx2.SyncByteStream)
            self.left -= 1
            response.stream = _Flipped(response.stream)
        return response


class _Flipped(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        whole = bytearray(b"".join(self._body))
        whole[200] ^= 1
        yield bytes(whole)

    def close(self) -> None:
        self._body.close()


@pytest.mark.parametrize(("times", "arrives"), [(1, True), (9, False)])
def test_a_file_that_came_as_other_bytes_is_never_kept(
    server: Running, client: Client, project: str, tmp_path: Path, times: int, arrives: bool
) -> None:
    files = small_tree(tmp_path / "tree", 5, 1000)
    client.data.push(tmp_path / "tree", f"{project}/flipped")
    way = Flipping()
    way.left = times
    with Client(server.url, server.token, transport=way) as opened:
        if arrives:
            opened.data.download(f"{project}/flipped", tmp_path / "copy")
            assert read_tree(tmp_path / "copy") == files
        else:
            with pytest.raises(DigestMismatch):
                opened.data.download(f"{project}/flipped", tmp_path / "copy")
            assert read_tree(tmp_path / "copy") == {} or ".entrepot" in str(list((tmp_path / "copy").iterdir()))
