"""The unmodified client `flowbio` 0.14.1, in an environment of its own, against a real server."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.flow.clients import Client, Raised, driven, file, flowbio, require_client
from tests.support.hostile_archives import CORPUS, tarred, zipped
from tests.support.proxies import LosingProxy, losing_proxy
from tests.support.server import ADMIN_PASSWORD, Server, free_port, running_server

FASTQ = b"@r\nACGT\n+\nIIII\n"
ADMIN = {"username": "admin", "password": ADMIN_PASSWORD}


@dataclass
class Place:
    """A server that can be killed and started again, a token of its administrator, and a proxy before it."""

    data: Path
    port: int
    token: str
    proxy: LosingProxy
    server: Server
    stack: contextlib.ExitStack

    def bytes_of(self, thing: str, filename: str) -> bytes:
        """What the client has no word for."""
        url = f"{self.server.url}/flow/api/downloads/{thing}/{filename}"
        answer = httpx2.get(url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)
        assert answer.status_code == 200
        return answer.content

    def native(self, method: str, path: str, token: str | None = None, **more: Any) -> Any:
        """What the native API answers, by default to the administrator."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = httpx2.request(method, f"{self.server.url}/api/v1{path}", headers=headers, timeout=60, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def person(self, name: str) -> dict[str, str]:
        """A login of somebody new, who has a project of their own."""
        login = {"username": name, "password": f"the password of {name}"}
        self.native("POST", "/users", json={"name": name, "password": login["password"]})
        return login

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return flowbio(self.server.url, self.token, *arguments)

    def kill(self) -> None:
        """The server and everything that it started, at once."""
        for pid in (self.server.pid, *self.server.children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.process.wait()
        self.stack.close()

    def start(self) -> None:
        self.server = self.stack.enter_context(running_server(self.data, port=self.port))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    require_client()
    data, port = tmp_path_factory.mktemp("server"), free_port()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(data, port=port))
        token = server.token()
        with losing_proxy(server.url) as proxy:
            yield Place(data, port, token, proxy, server, stack)


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Client]:
    with driven(f"{place.proxy.url}/flow/api", {"token": place.token}) as made:
        yield made


# Data files


@pytest.mark.parametrize("content", [b"", b"a\tb\n", b"x" * 1_000_000, b"x" * 1_000_001])
def test_a_file_arrives_as_it_is(client: Client, place: Place, tmp_path: Path, content: bytes) -> None:
    made = client("data.upload_data", file(tmp_path, content))
    assert place.bytes_of(made["id"], "counts.tsv") == content


def test_every_argument_of_an_upload(client: Client, place: Place, tmp_path: Path) -> None:
    path = file(tmp_path, b"@r\nACGT\n+\nIIII\n")
    made = client("data.upload_data", path, filename="reads_42.fastq", data_type="fastq", is_directory=False)
    found = client.get(f"/data/{made['id']}")
    assert (found["filename"], found["size"], found["is_directory"]) == ("reads_42.fastq", 15, False)
    assert found["data_type"]["identifier"] == "fastq"


