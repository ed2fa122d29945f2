"""Webhooks as people run them: a real server, real workers that are killed, real receivers good and bad."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

import entrepot
from entrepot.cli.main import run
from entrepot.depot import bootstrap, history, projects, webhooks
from entrepot.depot.credentials import as_operator
from entrepot.depot.versions import NewVersion, VersionChanges, create, update
from entrepot.model.errors import Unavailable
from entrepot.model.webhooks import Retries
from entrepot.server import config
from entrepot.server.compose import open_depot
from tests.e2e.test_documents import blocks
from tests.support.postgres import PostgresServer, PostgresUnavailable
from tests.support.server import Server, command, environ, free_port, running_server, wait_until
from tests.support.webhook_receiver import SECRET

T = TypeVar("T")

SETTINGS = """
jobs = false
webhook_allow = ["127.0.0.0/8"]
webhook_ports = ["1-65535"]
[policy]
webhook_timeout = "0.5s"
"""
#: Quick pauses, and never giving up.
STUBBORN: dict[str, Any] = {"max_retries": 100, "max_backoff_ms": 50}


@dataclass
class Receiver:
    """The receiver process, and what it wrote down."""

    log: Path
    url: str

    def got(self, path: str | None = None) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines]
        return [one for one in found if path is None or one["path"] == path]


@contextlib.contextmanager
def process(arguments: list[str], **around: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environ(**around))
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stdout is not None
        started.stdout.close()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Receiver]:
    log, port = tmp_path_factory.mktemp("receiver") / "log", free_port()
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-m", "tests.support.webhook_receiver", str(log), "7", str(port)]
    with process(arguments, PYTHONPATH=path):
        yield Receiver(log, f"http://127.0.0.1:{port}")


@dataclass
class Workers:
    """One worker at a time, started and killed by the test."""

    data: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    current: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = command("worker", "--data", str(self.data))
        self.current = self.stack.enter_context(process(arguments))
        assert self.current.stdout is not None
        assert self.current.stdout.readline(), "the worker said that it works"

    def kill(self) -> None:
        assert self.current is not None
        self.current.send_signal(signal.SIGKILL)
        self.current.wait()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "data"
    folder.mkdir(mode=0o700)
    (folder / "entrepot.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Server]:
    with running_server(data) as running:
        yield running


@pytest.fixture(scope="module")
def workers(data: Path, server: Server) -> Iterator[Workers]:
    made = Workers(data)
    with made.stack:
        made.start()
        yield made


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.token()


@pytest.fixture(scope="module")
def client(server: Server, token: str) -> Iterator[entrepot.Client]:
    with entrepot.Client(server.url, token) as connected:
        yield connected


def write(client: entrepot.Client, project: str, names: list[str], times: int) -> None:
    """Each dataset is made, and changed so often."""
    for name in names:
        client.versions.create(name, project=project)
    for turn in range(times):
        for name in names:
            client.data.write(f"{project}/{name}", b"%d" % turn, "a.txt")


def told(client: entrepot.Client, project: str) -> set[int]:
    """The numbers of the events of a project's versions."""
    return {one.n for one in client.events.list() if one.version is not None and one.project == project}


def require_order(lines: list[dict[str, Any]], of: Callable[[dict[str, Any]], Any], number: str) -> None:
    """Nothing came before all that is before it had been taken."""
    taken: dict[Any, set[int]] = defaultdict(set)
    first: dict[Any, list[int]] = defaultdict(list)
    for line in lines:
        key, n = of(line), line[number]
        if n not in first[key]:
            assert not first[key] or n > max(first[key]), f"{key}: {n} came for the first time after {first[key]}"
            missing = [before for before in first[key] if before not in taken[key]]
            assert not missing, f"{key}: {n} came before {missing} were taken"
            first[key].append(n)
        if line["done"] == "good":
            taken[key].add(n)


def test_the_receiver_of_the_documentation_is_told_and_people_see_what_came_of_it(
    client: entrepot.Client, server: Server, workers: Workers, root: Path, tmp_path: Path
) -> None:
    [program] = [one for one in blocks(root / "docs/how-to/webhooks.md") if one.startswith("import json")]
    (tmp_path / "receiver.py").write_text(program)
    port = free_port()
    project = client.projects.create("Documents")
    arguments = [sys.executable, str(tmp_path / "receiver.py"), str(port)]
    with process(arguments, WEBHOOK_SECRET=SECRET) as running:
        made = client.webhooks.create(
            project.slug, "documents", f"http://127.0.0.1:{port}/", events=["version.ready"], secret=SECRET
        )
        assert made.secret == SECRET
        # Nobody listens perhaps for a moment yet; a test is not repeated.
        wait_until(lambda: client.webhooks.test(made).state == "delivered", "the receiver listens")
        write(client, project.slug, ["penguins"], 1)
        wait_until(
            lambda: (
                [one.state for one in client.webhooks.deliveries(made) if one.type == "version.ready"] == ["delivered"]
            ),
            "it was delivered",
        )
        running.kill()
        assert running.stdout is not None
        said = [json.loads(line) for line in running.stdout]
    assert [kind for kind, _ in said if kind != "webhook.test"] == ["version.ready"]
    assert said[-1][1]["label"] == "penguins@1"
    [delivered] = [one for one in client.webhooks.deliveries(made) if one.type == "version.ready"]
    assert (delivered.status, delivered.attempts) == (204, 1)
    assert client.webhooks.replay(made, delivered).state == "waiting"
    assert client.webhooks.replay_since(made, delivered.created_at) == 0
    client.webhooks.delete(made)
    with pytest.raises(entrepot.NotFound):
        client.webhooks.get(made)
    assert SECRET not in "".join(server.lines)


