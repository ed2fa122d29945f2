"""Files in chunks, by the rules of repeats, gaps and the last one."""

from __future__ import annotations

import pytest

from entrepot.depot import browse, projects, uploads
from entrepot.depot.browse import Wanted
from entrepot.depot.projects import ProjectChanges
from tests.support.flow import Lab, error_of
from tests.support.identity import ADMIN_PASSWORD


def names_in(lab: Lab) -> list[tuple[str, int | None]]:
    """Name and number of every version in the lab's project, oldest first."""
    found = browse.list_versions(lab.depot, lab.site.world.login("writer"), Wanted(project=lab.project)).rows
    return [(one.version.name, one.version.number) for one in found][::-1]


def test_a_file_in_one_chunk_becomes_a_version(lab: Lab) -> None:
    made = lab.writer.chunk(b"a\tb\n", filename="counts.tsv").json()
    assert made["id"] == made["data_id"]
    assert made["id"].isdecimal()
    assert names_in(lab) == [("counts.tsv", 1)]
    assert lab.writer.bytes_of(made["id"], "counts.tsv") == b"a\tb\n"


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 100])
@pytest.mark.parametrize("size", [1000, 4096])
def test_a_file_in_many_chunks(lab: Lab, content: bytes, size: int) -> None:
    made = lab.writer.upload(content, "data.bin", size=size)
    assert lab.writer.bytes_of(made, "data.bin") == content


def test_until_the_last_chunk_there_is_nothing_to_see(lab: Lab) -> None:
    answer = lab.writer.chunk(b"abc", last=False).json()
    assert answer["id"].startswith("up_")
    assert lab.writer("GET", f"/data/{answer['id']}").status_code == 404
    assert names_in(lab) == []


def test_a_repeated_chunk_changes_nothing(lab: Lab) -> None:
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    for _ in range(2):
        assert lab.writer.chunk(b"def", offset=3, last=False, data=first).json()["data_id"] == first
    made = lab.writer.chunk(b"ghi", offset=6, data=first).json()["id"]
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdefghi"


def test_a_chunk_that_was_cut_is_completed_by_its_repeat(lab: Lab) -> None:
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    lab.writer.chunk(b"de", offset=3, last=False, data=first)
    made = lab.writer.chunk(b"defgh", offset=3, data=first).json()["id"]
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdefgh"


def test_the_last_chunk_may_come_again(lab: Lab) -> None:
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    made = lab.writer.chunk(b"def", offset=3, data=first).json()
    for _ in range(2):
        assert lab.writer.chunk(b"def", offset=3, data=first).json() == made
    assert names_in(lab) == [("reads.txt", 1)]


@pytest.mark.parametrize("block", [b"xyz", b"de", b"defg"])
def test_another_last_chunk_is_refused(lab: Lab, block: bytes) -> None:
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    made = lab.writer.chunk(b"def", offset=3, data=first).json()["id"]
    assert lab.writer.chunk(block, offset=3, data=first).status_code == 400
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdef"


def test_a_gap_is_refused_and_can_be_closed(lab: Lab) -> None:
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    refused = lab.writer.chunk(b"xyz", offset=4, last=False, data=first)
    assert refused.status_code == 400
    assert "Missing chunk" in error_of(refused)
    assert "has 3 bytes" in error_of(refused)
    made = lab.writer.chunk(b"def", offset=3, data=first).json()["id"]
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdef"


def test_a_repeat_of_other_bytes_is_refused(lab: Lab) -> None:
    first = lab.writer.chunk(b"abcdef", last=False).json()["data_id"]
    assert lab.writer.chunk(b"xyz", offset=3, last=False, data=first).status_code == 400
    made = lab.writer.chunk(b"ghi", offset=6, data=first).json()["id"]
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdefghi"


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("two words.txt", ["Spaces in filename"]),
        ("a/b.txt", None),
        ("a\\b.txt", None),
        ("..", None),
        ("a\x01b.txt", None),
        ("x" * 256, None),
    ],
)
def test_a_name_that_is_not_good_is_refused_with_the_first_chunk(
    lab: Lab, filename: str, says: list[str] | None
) -> None:
    refused = lab.writer.chunk(b"abc", filename=filename, last=False)
    assert refused.status_code == 400
    assert list(error_of(refused)) == ["filename"]
    assert says is None or error_of(refused) == {"filename": says}
    assert names_in(lab) == []