def test_a_file_of_24_megabytes_in_chunks_of_any_size(client: Client, place: Place, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 24
    path = file(tmp_path, content, "large.bin")
    for chunk_size in (1_000_000, 100_000_000):
        made = client.but(chunk_size=chunk_size)("data.upload_data", path)
        assert place.bytes_of(made["id"], "large.bin") == content


def test_a_name_of_any_script(client: Client, place: Place, tmp_path: Path) -> None:
    made = client("data.upload_data", file(tmp_path, b"abc", "größe-\u5927.txt"))
    assert client.get(f"/data/{made['id']}")["filename"] == "größe-\u5927.txt"


def test_two_uploads_of_one_name_are_two_versions(client: Client, place: Place, tmp_path: Path) -> None:
    made = [client("data.upload_data", file(tmp_path, content, "twice.txt"))["id"] for content in (b"one", b"two")]
    assert [place.bytes_of(one, "twice.txt") for one in made] == [b"one", b"two"]
    paths = [client.get(f"/data/{one}")["absolute_path"] for one in made]
    assert [one.rpartition("@")[2] for one in paths] == ["1/twice.txt", "2/twice.txt"]


# Errors


def test_errors_are_the_clients_own_exceptions(client: Client, place: Place, tmp_path: Path) -> None:
    path = file(tmp_path, b"abc")
    with pytest.raises(Raised) as spaces:
        client("data.upload_data", path, filename="two words.txt")
    assert (spaces.value.kind, spaces.value.status) == ("BadRequestError", 400)
    assert spaces.value.message == {"filename": ["Spaces in filename"]}
    with pytest.raises(Raised) as stranger:
        client.but(login={"token": "nothing-of-this-server"})("data.upload_data", path)
    assert (stranger.value.kind, stranger.value.status) == ("AuthenticationError", 401)
    with pytest.raises(Raised) as wrong:
        client.but(login={"username": "admin", "password": "wrong"})("get_raw", "/me")
    assert (wrong.value.kind, wrong.value.status) == ("BadRequestError", 400)
    with pytest.raises(Raised) as missing:
        client.get("/data/999999")
    assert (missing.value.kind, missing.value.message) == ("NotFoundError", "Not found")
    with pytest.raises(Raised) as nowhere:
        client.get("/no/such/thing")
    assert nowhere.value.kind == "NotFoundError"


def test_a_large_chunk_that_is_refused_is_still_answered(client: Client, place: Place, tmp_path: Path) -> None:
    path = file(tmp_path, bytes(80_000_000), "large.bin")
    with pytest.raises(Raised) as refused:
        client.but(chunk_size=100_000_000)("data.upload_data", path, filename="a b")
    assert refused.value.message == {"filename": ["Spaces in filename"]}


def test_who_may_only_read_is_refused_as_the_clients_exception(client: Client, place: Place, tmp_path: Path) -> None:
    reader = client.but(login={"token": place.server.token(scope="read")})
    with pytest.raises(Raised) as refused:
        reader("data.upload_data", file(tmp_path, b"abc", "not-allowed.txt"))
    assert (refused.value.kind, refused.value.status) == ("FlowApiError", 403)
    assert "read" in refused.value.message
    assert client.get("/data/search", filename="not-allowed")["data"] == []


def test_a_full_project_is_said_as_the_clients_exception(client: Client, place: Place, tmp_path: Path) -> None:
    login = place.person("hoarder")
    hoarder = client.but(login=login)
    place.native("PATCH", "/projects/hoarder", json={"allocation": 10})
    kept = hoarder("data.upload_data", file(tmp_path, b"0123456", "fits.txt"))
    with pytest.raises(Raised) as refused:
        hoarder("data.upload_data", file(tmp_path, b"0123456789", "too-much.txt"))
    assert (refused.value.kind, refused.value.status) == ("FlowApiError", 413)
    assert "hoarder" in refused.value.message
    assert [one["id"] for one in hoarder.get("/data/search", filename="t")["data"]] == [kept["id"]]


def test_too_many_wrong_passwords_are_said_as_the_clients_exception(client: Client, place: Place) -> None:
    wrong = {"username": "guessed-at", "password": "wrong"}
    with place.server.client() as guesser:
        assert [guesser.post("/flow/api/login", json=wrong).status_code for _ in range(10)] == [400] * 10
    with pytest.raises(Raised) as refused:
        client.but(login=wrong)("get_raw", "/me")
    assert (refused.value.kind, refused.value.status) == ("FlowApiError", 429)
    assert "Try again in" in refused.value.message


# Logging in


def test_a_token_that_runs_out_in_the_middle_is_refreshed(client: Client, place: Place, tmp_path: Path) -> None:
    by_name = client.but(login={"username": "admin", "password": ADMIN_PASSWORD}, chunk_size=4)
    assert by_name.get("/me")["username"] == "admin"
    by_name("forget token", token="a.b.c")
    made = by_name("data.upload_data", file(tmp_path, b"0123456789"))
    assert place.bytes_of(made["id"], "counts.tsv") == b"0123456789"


# Lost answers


def test_chunks_whose_answers_are_lost_are_sent_again(client: Client, place: Place, tmp_path: Path) -> None:
    content = b"0123456789" * 3
    place.proxy.refuse(b"POST /flow/api/upload", 503, times=1)
    made = client.but(chunk_size=10)("data.upload_data", file(tmp_path, content, "again.txt"))
    assert place.bytes_of(made["id"], "again.txt") == content
    assert len(place.proxy.lost) == 1


def test_chunks_that_were_done_though_their_answers_are_lost(client: Client, place: Place, tmp_path: Path) -> None:
    """Each of three chunks is sent twice: the server did it, and a gateway said that it had not waited for that."""
    content = bytes(range(30))
    place.proxy.lost.clear()
    place.proxy.lose(b"POST /flow/api/upload", 3, apart=2, instead=504)
    made = client.but(chunk_size=10)("data.upload_data", file(tmp_path, content, "done-twice.bin"))
    assert len(place.proxy.lost) == 3
    assert place.bytes_of(made["id"], "done-twice.bin") == content
    found = client.get("/data/search", filename="done-twice")["data"]
    assert [one["id"] for one in found] == [made["id"]]
    assert client.get(f"/data/{made['id']}")["absolute_path"].endswith("@1/done-twice.bin")


def test_a_last_answer_that_is_cut_off_is_not_the_end_of_the_file(client: Client, place: Place, tmp_path: Path) -> None:
    """The client does not try again then, and raises; what the server did stands, once."""
    place.proxy.lost.clear()
    place.proxy.lose(b"POST /flow/api/upload")
    with pytest.raises(Raised) as cut:
        client("data.upload_data", file(tmp_path, b"abc", "cut-off.txt"))
    assert cut.value.kind == "RemoteProtocolError"
    assert len(place.proxy.lost) == 1
    (found,) = client.get("/data/search", filename="cut-off")["data"]
    assert place.bytes_of(found["id"], "cut-off.txt") == b"abc"


def test_an_answer_that_comes_too_late_leads_to_the_same_object(place: Place, tmp_path: Path) -> None:
    """What the client does after a timeout: the last chunk again, with the same offset and the same upload."""
    url, headers = f"{place.server.url}/flow/api/upload", {"Authorization": f"Bearer {place.token}"}

    def chunk(block: bytes, offset: int, data: str, last: str) -> Any:
        form = {"filename": "late.txt", "expected_file_size": str(offset), "is_last": last, "data": data}
        blob = {"blob": ("late.txt", block, "application/octet-stream")}
        return httpx2.post(url, headers=headers, data=form, files=blob, timeout=60).json()

    upload = chunk(b"abc", 0, "", "false")["data_id"]
    answers = [chunk(b"def", 3, upload, "true") for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert place.bytes_of(answers[0]["id"], "late.txt") == b"abcdef"


# Archives


def test_an_archive_is_unpacked(client: Client, place: Place, tmp_path: Path) -> None:
    members = {"a.txt": b"a", "b/c.txt": b"c" * 5000}
    for name, body in (("tree.zip", zipped(members)), ("tree.tar.gz", gzip.compress(tarred(members)))):
        made = client.but(chunk_size=100)("data.upload_data", file(tmp_path, body, name), is_directory=True)
        found = client.get(f"/data/{made['id']}")
        assert (found["is_directory"], found["filename"], found["size"]) == (True, name, 5001)


def test_members_of_an_archive_are_listed_to_whoever_sent_it(client: Client, place: Place, tmp_path: Path) -> None:
    members = {"README": b"one", "reads/r\u00e9sum\u00e9.fastq": FASTQ, "reads/deep/empty.txt": b"", "readme": b"other"}
    place.person("packer")
    token = place.server.token("packer", "write")
    packer = client.but(login={"token": token}, chunk_size=100)
    for name, body in (("listed.zip", zipped(members)), ("listed.tar.gz", gzip.compress(tarred(members)))):
        made = packer("data.upload_data", file(tmp_path, body, name), is_directory=True)
        version = place.native("GET", "/resolve", token, params={"id": f"flow:{made['id']}"})["version"]["id"]
        listed = place.native("GET", f"/versions/{version}/entries", token)["rows"]
        digests = {path: f"sha256:{hashlib.sha256(content).hexdigest()}" for path, content in members.items()}
        assert {one["path"]: one["sha256"] for one in listed} == digests
        assert {one["path"]: one["size"] for one in listed} == {path: len(one) for path, one in members.items()}


def test_a_hostile_archive_is_refused_as_the_clients_exception(client: Client, tmp_path: Path) -> None:
    hostile = CORPUS["zip leads out"]
    with pytest.raises(Raised) as refused:
        client("data.upload_data", file(tmp_path, hostile.body, "x.zip"), is_directory=True)
    assert (refused.value.kind, refused.value.status) == ("BadRequestError", 400)
    assert "etc/passwd" in str(refused.value.message)


# Samples


def test_samples_with_everything_around_them(client: Client, place: Place, tmp_path: Path) -> None:
    assert {"generic", "rna-seq"} <= {one["identifier"] for one in client("samples.get_types")}
    attributes = {one["identifier"]: one for one in client("samples.get_metadata_attributes")}
    assert "reverse" in attributes["strandedness"]["options"]
    assert attributes["purification_target"]["required_for_sample_types"] == ["chip-seq"]
    (human,) = (one for one in client("samples.get_organisms") if one["latin_name"] == "Homo sapiens")
    home = client("samples.get_owned_projects")[0]
    first, second = file(tmp_path, b"one", "R1.fastq.gz"), file(tmp_path, b"two" * 10, "R2.fastq.gz")
    made = client.but(chunk_size=4)(
        "samples.upload_sample",
        "Paired-end Sample",
        "RNA-Seq",
        {"reads2": f"file:{second}", "reads1": f"file:{first}"},
        metadata={"strandedness": "reverse"},
        project_id=home["id"],
        organism_id=human["id"],
    )
    shown = client.get(f"/samples/{made['id']}")
    assert [one["filename"] for one in shown["data"]] == ["R1.fastq.gz", "R2.fastq.gz"]
    assert place.bytes_of(shown["data"][1]["id"], "R2.fastq.gz") == b"two" * 10
    with pytest.raises(Raised) as refused:
        client("samples.upload_sample", "x", "chip-seq", {"reads1": f"file:{first}"})
    assert refused.value.kind == "BadRequestError"
    assert "purification_target" in refused.value.message


def test_reads_of_many_samples_and_their_sheet(client: Client, place: Place, tmp_path: Path) -> None:
    template = base64.b64decode(client("samples.get_annotation_template", "rna_seq"))
    assert template.startswith(b"PK")
    reads = {"reads1": f"file:{file(tmp_path, b'many', 'm.fastq.gz')}"}
    sheet = file(tmp_path, b"name,colour\none,red\n", "sheet.csv")
    done = client("samples.upload_multiplexed_data", reads, sheet)
    assert [one["column"] for one in done["warnings"]] == ["colour"]
    assert len(done["data_ids"]) == 1
    with pytest.raises(Raised) as warned:
        client("samples.upload_multiplexed_data", reads, sheet, ignore_warnings=False)
    assert warned.value.kind == "AnnotationValidationError"
    with pytest.raises(Raised) as wrong:
        client("samples.upload_multiplexed_data", reads, file(tmp_path, b"colour\nred\n", "bad.csv"))
    assert wrong.value.kind == "AnnotationValidationError"


def test_imports_are_refused_where_no_archive_is_named(client: Client) -> None:
    with pytest.raises(Raised) as refused:
        client("samples.import_samples", [{"accession": "ERR1160845", "sample_type": "RNA-Seq"}])
    assert refused.value.kind == "BadRequestError"
    assert "policy.sample_source" in refused.value.message
    with pytest.raises(Raised) as missing:
        client("samples.get_import", "999999")
    assert missing.value.kind == "NotFoundError"


# The command line


def test_the_command_line_uploads(client: Client, place: Place, tmp_path: Path) -> None:
    path = file(tmp_path, b"abc")
    done = place.command("data", "upload", str(path), "--no-progress", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["id"]
    assert place.bytes_of(made, "counts.tsv") == b"abc"
    refused = place.command("data", "upload", str(path), "--filename", "a b", "--no-progress", "--json")
    assert refused.returncode == 5
    assert "Spaces in filename" in refused.stderr


def test_the_command_line_reads_and_writes_as_it_is_told(client: Client, place: Place) -> None:
    read = client.command("api", "get", "/me", "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["username"] == "admin"
    missing = client.command("api", "get", "/data/999999", "--json")
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr


def test_the_command_line_uploads_samples(client: Client, place: Place, tmp_path: Path) -> None:
    reads = file(tmp_path, b"@r\nA\n+\nI\n", "cli.fastq")
    done = client.command(
        "samples", "upload", "--name", "By-command", "--sample-type", "generic", "--reads1", str(reads),
        "--no-progress", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = client.command("api", "get", f"/samples/{json.loads(done.stdout)['id']}", "--json")
    assert [one["filename"] for one in json.loads(found.stdout)["data"]] == ["cli.fastq"]
    template = tmp_path / "sheet.xlsx"
    got = client.command("samples", "annotation-template", "--sample-type", "rna_seq", "--output", str(template))
    assert got.returncode == 0, got.stderr
    assert template.read_bytes().startswith(b"PK")


def test_the_command_line_uploads_reads_of_many_samples(client: Client, place: Place, tmp_path: Path) -> None:
    reads = [str(file(tmp_path, FASTQ, f"many_R{n}.fastq")) for n in (1, 2)]
    sheet = str(file(tmp_path, b"name,colour\none,red\n", "many.csv"))
    words = ("samples", "upload-multiplexed", "--reads1", reads[0], "--reads2", reads[1], "--no-progress", "--json")
    done = client.command(*words, "--annotation", sheet)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["column"] for one in told["warnings"]] == ["colour"]
    assert [client.get(f"/data/{one}")["filename"] for one in told["data_ids"]] == ["many_R1.fastq", "many_R2.fastq"]
    assert place.bytes_of(told["annotation_id"], "many.csv") == b"name,colour\none,red\n"
    refused = client.command(*words, "--annotation", sheet, "--reject-warnings")
    assert refused.returncode == 5
    assert "colour" in refused.stderr


def test_the_command_line_uploads_the_samples_of_a_sheet(client: Client, place: Place, tmp_path: Path) -> None:
    made = client.command("samples", "batch-template", "--sample-type", "chip-seq", "--json")
    assert made.returncode == 0, made.stderr
    columns = {one["name"]: one for one in json.loads(made.stdout)}
    assert {name for name, one in columns.items() if one["required"]} == {"name", "reads1", "purification_target"}
    assert "reverse" in columns["strandedness"]["options"]
    template = tmp_path / "batch.csv"
    done = client.command("samples", "batch-template", "--sample-type", "rna-seq", "--output", str(template))
    assert done.returncode == 0, done.stderr

    home = client("samples.get_owned_projects")[0]["id"]
    file(tmp_path, FASTQ, "b_1.fastq")
    rows = (
        {"name": "batch-one", "reads1": "b_1.fastq", "strandedness": "reverse", "organism": "9606", "project": home},
        {"name": "batch-two", "reads1": "not-here.fastq"},
        {"name": "batch-three", "reads1": "b_1.fastq", "organism": "unicorn"},
    )
    header = template.read_text().strip().split(",")
    lines = [",".join(row.get(column, "") for column in header) for row in rows]
    template.write_text("\n".join([",".join(header), *lines]) + "\n")
    words = ("samples", "upload-batch", "--sheet", str(template), "--sample-type", "rna-seq", "--no-progress", "--json")
    refused = client.command(*words)
    assert refused.returncode == 2
    assert "not-here.fastq" in refused.stderr
    done = client.command(*words, "--skip-invalid")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"uploaded": 1, "failed": 1, "skipped": 1}
    assert "unicorn" in str(told["failed"][0]["message"])
    shown = client.get(f"/samples/{told['uploaded'][0]['sample_id']}")
    assert (shown["name"], shown["organism"]) == ("batch-one", "9606")
    assert shown["metadata"] == {"strandedness": "reverse"}


def test_the_command_line_posts_and_patches_what_it_is_given(client: Client, place: Place, tmp_path: Path) -> None:
    """What the door has no call for is an error of the client's, never a broken answer."""
    posted = client.command("api", "post", "/login", "--body", "-", given=json.dumps(ADMIN))
    assert posted.returncode == 0, posted.stderr
    assert json.loads(posted.stdout)["token"]
    wrong = str(file(tmp_path, b'{"imports": "?"}', "body.json"))
    refused = client.command("api", "post", "/v2/sample-imports", "--body", wrong)
    assert refused.returncode == 5
    assert "imports" in refused.stderr
    patched = client.command("api", "patch", "/samples/1", "--body", wrong)
    assert patched.returncode == 1
    for ended in (refused, patched):
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr
    assert "PATCH is nothing that can be done at /flow/api/samples/1" in patched.stderr


# Crashes


def test_a_server_that_dies_between_two_chunks_loses_nothing(client: Client, place: Place, tmp_path: Path) -> None:
    """In this order: the last test of the module, because the server is another one afterwards."""
    url, headers = f"{place.server.url}/flow/api/upload", {"Authorization": f"Bearer {place.token}"}

    def chunk(block: bytes, offset: int, data: str, last: str) -> Any:
        form = {"filename": "kept.txt", "expected_file_size": str(offset), "is_last": last, "data": data}
        blob = {"blob": ("kept.txt", block, "application/octet-stream")}
        return httpx2.post(url, headers=headers, data=form, files=blob, timeout=60).json()

    upload = chunk(b"abc", 0, "", "false")["data_id"]
    place.kill()
    place.start()
    made = chunk(b"def", 3, upload, "true")["id"]
    assert place.bytes_of(made, "kept.txt") == b"abcdef"
    place.kill()
    place.start()
    assert chunk(b"def", 3, upload, "true")["id"] == made