def test_the_command_line_shows_and_changes_webhooks(
    client: entrepot.Client, token: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_URL", client.url)
    monkeypatch.setenv("ENTREPOT_TOKEN", token)
    monkeypatch.setenv("THE_SECRET", SECRET)

    def ask(*arguments: str, code: int = 0) -> str:
        assert run(arguments) == code
        return capsys.readouterr().out

    project = client.projects.create("Command line").slug
    made = json.loads(
        ask("webhook", "create", project, "http://127.0.0.1:1/", "--no-events", "--secret-env", "THE_SECRET", "--json")
    )
    assert (made["secret"], made["events"]) == (SECRET, [])
    assert [one["id"] for one in json.loads(ask("webhook", "list", project, "--json"))] == [made["id"]]
    assert SECRET not in ask("webhook", "show", made["id"])
    changed = json.loads(ask("webhook", "update", made["id"], "--name", "renamed", "--event", "version.*", "--json"))
    assert (changed["name"], changed["events"]) == ("renamed", ["version.*"])
    assert ask("webhook", "new-secret", made["id"]).strip() not in (SECRET, "")
    assert json.loads(ask("webhook", "deliveries", made["id"], "--json")) == []
    assert "0 deliveries" in ask("webhook", "replay", made["id"], "--since", "2026-01-01")
    client.versions.create("labels", project=project)
    begun = json.loads(ask("batch", "start", f"{project}/labels", made["id"], "--json"))
    assert [one["task"]["id"] for one in json.loads(ask("batch", "list", "--project", project, "--json"))] == [
        begun["task"]["id"]
    ]
    ask("batch", "show", begun["task"]["id"])
    assert "Waits to send" in ask("batch", "log", begun["task"]["id"])
    ask("webhook", "update", made["id"], code=1)
    ask("webhook", "delete", made["id"], "--yes")
    assert json.loads(ask("webhook", "list", project, "--json")) == []


def test_bad_receivers_are_told_apart_and_hold_up_nobody(
    client: entrepot.Client, workers: Workers, receiver: Receiver
) -> None:
    project = client.projects.create("Bad receivers")
    expected = {
        "broken": (500, "It answered 500."),
        "redirect": (307, "It answered 307."),
        "slow": (None, "127.0.0.1 did not answer within 0.5 s."),
        "hangup": (None, "127.0.0.1 did not answer: the connection was closed before an answer."),
        "endless": (200, None),
    }
    hooks = {
        path: client.webhooks.create(
            project.slug, path, f"{receiver.url}/{path}", events=["version.created"], secret=SECRET, max_retries=0
        )
        for path in (*expected, "good")
    }
    write(client, project.slug, ["one", "two"], 0)
    ended = {}
    for path, hook in hooks.items():
        wait_until(
            lambda hook=hook: all(one.state != "waiting" for one in client.webhooks.deliveries(hook)),
            f"what was sent to {path} has ended",
        )
        ended[path] = [(one.status, one.error) for one in client.webhooks.deliveries(hook)]
    assert ended == {path: [came] * 2 for path, came in {**expected, "good": (200, None)}.items()}
    assert receiver.got("/stolen") == [], "a redirect is not followed"


def test_a_job_that_is_killed_goes_on_where_it_was(
    client: entrepot.Client, workers: Workers, receiver: Receiver
) -> None:
    project = client.projects.create("Labels")
    hook = client.webhooks.create(project.slug, "labels", f"{receiver.url}/good", events=[], secret=SECRET)
    client.versions.create("labels", project=project.slug)
    client.data.write(f"{project.slug}/labels", b"".join(b'{"n": %d}\n' % n for n in range(600)), "a.ndjson")

    def items() -> list[dict[str, Any]]:
        return [one for one in receiver.got("/good") if one["type"] == "batch.item"]

    batch = client.batches.start(f"{project.slug}/labels", hook)
    wait_until(lambda: len(items()) >= 40, "forty items came")
    workers.kill()
    assert len(items()) < 600
    workers.start()
    assert client.tasks.wait(batch.task, timeout=120).state == "done"
    ended = client.batches.get(batch)
    assert (ended.delivered, ended.failed) == (600, 0)
    assert {one["item"] for one in items()} == set(range(600))
    # Where it was noted last is behind where it was: some come again, but none for the first time out of turn.
    firsts = list(dict.fromkeys(one["item"] for one in items()))
    assert firsts == sorted(firsts)
    assert [line.level for line in client.batches.log(batch, level="info")].count("info") >= 2


def test_every_event_arrives_in_order_whoever_is_killed(
    client: entrepot.Client, server: Server, workers: Workers, receiver: Receiver
) -> None:
    """Workers at seeded points, then the server with its worker when all is written and not all is sent."""
    survive(client, server, workers, receiver, seed=11, kills=2, times=4)


def survive(
    client: entrepot.Client,
    server: Server,
    workers: Workers,
    receiver: Receiver,
    *,
    seed: int,
    kills: int,
    times: int,
) -> None:
    project = client.projects.create(f"Killed {seed}")
    client.webhooks.create(
        project.slug,
        "flaky",
        f"{receiver.url}/flaky",
        events=["version.*", "revision.*"],
        secret=SECRET,
        **STUBBORN,
    )
    client.webhooks.create(project.slug, "slow", f"{receiver.url}/slow", secret=SECRET, **STUBBORN)
    before = len(receiver.got("/flaky"))
    names = ["one", "two", "three", "four"]
    points = sorted(random.Random(seed).sample(range(1, len(names) * times), kills))
    write(client, project.slug, names, times)
    for point in points:
        wait_until(lambda point=point: len(receiver.got("/flaky")) - before >= point, f"{point} requests came")
        workers.kill()
        workers.start()
    workers.kill()
    client.data.write(f"{project.slug}/one", b"last", "a.txt")
    expected = told(client, project.id)
    for pid in (*server.children(), server.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.process.wait()
    with running_server(server.data, port=int(server.url.rpartition(":")[2])):
        workers.start()

        def missing() -> set[int]:
            return expected - {one["event"] for one in receiver.got("/flaky")[before:] if one["done"] == "good"}

        wait_until(lambda: not missing(), "every event was taken")
        workers.kill()
    came = receiver.got("/flaky")[before:]
    assert {one["event"] for one in came} == expected, "nothing else came"
    require_order(came, lambda one: one["dataset"], "event")


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_every_event_arrives_in_order_while_the_database_restarts(
    receiver: Receiver, tmp_path: Path, times: int
) -> None:
    """PostgreSQL is stopped and started while deliveries go on; the worker is not told of it."""
    try:
        database = PostgresServer()
    except PostgresUnavailable as missing:
        pytest.skip(str(missing))
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    names = ["one", "two", "three", "four"]
    with database, database.database() as name:
        (data / "entrepot.toml").write_text(f'database = "{database.url(name)}"\n{SETTINGS}')
        made = Workers(data)
        with open_depot(config.load({}, data=data), upgrade=True) as depot, made.stack:
            bootstrap.bootstrap(depot, admin_password=SECRET)
            who = as_operator(depot, "admin")
            home = projects.create(depot, who, "Restarted")
            hook = webhooks.NewWebhook(
                "flaky",
                f"{receiver.url}/flaky",
                events=("version.*", "revision.*"),
                secret=SECRET,
                retries=Retries(**STUBBORN),
            )
            webhooks.create(depot, who, home.n, hook)
            before = len(receiver.got("/flaky"))

            def came() -> list[dict[str, Any]]:
                return receiver.got("/flaky")[before:]

            versions = [insist(lambda name=name: create(depot, who, home.n, NewVersion(name))).n for name in names]
            made.start()
            for turn in range(times):
                for n in versions:
                    insist(lambda n=n, turn=turn: update(depot, who, n, VersionChanges(description=str(turn))))
                wait_until(lambda turn=turn: len(came()) >= 4 * (turn + 1), "deliveries go on")
                with database.away():
                    seen = len(came())
                    with pytest.raises(Unavailable):
                        update(depot, who, versions[0], VersionChanges(description="lost"))
                assert made.current is not None
                assert made.current.poll() is None, "the worker outlives its database"
                assert len(came()) >= seen
            expected = {
                one.n
                for one in insist(lambda: history.events(depot, who, project=home.n, limit=1000)).rows
                if one.version
            }
            assert len(expected) >= 4 * (times + 1)

            def missing() -> set[int]:
                return expected - {one["event"] for one in came() if one["done"] == "good"}

            wait_until(lambda: not missing(), "every event was taken")
            made.kill()
    assert {one["event"] for one in came()} == expected, "nothing else came"
    require_order(came(), lambda one: one["dataset"], "event")


def insist(work: Callable[[], T]) -> T:
    """What `work` answers once the database is there again. In doubt it may have been done twice."""
    found: list[T] = []

    def there() -> bool:
        with contextlib.suppress(Unavailable):
            found.append(work())
        return bool(found)

    wait_until(there, "the database is there again")
    return found[0]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20, 30))
def test_every_event_arrives_in_order_whoever_is_killed_for_long(receiver: Receiver, tmp_path: Path, seed: int) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "entrepot.toml").write_text(SETTINGS)
    made = Workers(data)
    with running_server(data) as server, made.stack, entrepot.Client(server.url, server.token()) as client:
        made.start()
        survive(client, server, made, receiver, seed=seed, kills=25, times=40)
