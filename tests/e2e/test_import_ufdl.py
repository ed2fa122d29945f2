"""All that a UFDL server has into this one, over its public API: a server of ours is the source, another the target."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrepot.client.client import Client
from entrepot.client.ufdl.importing import Options, import_ufdl
from entrepot.client.ufdl.report import Imported
from entrepot.client.ufdl.source import Source
from entrepot.model.errors import BadCredentials, Unavailable
from tests.e2e.conftest import PASSWORD as THERE
from tests.e2e.conftest import Counting, Running, run_here
from tests.support.client_kills import Child
from tests.support.server import ADMIN_PASSWORD, Server, running_server
from tests.support.ufdl_zoo import Door, zoo

PASSWORD = "a long password"


def _bearing(url: str, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


class Two:
    """A source and a target, each a server of its own."""

    def __init__(self, source: Running, target: Server) -> None:
        self.source, self.target = source, target
        with Client(target.url) as client:
            self.token = client.login("admin", ADMIN_PASSWORD).token
        self.there = Door(_bearing(source.url, source.token))
        self.here = Door(_bearing(target.url, self.token))
        for door in (self.there, self.here):
            door("POST", "users/create", {"username": "imported-ada", "password": PASSWORD})
        self.there("POST", "users/create", {"username": "imported-bob", "password": PASSWORD})

    def client(self, network: httpx2.BaseTransport | None = None) -> Client:
        return Client(self.target.url, self.token, transport=network)

    def run(
        self,
        project: str,
        *,
        network: httpx2.BaseTransport | None = None,
        origin: httpx2.BaseTransport | None = None,
        **more: Any,
    ) -> Imported:
        with (
            self.client(network) as client,
            Source(self.source.url, "admin", THERE, transport=origin) as source,
        ):
            return import_ufdl(client, source, Options(projects=[project], **more))

    def same(self, project: str, *, trashed: bool) -> bool:
        return self.there.shown(project, trashed=trashed) == self.here.shown(project)


@pytest.fixture(scope="module")
def two(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with running_server(tmp_path_factory.mktemp("import") / "target") as target:
        made = Two(server, target)
        yield made
        made.there.http.close()
        made.here.http.close()


def test_everything_comes_over_once(two: Two) -> None:
    zoo(two.there, "all", random.Random(1), large=9 << 20)
    rehearsed = two.run("all", dry_run=True)
    assert two.here.shown("all") == []
    done = two.run("all")
    assert done.complete, done.troubles
    assert two.same("all", trashed=False)
    assert (rehearsed.versions, rehearsed.sent_files) == (done.versions, done.sent_files)
    assert (done.versions.made, done.skipped_trashed, done.teams.made, done.licences.made) == (7, 2, 1, 1)
    counting = Counting()
    again = two.run("all", network=counting)
    assert (again.versions.made, again.versions.changed, again.versions.there) == (0, 0, 7)
    assert {method for method, path in counting.calls if path != "/contents/known"} == {"GET"}, "it changed nothing"
    # Asked for later, what lies in the trash comes in between, under its number; unless that was given out again.
    late = two.run("all", trashed=True)
    assert (late.versions.made, [one.what for one in late.troubles]) == (1, ["all/Penguins, 2009 v5"])
    both = [one for one in two.there.shown("all") if not (one["trashed"] and one["version"] == 5)]
    assert two.here.shown("all") == both


def test_what_is_new_at_the_source_comes_later_and_what_was_edited_here_stays(two: Two) -> None:
    project = two.there.project("later", "Team of later")
    first = two.there.dataset(project, "owls", description="old")
    two.there.put(first, "a", b"one", "text")
    kept = two.there.dataset(project, "kept")
    two.there.put(kept, "a", b"one")
    two.run("later")
    two.there("PATCH", f"datasets/{first}", {"description": "new", "tags": "night"})
    two.there("DELETE", f"datasets/{first}/files/a")
    two.there.put(first, "a", b"two")
    two.there.copy(first)
    two.there.put(kept, "there", b"there")
    with two.client() as client:
        slug = next(one.slug for one in client.projects.list(name="later"))
        client.data.write(f"{slug}/kept", b"mine", "here")
    done = two.run("later")
    assert (done.versions.made, done.versions.changed, done.kept) == (1, 1, [f"{slug}/kept@1.2"])
    shown = {(one["name"], one["version"]): one for one in two.here.shown("later")}
    assert set(shown["kept", 1]["files"]) == {"a", "here"}
    assert {key: one for key, one in shown.items() if key[0] == "owls"} == {
        (one["name"], one["version"]): one for one in two.there.shown("later") if one["name"] == "owls"
    }


def test_members_come_by_name_and_those_without_an_account_are_named(two: Two) -> None:
    two.there.project("people", "Keepers")
    team = next(one["pk"] for one in two.there("POST", "teams/list", {}) if one["name"] == "Keepers")
    for name, letter in (("imported-ada", "W"), ("imported-bob", "X")):
        body = {"method": "add", "username": name, "permissions": letter}
        two.there("PATCH", f"teams/{team}/memberships", body)
    done = two.run("people")
    assert done.missing_users == [{"user": "imported-bob", "team": "Keepers", "role": "execute"}]
    with two.client() as client:
        here = next(one.id for one in client.teams.list() if one.name == "Keepers")
        assert [(one.user, one.role) for one in client.teams.members(here)] == [("imported-ada", "write")]
        # What was decided here since is not undone.
        client.teams.set_member(here, "imported-ada", "read")
        assert two.run("people").members.there == 1
        assert [one.role for one in client.teams.members(here)] == ["read"]


def test_a_project_in_the_trash_comes_into_the_trash_beside_one_of_its_name(two: Two) -> None:
    old = two.there.project("twice", "Team of twice")
    two.there.put(two.there.dataset(old, "old"), "a", b"old")
    two.there("DELETE", f"projects/{old}")
    new = two.there.project("twice", "Team of twice")
    two.there.put(two.there.dataset(new, "new"), "a", b"new")
    for _ in range(2):
        assert two.run("twice", trashed=True).complete
        assert two.same("twice", trashed=True)
    with two.client() as client:
        assert len([*client.projects.list(name="twice"), *client.projects.list(name="twice", trashed=True)]) == 2


def test_a_name_that_is_taken_here_is_said_and_the_rest_comes(two: Two) -> None:
    project = two.there.project("taken", "Team of taken")
    two.there.put(two.there.dataset(project, "free"), "a", b"1")
    two.here.put(two.here.dataset(two.here.project("taken", "Team of taken"), "mine"), "a", b"not to be touched")
    two.there.put(two.there.dataset(project, "mine"), "a", b"2")
    done = two.run("taken")
    assert [one.what for one in done.troubles] == ["taken/mine v1"]
    assert "Rename it" in done.troubles[0].reason
    shown = {one["name"]: one for one in two.here.shown("taken")}
    assert (set(shown), len(two.here.shown("taken"))) == ({"free", "mine"}, 2)
    assert shown["mine"]["files"] != two.there.shown("taken")[1]["files"]


# Ends in the middle


class Ended(BaseException):
    """The process ends here, as far as it can be played within one."""


class Ending(httpx2.BaseTransport):
    """The network until a request is sent, or its answer is lost."""

    def __init__(self, at: int | None) -> None:
        self.network = httpx2.HTTPTransport()
        self.calls, self.at = 0, at

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if self.at is not None and self.calls * 2 >= self.at:
            if self.at % 2:
                self.network.handle_request(request).read()
            raise Ended
        return self.network.handle_request(request)


def test_ended_at_any_request_it_goes_on_and_nothing_is_there_twice(two: Two) -> None:
    """Each end is before a request or after it, and all runs work at one import."""
    chance = random.Random(5)
    zoo(two.there, "ended", chance)
    ends, at = 0, 1
    while True:
        try:
            done = two.run("ended", network=Ending(at), trashed=True, parallel=1)
            break
        except Ended:
            ends += 1
            # The way grows shorter with what is done already, so a step further each time meets every kind of call.
            at += chance.randrange(1, 12)
    assert ends > 8, "too few to say anything"
    assert done.complete, done.troubles
    assert two.same("ended", trashed=True)
    with two.client() as client:
        home = next(iter(client.projects.list(name="ended")))
        everything = list(client.versions.list(project=home.id, trashed="include"))
    assert len(everything) == 9, "no placeholder and no half copy is left"


class Late(httpx2.BaseTransport):
    """The process ends with a change on its way; nothing that it sends after that arrives, and it arrives later."""

    def __init__(self, at: int) -> None:
        self.network = httpx2.HTTPTransport()
        self.left = at
        self.on_its_way: httpx2.Request | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.left -= request.method != "GET"
        if self.left <= 0:
            if self.on_its_way is None:
                request.read()
                self.on_its_way = request
            raise Ended
        return self.network.handle_request(request)


class Overtaken(httpx2.BaseTransport):
    """What was on its way arrives after this run has looked at what is there, and before it changes anything."""

    def __init__(self, late: httpx2.Request) -> None:
        self.network = httpx2.HTTPTransport()
        self.late: httpx2.Request | None = late

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.late is not None and request.method != "GET" and request.url.path != "/api/v1/contents/known":
            late, self.late = self.late, None
            self.network.handle_request(late).read()
        return self.network.handle_request(request)


#: By the kind of request, as they come: a first version, a commit, a placeholder, two copies, a purge.
@pytest.mark.parametrize("at", [5, 12, 20, *(pytest.param(at, marks=pytest.mark.soak) for at in (3, 7, 8, 11, 25, 30))])
def test_a_request_that_outlives_its_run_is_met_by_the_next(two: Two, at: int) -> None:
    name = f"late {at}"
    zoo(two.there, name, random.Random(7))
    ended = Late(at)
    with pytest.raises(Ended):
        two.run(name, network=ended, trashed=True, parallel=1)
    assert ended.on_its_way is not None
    overtaken = Overtaken(ended.on_its_way)
    done = two.run(name, network=overtaken, trashed=True, parallel=1)
    assert overtaken.late is None
    assert done.complete, done.troubles
    assert two.same(name, trashed=True)


def test_killed_while_it_sends_it_sends_little_again(two: Two, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    zoo(two.there, "killed", random.Random(7), large=9 << 20)
    child, chance = Child(two.target, two.token), random.Random(11)
    # It takes about 550 steps, of which most are blocks of the large file; by the 300th that has been sent on.
    for usual in (100, 340, 90):
        child.run("import", two.source.url, THERE, "killed", steps=usual + chance.randrange(40))
    assert child.kills >= 2
    counting = Counting()
    assert two.run("killed", network=counting, trashed=True).complete
    assert two.same("killed", trashed=True)
    assert counting.sent < 2 << 20, "what was sent before counts"


# Broken connections


class Breaking(httpx2.BaseTransport):
    """Every file breaks off once, and every seventh request breaks."""

    def __init__(self) -> None:
        self.network = httpx2.HTTPTransport()
        self.broken: set[str] = set()
        self.calls = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if self.calls % 7 == 0:
            raise httpx2.ReadError("connection reset by peer")
        answer = self.network.handle_request(request)
        if "/files/" in request.url.path and request.url.path not in self.broken and answer.status_code == 200:
            self.broken.add(request.url.path)
            assert isinstance(answer.stream, httpx2.SyncByteStream)
            answer.stream = _Cut(answer.stream)
        return answer


class _Cut(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body:
            yield block[: len(block) // 2]
            break
        raise httpx2.ReadError("connection reset by peer")

    def close(self) -> None:
        self._body.close()


def test_a_source_whose_connections_break_is_asked_again(two: Two) -> None:
    zoo(two.there, "broken", random.Random(13))
    breaking = Breaking()
    assert two.run("broken", origin=breaking).complete
    assert breaking.broken
    assert two.same("broken", trashed=False)


class Answering(httpx2.BaseTransport):
    """The network, but for what `answer` answers itself."""

    def __init__(self, answer: Callable[[httpx2.Request], httpx2.Response | None]) -> None:
        self.network = httpx2.HTTPTransport()
        self.answer = answer

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.answer(request) or self.network.handle_request(request)


def test_a_file_that_the_source_cannot_give_is_named_and_comes_the_next_time(two: Two) -> None:
    project = two.there.project("partly", "Team of partly")
    pk = two.there.dataset(project, "some")
    two.there.put(pk, "good", b"is given")
    two.there.put(pk, "wrong", b"what its handle says")
    two.there.put(pk, "fails", b"is not given")

    def answer(request: httpx2.Request) -> httpx2.Response | None:
        if request.url.path.endswith("/files/wrong"):
            return httpx2.Response(200, stream=httpx2.ByteStream(b"something else"))
        return httpx2.Response(500) if request.url.path.endswith("/files/fails") else None

    done = two.run("partly", origin=Answering(answer))
    assert sorted(one.what for one in done.troubles) == ["some v1: fails", "some v1: wrong"]
    assert set(two.here.shown("partly")[0]["files"]) == {"good"}
    assert two.run("partly").complete
    assert two.same("partly", trashed=False)


def test_tokens_that_run_out_are_renewed(two: Two) -> None:
    """Every fourth call finds the access token over; the refresh token does not help the first time either."""
    two.there.put(two.there.dataset(two.there.project("tokens", "Team of tokens"), "some"), "a", b"1")
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response | None:
        asked.append(request.url.path)
        if request.url.path.endswith("/auth/refresh") and asked.count("/v1/auth/refresh") == 1:
            return httpx2.Response(401, json={"detail": "Token is invalid or expired"})
        if (
            not request.url.path.startswith("/v1/auth")
            and sum(not one.startswith("/v1/auth") for one in asked) % 4 == 0
        ):
            return httpx2.Response(401, json={"detail": "Given token not valid for any token type"})
        return None

    assert two.run("tokens", origin=Answering(answer)).complete
    assert asked.count("/v1/auth/obtain") == 2
    assert asked.count("/v1/auth/refresh") > 1


def test_an_absent_or_foreign_source_is_said(two: Two) -> None:
    with Source(two.source.url, "admin", "a wrong password") as source, pytest.raises(BadCredentials):
        source.log_in()
    with Source("http://127.0.0.1:1", "admin", "x") as source, pytest.raises(Unavailable, match="Check the address"):
        source.log_in()


# The command


def test_the_command_tells_what_it_did(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_URL", two.target.url)
    monkeypatch.setenv("ENTREPOT_TOKEN", two.token)
    pk = two.there.dataset(two.there.project("command", "Team of command"), "some")
    two.there.put(pk, "a", b"sent by a command")

    def call(*more: str, password: str = THERE) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        asked = ["--url", f"{two.source.url}/v1/", "--username", "admin", "--password-stdin", "--project", "command"]
        return run_here(["import", "ufdl", *asked, *more])

    assert "would be made" in call("--dry-run").stdout
    done = call("--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["versions"], told["sent"]) == (
        0,
        {"made": 1, "changed": 0, "there": 0},
        {"files": 1, "bytes": 17},
    )
    assert "1 as they should be" in call().stdout
    # Somebody calls it otherwise here: it stays that, and is not brought again.
    with two.client() as client:
        slug = next(one.slug for one in client.projects.list(name="command"))
        client.versions.update(f"{slug}/some", name="other")
    assert "1 as they should be" in call().stdout
    two.there("POST", f"datasets/{pk}/copy", {"new_name": "other"})
    refused = call()
    assert refused.returncode == 6
    assert "not brought: command/other v1" in refused.stderr
    assert call(password="a wrong password").returncode == 4
    missing = run_here(["import", "ufdl", "--url", two.source.url, "--username", "admin"])
    assert missing.returncode != 0
