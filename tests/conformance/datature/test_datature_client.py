"""The unmodified client `datature` 1.12.2, in an environment of its own, against a real server.

It lives in one process for all tests, since importing it takes longer than most of them, and does what it is told.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.model.ids import Noun, encode, parse_datature_dataset
from tests.support.datature import request_for
from tests.support.proxies import LosingProxy, losing_proxy
from tests.support.server import Server, free_port, running_server

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".env-clients" / "datature" / "bin" / "python"
DRIVER = Path(__file__).with_name("driver.py")

LINES = (
    b'{"kind": "Image", "url": "https://example.org/1.png"}\n{"kind": "Image", "url": "https://example.org/2.png"}\n'
)
#: The receiver of webhooks is on this machine.
SETTINGS = ("webhook_allow=127.0.0.1", "webhook_ports=1-65535")
NEVER = 4_102_444_800_000
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000000000200"
    "01e221bc330000000049454e44ae426082"
)


@dataclass
class Receiver:
    """A server that webhooks may lead to, and what it was sent."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(found.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


class Raised(Exception):
    """What the client raised, by the name of its class."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.kind: str = answer["error"].rpartition(".")[2]
        self.message: str = answer["message"]
        self.detail: Any = answer["detail"]


@dataclass
class Client:
    """The client in its process."""

    process: subprocess.Popen[str]
    answers: Any
    project: str
    key: str | None = None

    def on_server(self, call: str, *arguments: Any, **named: Any) -> Any:
        """A method of `Client` itself."""
        return self._ask(None, call, arguments, named)

    def __call__(self, call: str, *arguments: Any, **named: Any) -> Any:
        """A method of the project, by its path; the value as the client decoded it, in the wire's names."""
        return self._ask(self.project, call, arguments, named)

    def _ask(self, project: str | None, call: str, arguments: Any, named: Any) -> Any:
        asked = {"project": project, "call": call, "arguments": arguments, "named": named, "key": self.key}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.answers.readline()
        assert line, "the client's process ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Raised(answer)
        return answer["value"]