def test_a_data_type_that_nobody_knows_is_refused_with_the_first_chunk(lab: Lab) -> None:
    refused = lab.writer.chunk(b"abc", last=False, data_type="fastqq")
    assert refused.status_code == 400
    assert list(error_of(refused)) == ["data_type"]
    assert "fastq" in error_of(refused)["data_type"][0]
    # What is known is kept as it was declared, whatever the bytes are.
    made = lab.writer.upload(b"no reads", "x.txt", data_type="FASTQ")
    assert lab.writer.ok("GET", f"/data/{made}")["data_type"]["identifier"] == "fastq"


def test_fields_that_are_missing_or_wrong_are_named_together(lab: Lab) -> None:
    refused = lab.writer(
        "POST", "/upload", data={"is_last": "maybe", "expected_file_size": "-1"}, files={"blob": ("x", b"abc")}
    )
    assert refused.status_code == 400
    assert set(error_of(refused)) == {"filename", "is_last", "expected_file_size"}
    assert set(error_of(lab.writer.chunk(b"abc", offset=3, last=False))) == {"data"}
    without = lab.writer("POST", "/upload", data={"filename": "x"}, files={"other": ("x", b"abc")})
    assert set(error_of(without)) == {"blob"}
    assert lab.writer("POST", "/upload", {"filename": "x"}).status_code == 400


def test_uploads_of_others_and_of_nobody_cannot_be_told_apart(lab: Lab) -> None:
    mine = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    foreign = lab.chief.chunk(b"def", offset=3, data=mine)
    nobodys = lab.chief.chunk(b"def", offset=3, data="up_" + "0" * 32)
    assert (foreign.status_code, nobodys.status_code) == (404, 404)
    assert error_of(foreign).replace(mine, "X") == error_of(nobodys).replace("up_" + "0" * 32, "X")
    assert lab.writer.chunk(b"def", offset=3, data="17").status_code == 404


@pytest.mark.parametrize("token", [None, "nothing", "a.b.c"])
def test_a_stranger_is_told_before_the_body_is_judged(lab: Lab, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    refused = lab.anonymous("POST", "/upload", data={"filename": "a b"}, files={"blob": ("x", b"abc")}, headers=headers)
    assert refused.status_code == 401
    assert isinstance(error_of(refused), str)


def test_a_token_that_only_reads_sends_nothing(lab: Lab) -> None:
    assert lab.reading.chunk(b"abc").status_code == 403
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    assert lab.reading.chunk(b"def", offset=3, data=first).status_code == 403


def test_the_same_name_twice_is_the_next_version(lab: Lab) -> None:
    one, two = lab.writer.upload(b"one", "same.txt"), lab.writer.upload(b"two", "same.txt")
    assert one != two
    assert names_in(lab) == [("same.txt", 1), ("same.txt", 2)]
    assert lab.writer.bytes_of(one, "same.txt") == b"one"
    assert lab.writer.bytes_of(two, "same.txt") == b"two"


def test_unfinished_uploads_expire_and_finished_ones_are_known_for_longer(fresh_lab: Lab) -> None:
    lab = fresh_lab
    unfinished = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    kept = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    made = lab.writer.chunk(b"def", offset=3, data=kept).json()
    lab.site.clock.move(hours=25)
    assert lab.writer.chunk(b"def", offset=3, data=unfinished).status_code == 404
    assert uploads.sweep(lab.depot) == 1
    assert lab.writer.chunk(b"def", offset=3, data=kept).json() == made
    lab.site.clock.move(days=8)
    assert uploads.sweep(lab.depot) == 1
    assert lab.writer.chunk(b"def", offset=3, data=kept).status_code == 404
    assert lab.writer.bytes_of(made["id"], "reads.txt") == b"abcdef"


def test_an_upload_of_this_door_is_no_upload_of_another(lab: Lab) -> None:
    mine = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    head = {"Authorization": f"Bearer {lab.writer.token}", "Tus-Resumable": "1.0.0"}
    native = lab.site.http.head(f"/api/v1/uploads/{mine}", headers=head)
    assert native.status_code == 404


def test_a_project_that_is_full_refuses_the_last_chunk_and_keeps_the_bytes(fresh_lab: Lab) -> None:
    lab = fresh_lab
    staff = lab.site.world.login("admin", ADMIN_PASSWORD)
    projects.update(lab.depot, staff, lab.project, ProjectChanges(allocation=4))
    first = lab.writer.chunk(b"abc", last=False).json()["data_id"]
    assert lab.writer.chunk(b"def", offset=3, data=first).status_code == 413
    assert names_in(lab) == []
    projects.update(lab.depot, staff, lab.project, ProjectChanges(allocation=100))
    made = lab.writer.chunk(b"def", offset=3, data=first).json()["id"]
    assert lab.writer.bytes_of(made, "reads.txt") == b"abcdef"