@contextlib.contextmanager
def driven(url: str, key: str, project: str, **environment: str) -> Iterator[Client]:
    reading, writing = os.pipe()
    around = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [str(PYTHON), str(DRIVER), url, key, str(writing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
        text=True,
        env={**around, "PYTHONPATH": "", "NO_PROXY": "127.0.0.1", **environment},
    )
    os.close(writing)
    said: list[str] = []
    assert process.stderr is not None
    listening = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    listening.start()
    try:
        with os.fdopen(reading) as answers:
            yield Client(process, answers, project)
    finally:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(30)
        listening.join(5)
        process.stderr.close()


@dataclass
class Place:
    """A server that can be killed and started again, a key of it, and a proxy before it."""

    data: Path
    port: int
    key: str
    project: str
    proxy: LosingProxy
    server: Server
    stack: contextlib.ExitStack

    def native(self, method: str, path: str, **what: Any) -> Any:
        """What this client has no word for, by the product's own API."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx2.request(method, f"{self.server.url}/api/v1{path}", headers=headers, timeout=60, **what)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def kill(self) -> None:
        """The server and everything that it started, at once."""
        for pid in (self.server.pid, *self.server.children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.process.wait()
        self.stack.close()

    def start(self) -> None:
        self.server = self.stack.enter_context(running_server(self.data, port=self.port, settings=SETTINGS))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if not PYTHON.exists():
        pytest.skip("the environment of the Datature client is missing: scripts/client-env datature")
    data, port = tmp_path_factory.mktemp("server"), free_port()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(data, port=port, settings=SETTINGS))
        key = server.token()
        with server.client(key) as http:
            made = http.post("/api/v1/projects", json={"name": "birds"}).json()["id"]
        with losing_proxy(server.url) as proxy:
            yield Place(data, port, key, made, proxy, server, stack)


@pytest.fixture(scope="module")
def shared_client(place: Place) -> Iterator[Client]:
    with driven(place.proxy.url, place.key, place.project) as client:
        yield client


@pytest.fixture
def client(shared_client: Client, place: Place) -> Client:
    """The client in a project of the test's own."""
    name = f"project {time.monotonic_ns()}"
    shared_client.project = place.native("POST", "/projects", json={"name": name})["id"]
    return shared_client


def file(folder: Path, data: bytes = LINES, name: str = "items.ndjson") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def done(client: Client, dataset: dict[str, Any], **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = client("batch.datasets.wait_until_done", dataset["id"], interval=1, timeout=60, **how)
    return found


# Look-ups


def test_the_workspace_and_its_projects(client: Client) -> None:
    info = client.on_server("get_info")
    assert info["tier"] == "self-hosted"
    listed = {one["id"]: one for one in client.on_server("list_projects")}
    found = client("get_info")
    assert found["workspaceId"] == info["id"]
    assert listed[client.project] == found


# Datasets


def test_a_dataset_from_file_to_uploaded(client: Client, place: Place, tmp_path: Path) -> None:
    made = client("batch.datasets.create", "my-dataset", file(tmp_path))
    assert made["status"]["overview"] == "Waiting"
    assert made["projectId"] == client.project
    assert made["expiryTime"] == NEVER
    uploaded = done(client, made)
    assert (uploaded["status"]["overview"], uploaded["status"]["itemCount"]) == ("Uploaded", 2)
    assert client("batch.datasets.get", made["id"]) == uploaded
    assert client("batch.datasets.list")["data"] == [uploaded]
    version = encode(Noun.VERSION, parse_datature_dataset(made["id"]))
    assert place.native("GET", f"/versions/{version}")["state"] == "ready"
    assert client("batch.datasets.delete", made["id"]) == {"deleted": True, "id": made["id"]}
    assert client("batch.datasets.delete", made["id"])["deleted"] is True
    with pytest.raises(Raised) as gone:
        client("batch.datasets.get", made["id"])
    assert gone.value.kind == "NotFoundError"
    assert client("batch.datasets.list")["data"] == []


def test_a_file_of_24_megabytes(client: Client, tmp_path: Path) -> None:
    line = b'{"kind": "Image", "url": "https://example.org/%07d.png"}\n'
    count = (24 << 20) // len(line % 0)
    data = b"".join(line % i for i in range(count))
    uploaded = done(client, client("batch.datasets.create", "large", file(tmp_path, data)))
    assert uploaded["status"]["itemCount"] == count


def test_content_that_is_refused_says_where(client: Client, tmp_path: Path) -> None:
    made = client("batch.datasets.create", "bad", file(tmp_path, LINES + b"not JSON\n"))
    with pytest.raises(Raised) as refused:
        done(client, made)
    assert refused.value.kind == "BadRequestError"
    status = client("batch.datasets.get", made["id"])["status"]
    assert status["overview"] == "FailedProcessing"
    assert "ine 3" in status["message"]


def test_a_file_that_changes_while_it_is_sent_fails_the_upload(client: Client, place: Place, tmp_path: Path) -> None:
    """The client ignores what the PUT answers; the state is all that it has."""
    made = announce(place, client, LINES)
    answer = put(made, LINES.replace(b"1.png", b"7.png"))
    assert answer.status_code == 400
    with pytest.raises(Raised) as refused:
        done(client, made)
    assert refused.value.kind == "BadRequestError"
    status = client("batch.datasets.get", made["id"])["status"]
    assert status["overview"] == "FailedUpload"
    assert "CRC-32C" in status["message"]


def announce(place: Place, client: Client, data: bytes, name: str = "announced") -> dict[str, Any]:
    """A create without its PUT, as the client sends it."""
    url = f"{place.server.url}/projects/{client.project}/batch/datasets"
    answer = httpx2.post(url, headers={"Secret-Key": place.key}, json=request_for(name, data))
    made: dict[str, Any] = answer.json()
    return made


def put(made: dict[str, Any], data: bytes) -> httpx2.Response:
    upload = made["status"]["source"]["uploadUrl"]
    headers = {name: value for name, value in upload["headers"].items() if name != "content-length"}
    return httpx2.put(upload["url"], content=data, headers=headers)


def test_a_put_that_is_cut_leaves_the_place_open(client: Client, place: Place) -> None:
    made = announce(place, client, LINES)

    def cut() -> Iterator[bytes]:
        yield LINES[:10]
        raise ConnectionError("the cable was pulled")

    upload = made["status"]["source"]["uploadUrl"]
    with pytest.raises(ConnectionError):
        httpx2.put(upload["url"], content=cut(), headers={"content-length": str(len(LINES))})
    assert client("batch.datasets.get", made["id"])["status"]["overview"] in ("Waiting", "Uploading")
    assert put(made, LINES).status_code == 200
    assert done(client, made)["status"]["overview"] == "Uploaded"
    assert put(made, LINES).status_code == 412
    assert put(made, b"other").status_code == 412
    assert done(client, made)["status"]["itemCount"] == 2


def test_waiting_ends_with_what_there_is(client: Client, place: Place) -> None:
    made = announce(place, client, LINES)
    found = client("batch.datasets.wait_until_done", made["id"], interval=1, timeout=1)
    assert found["status"]["overview"] == "Waiting"
    assert found["status"]["message"]


def test_pages_forward_and_back(client: Client, place: Place) -> None:
    made = [announce(place, client, LINES, f"set {i}")["id"] for i in range(5)][::-1]

    def page(cursor: str | None = None) -> dict[str, Any]:
        asked = {"limit": 2} if cursor is None else {"limit": 2, "page": cursor}
        found: dict[str, Any] = client("batch.datasets.list", pagination=asked)
        return found

    def ids(found: dict[str, Any]) -> list[str]:
        return [one["id"] for one in found["data"]]

    first = page()
    second = page(first["nextPage"])
    newer = announce(place, client, LINES, "newer")["id"]
    third = page(second["nextPage"])
    assert [ids(first), ids(second), ids(third)] == [made[:2], made[2:4], made[4:]]
    assert (first["prevPage"], third["nextPage"]) == (None, None)
    assert ids(page(third["prevPage"])) == made[2:4]
    assert ids(page(second["prevPage"])) == made[:2]
    assert ids(page()) == [newer, made[0]]
    assert len(client("batch.datasets.list")["data"]) == 6


def test_expired_datasets_are_hidden_by_the_client_and_shown_when_asked(
    client: Client, place: Place, tmp_path: Path
) -> None:
    made = client("batch.datasets.create", "short", file(tmp_path))
    done(client, made)
    version = encode(Noun.VERSION, parse_datature_dataset(made["id"]))
    place.native("PATCH", f"/versions/{version}", json={"expires_at": "2020-01-01T00:00:00Z"})
    assert client("batch.datasets.list")["data"] == []
    (shown,) = client("batch.datasets.list", show_expired=True)["data"]
    assert shown["expiryTime"] == 1_577_836_800_000
    assert client("batch.datasets.get", made["id"])["expiryTime"] == 1_577_836_800_000


# Errors


@pytest.mark.parametrize(
    ("call", "arguments", "kind"),
    [
        ("batch.datasets.get", ["dataset_00000000-0000-7000-8000-000000000000"], "NotFoundError"),
        ("batch.datasets.get", ["nonsense"], "NotFoundError"),
        ("batch.datasets.delete", ["nonsense"], "NotFoundError"),
        ("operations.get", ["op_nonsense"], "NotFoundError"),
        ("assets.get", ["nonsense"], "NotFoundError"),
        ("annotations.list", [], "NotFoundError"),
    ],
)
def test_errors_are_its_own_with_an_object(client: Client, call: str, arguments: list[str], kind: str) -> None:
    with pytest.raises(Raised) as refused:
        client(call, *arguments)
    assert refused.value.kind == kind
    assert refused.value.detail["message"]
    assert refused.value.detail["message"] in refused.value.message


def test_a_name_that_is_none_is_a_bad_request(client: Client, tmp_path: Path) -> None:
    with pytest.raises(Raised) as refused:
        client("batch.datasets.create", "", file(tmp_path))
    assert refused.value.kind == "BadRequestError"
    with pytest.raises(Raised) as refused:
        client("batch.datasets.list", pagination={"page": "nonsense"})
    assert refused.value.kind == "BadRequestError"


def test_keys_that_may_not(client: Client, place: Place, tmp_path: Path) -> None:
    reading = place.server.token(scope="read")
    for key, kind in ((reading, "ForbiddenError"), ("wrong", "BadRequestError")):
        with pytest.raises(Raised) as refused:
            replace(client, key=key)("batch.datasets.create", "no", file(tmp_path))
        assert refused.value.kind == kind
    assert client("batch.datasets.list")["data"] == []


# What gets lost


@pytest.mark.parametrize("begins", [b"POST ", b"PUT ", b"DELETE "])
def test_an_answer_that_is_lost_makes_no_second_dataset(
    client: Client, place: Place, tmp_path: Path, begins: bytes
) -> None:
    place.proxy.lost.clear()
    place.proxy.lose(begins)
    made = client("batch.datasets.create", "once", file(tmp_path))
    assert done(client, made)["status"]["itemCount"] == 2
    assert [one["id"] for one in client("batch.datasets.list")["data"]] == [made["id"]]
    assert client("batch.datasets.delete", made["id"])["deleted"] is True
    assert len(place.proxy.lost) == 1


@pytest.mark.parametrize("status", [503, 504])
@pytest.mark.parametrize("begins", [b"POST ", b"PUT "])
def test_a_server_that_is_away_for_a_moment_is_asked_again(
    client: Client, place: Place, tmp_path: Path, begins: bytes, status: int
) -> None:
    place.proxy.lost.clear()
    place.proxy.refuse(begins, status)
    made = client("batch.datasets.create", "later", file(tmp_path))
    assert done(client, made)["status"]["itemCount"] == 2
    assert len(client("batch.datasets.list")["data"]) == len(place.proxy.lost) == 1


def test_a_server_that_is_killed_and_started_again(client: Client, place: Place, tmp_path: Path) -> None:
    made = client("batch.datasets.create", "survivor", file(tmp_path))
    cut = announce(place, client, LINES, "cut")

    def killed() -> Iterator[bytes]:
        yield LINES[:10]
        place.kill()
        yield LINES[10:]

    upload = cut["status"]["source"]["uploadUrl"]
    with pytest.raises(httpx2.HTTPError):
        httpx2.put(upload["url"], content=killed(), headers={"content-length": str(len(LINES))})
    place.start()
    # Its connections are dead; the client asks again by itself.
    assert done(client, made)["status"]["itemCount"] == 2
    # Addresses outlive the process that made them, and half a file is none.
    assert client("batch.datasets.get", cut["id"])["status"]["overview"] in ("Waiting", "Uploading")
    assert put(cut, LINES).status_code == 200
    assert done(client, cut)["status"]["overview"] == "Uploaded"


# Assets


def pictures(folder: Path, count: int) -> dict[str, str]:
    found = {}
    for i in range(count):
        name = f"boat{i}.png"
        found[name] = file(folder, PNG + bytes([i]), name)
    return found


def test_assets_are_uploaded_listed_changed_and_deleted(client: Client, tmp_path: Path) -> None:
    (operation,) = client("upload", ["train"], pictures(tmp_path, 3), background=False)
    status = client("operations.wait_until_done", operation)["status"]
    assert (status["overview"], status["progress"]["withStatus"]["Finished"]) == ("Finished", 3)
    page = client("assets.list", {"limit": 2})
    assert len(page["data"]) == 2
    rest = client("assets.list", {"limit": 2, "page": page["nextPage"]})
    listed = {one["filename"]: one for one in [*page["data"], *rest["data"]]}
    assert sorted(listed) == ["boat0.png", "boat1.png", "boat2.png"]
    shown = client("assets.get", "boat1.png")
    assert shown == listed["boat1.png"] | {"url": shown["url"]}
    assert httpx2.get(shown["url"]).content == PNG + b"\x01"
    changed = client("assets.update", shown["id"], {"status": "Annotated", "groups": ["test", "gold"]})
    assert (changed["status"], changed["metadata"]["groups"]) == ("Annotated", ["test", "gold"])
    assert [one["filename"] for one in client("assets.list", filters={"groups": ["gold"]})["data"]] == ["boat1.png"]
    groups = {one["group"]: one["statistic"]["totalAssets"] for one in client("assets.list_groups", ["train", "gold"])}
    assert groups == {"train": 2, "gold": 1}
    assert client("assets.delete", shown["id"]) == {"deleted": True, "id": shown["id"]}
    assert client("get_info")["statistic"]["totalAssets"] == 2
    saved = client("assets.download", str(tmp_path / "saved"), show_progress=False)
    assert saved is not None
    assert sorted(path.name for path in (tmp_path / "saved").rglob("*.png")) == ["boat0.png", "boat2.png"]


def test_custom_metadata_of_assets(client: Client, tmp_path: Path) -> None:
    client("upload", ["main"], pictures(tmp_path, 2), background=False)
    made = client("assets.add_custom_metadata", "boat0.png", {"at": "noon", "n": 1, "ok": True})
    assert made["customMetadata"] == {"at": "noon", "n": 1, "ok": True}
    frame = client("assets.add_custom_metadata", "boat0.png", {"event": "motion"}, frame=15)
    assert frame["parent"]["frame"] == 15
    found = client("assets.get_custom_metadata", "boat0.png")["customMetadatas"]
    assert [one["id"] for one in found] == [made["id"], frame["id"]]
    assert client("assets.get", "boat0.png")["metadata"]["customMetadata"] == made["customMetadata"]
    assert client("assets.delete_custom_metadata", "boat0.png", frame["id"]) == {"deleted": True, "id": frame["id"]}
    wishes = [{"parent": {"filename": name}, "custom_metadata": {"n": 2}} for name in ("boat1.png", "none.png")]
    done = client("assets.add_custom_metadata_batch", wishes)
    assert ([one["customMetadata"] for one in done["customMetadatas"]], len(done["errors"])) == ([{"n": 2}], 1)
    ids = [made["id"], done["customMetadatas"][0]["id"]]
    assert client("assets.delete_custom_metadata_batch", ids)["errors"] == []
    assert client("assets.get_custom_metadata", "boat1.png") == {"customMetadatas": []}
    with pytest.raises(Raised) as refused:
        client("assets.list_logs", "boat0.png")
    assert refused.value.kind == "NotFoundError"


def test_tags_of_a_project(client: Client) -> None:
    assert client("tags.list") == []
    client("tags.create", {"name": "boat", "color": "#7ed957"})
    assert [one["index"] for one in client("tags.create", {"name": "ship"})] == [0, 1]
    assert client("tags.update", 1, {"name": "vessel"})[1]["name"] == "vessel"
    assert [one["name"] for one in client("tags.merge", 1, 0)] == ["boat"]
    assert client("tags.delete", 0)["deleted"] is True


def test_a_large_asset_comes_in_pieces(client: Client, tmp_path: Path) -> None:
    client("configure", "ASSET_UPLOAD_SESSION_MULTIPART_MIN_SIZE", 1000)
    try:
        body = PNG + bytes(5000)
        (operation,) = client("upload", ["main"], {"large.png": file(tmp_path, body, "large.png")}, background=False)
    finally:
        client("configure", "ASSET_UPLOAD_SESSION_MULTIPART_MIN_SIZE", 1 << 30)
    assert client("operations.get", operation)["status"]["overview"] == "Finished"
    assert httpx2.get(client("assets.get", "large.png")["url"]).content == body


def test_a_session_can_be_cancelled(client: Client, tmp_path: Path) -> None:
    operation = client("cancelled", pictures(tmp_path, 1)["boat0.png"])
    assert client("operations.get", operation)["status"]["overview"] == "Cancelled"
    assert client("assets.list")["data"] == []


# Webhooks and jobs


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def test_webhooks_are_made_changed_tested_and_deleted(client: Client, receiver: Receiver) -> None:
    made = client("batch.webhooks.create", "hook", {"endpoint": receiver.url})
    assert (made["name"], made["endpoint"]) == ("hook", receiver.url)
    assert client("batch.webhooks.get", made["id"]) == made
    assert client("batch.webhooks.list")["data"] == [made]
    tested = client("batch.webhooks.test", made["id"])
    assert (tested["status"], tested["responseCode"], tested["attemptCount"]) == ("Delivered", 200, 1)
    assert len(receiver.bodies) == 1
    changed = client("batch.webhooks.update", made["id"], {"endpoint": f"{receiver.url}other"})
    assert changed["endpoint"] == f"{receiver.url}other"
    secret = base64.b64encode(b"k" * 32).decode()
    assert client("batch.webhooks.update_secret", made["id"], secret)["id"] == made["id"]
    assert client("batch.webhooks.delete", made["id"]) == {"deleted": True, "id": made["id"]}
    assert client("batch.webhooks.list")["data"] == []


def test_a_job_sends_every_item_of_a_dataset(client: Client, receiver: Receiver, tmp_path: Path) -> None:
    dataset = done(client, client("batch.datasets.create", "items", file(tmp_path)))
    hook = client("batch.webhooks.create", "hook", {"endpoint": receiver.url})
    options = {"dataset_id": dataset["id"], "webhook_id": hook["id"], "deployment_id": "deploy_1"}
    made = client("batch.jobs.create", "run", options)
    assert made["spec"]["datasetId"] == dataset["id"]
    found = client("batch.jobs.wait_until_done", made["id"], interval=1, timeout=60)
    assert (found["status"]["overview"], found["status"]["items"]["Delivered"]) == ("Reached", 2)
    assert len(receiver.bodies) == 2
    assert client("batch.jobs.list")["data"] == [found]
    assert client("batch.jobs.get_logs", made["id"])["entries"]
    with pytest.raises(Raised) as ended:
        client("batch.jobs.cancel", made["id"])
    assert ended.value.kind == "BadRequestError"
    assert client("batch.jobs.delete", made["id"]) == {"deleted": True, "id": made["id"]}
    assert client("batch.jobs.list")["data"] == []


def test_a_job_that_is_cancelled_ends_the_wait(client: Client, receiver: Receiver, tmp_path: Path) -> None:
    receiver.status = 500
    dataset = done(client, client("batch.datasets.create", "items", file(tmp_path)))
    hook = client("batch.webhooks.create", "hook", {"endpoint": receiver.url})
    options = {"dataset_id": dataset["id"], "webhook_id": hook["id"], "deployment_id": "deploy_1"}
    made = client("batch.jobs.create", "run", options)
    assert client("batch.jobs.cancel", made["id"])["id"] == made["id"]
    with pytest.raises(Raised) as cancelled:
        client("batch.jobs.wait_until_done", made["id"], interval=1, timeout=60)
    assert cancelled.value.kind == "BadRequestError"
    assert client("batch.jobs.get", made["id"])["status"]["cancelledAt"]


# The documentation


def test_the_examples_of_the_page(client: Client, place: Place, tmp_path: Path) -> None:
    """All of them, one after another, as they stand but for the address, the key and the project."""
    text = (ROOT / "docs/dialects/datature.md").read_text(encoding="utf-8")
    source = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)
    source = source.replace("http://data.example.org:8080", place.server.url)
    source = source.replace("the secret key", place.key).replace("proj_…", client.project)
    file(tmp_path, LINES, "my-dataset.ndjson")
    file(tmp_path, PNG, "boat.png")
    said = client.on_server("page", source, str(tmp_path))
    assert said == ["Uploaded 2", "Uploaded dataset, 2 items.", str(len(PNG))]
