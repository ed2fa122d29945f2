"""Walks of a client through a server, each a function that asserts; run by name in the client's own environment.

python walk.py NAME URL FOLDER ADMIN_PASSWORD
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from client import Context, Datasets, raised

PASSWORD = "a long password"
LEVELS = {"reader": "R", "runner": "X", "writer": "W", "chief": "A"}


class World:
    """A team with a member of each level, a project, somebody outside, and nobody."""

    def __init__(self, url: str, folder: Path, password: str) -> None:
        self.url = url
        self.folder = folder
        self.admin = Context(url, "admin", password, folder / "tokens.json")
        users = {one["username"] for one in self.admin.call("POST", "users/list").json()}
        for name in (*LEVELS, "outsider"):
            if name not in users:
                self.admin.post("users/create", {"username": name, "password": PASSWORD})
        teams = {one["name"]: one["pk"] for one in self.admin.call("POST", "teams/list").json()}
        if "lab" not in teams:
            team = self.admin.post("teams/create", {"name": "lab"})["pk"]
            for name, letter in LEVELS.items():
                wish = {"method": "add", "username": name, "permissions": letter}
                assert self.admin.call("PATCH", f"teams/{team}/memberships", json=wish).json()["permissions"] == letter
            self.admin.post("projects/create", {"name": "birds", "team": team})
            teams["lab"] = team
        self.team = teams["lab"]
        projects = self.admin.call("POST", "projects/list").json()
        self.project = next(one["pk"] for one in projects if one["team"] == self.team)
        self.licence = self.admin.call("POST", "licences/list").json()[0]["pk"]
        self.home = {"project": self.project, "licence": self.licence}

    def person(self, name: str, **headers: str) -> Context:
        return Context(self.url, name, PASSWORD, self.folder / "tokens.json", **headers)

    def node(self) -> int:
        """The number of a worker node; they are registered natively."""
        login = {"username": "admin", "password": self.admin.password}
        token = requests.post(f"{self.url}/api/v1/login", json=login).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert requests.post(f"{self.url}/api/v1/nodes", json={"name": "worker"}, headers=bearer).ok
        return int(self.admin.call("POST", "nodes/list").json()[-1]["pk"])

    def datasets(self, name: str = "writer", **headers: str) -> Datasets:
        return Datasets(self.admin if name == "staff" else self.person(name, **headers))


def refused(status: int, call: Any, *arguments: Any, **more: Any) -> Any:
    """The body of a call that must fail with this status."""
    found: Any = None
    try:
        found = call(*arguments, **more)
        if isinstance(found, Iterator):
            b"".join(found)
    except requests.HTTPError as error:
        answer, said = error.response, error.detail  # type: ignore[attr-defined]
    else:
        raise AssertionError(f"{call} succeeded with {found!r}")
    assert answer.status_code == status, f"{answer.status_code} {said}"
    return json.loads(said)


def seed_page(world: World) -> None:
    """Every action of the core-dataset page from top to bottom, as a member who may write."""
    ours = world.datasets()
    assert isinstance(ours.list(), list)
    made = ours.create("walk", world.project, world.licence, description="d", tags="a,b")
    pk = made["pk"]
    assert (made["version"], made["previous_version"], made["files"]) == (1, -1, {})
    assert ours.retrieve(pk) == made
    fields = {"name": "walk", "description": "e", "project": world.project, "licence": world.licence}
    assert ours.update(pk, **fields, tags="c", is_public=True)["description"] == "e"
    assert ours.partial_update(pk, is_public=False)["is_public"] is False
    body = b"some bytes" * 1000
    added = ours.add_file(pk, "d/a b.txt", body)
    assert added == {"filename": "d/a b.txt", "handle": hashlib.sha256(body).hexdigest()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("one.txt", b"1")
        members.writestr("two/", b"")
        members.writestr("three/3.txt", b"3")
    many = ours.add_files(pk, archive.getvalue())
    assert [one["filename"] for one in many] == ["one.txt", "two/1", "three/3.txt"]
    assert b"".join(ours.get_file(pk, "d/a b.txt")) == body
    assert ours.set_metadata(pk, "one.txt", "text") == "text"
    assert ours.get_metadata(pk, "one.txt") == "text"
    assert ours.get_all_metadata(pk) == {"d/a b.txt": "", "one.txt": "text", "three/3.txt": "", "two/1": ""}
    names = list(ours.retrieve(pk)["files"])
    with zipfile.ZipFile(io.BytesIO(b"".join(ours.download(pk)))) as opened:
        assert opened.namelist() == names
        assert opened.read("d/a b.txt") == body
    with tarfile.open(fileobj=io.BytesIO(b"".join(ours.download(pk, "tar.gz")))) as unpacked:
        assert unpacked.getnames() == names
    second = ours.copy(pk)
    assert (second["version"], second["previous_version"]) == (2, 1)
    other = ours.copy(pk, new_name="walk elsewhere", only_files=["one.txt"])
    assert (other["version"], list(other["files"])) == (1, ["one.txt"])
    assert ours.delete_file(second["pk"], "one.txt")["filename"] == "one.txt"
    assert "one.txt" in ours.merge(second["pk"], pk, False)["files"]
    assert set(ours.clear(pk)["files"]) == set(names)
    assert set(ours.get_all_metadata(pk).values()) == {""}
    ours.destroy(pk)
    ours.destroy(pk)
    assert ours.retrieve(pk)["deletion_time"] is not None
    theirs = world.datasets("staff")
    assert theirs.reinstate(pk)["deletion_time"] is None
    assert theirs.hard_delete(pk)["pk"] == pk
    refused(404, ours.retrieve, pk)
    theirs.merge(second["pk"], other["pk"], True, hard=True)
    refused(404, ours.retrieve, other["pk"])
    listed = ours.list({"expressions": [{"type": "exact", "field": "name", "value": "walk"}]})
    assert [one["pk"] for one in listed] == [second["pk"]]


def everybody(world: World) -> None:
    """Every action of the page as everybody who may come: what is allowed is allowed, the rest is 401 or 403."""
    writer = world.datasets()
    pk = writer.create("everybody", world.project, world.licence)["pk"]
    source = writer.create("everybody's source", world.project, world.licence)["pk"]
    callers = {name: world.datasets(name) for name in (*LEVELS, "outsider", "staff")}
    callers["runner's node"] = world.datasets("runner", **{"Node-Id": str(world.node())})
    callers["nobody"] = Datasets(Nobody(world.url))
    writer.add_file(pk, "f", b"x")
    # By the callers who may: reading, editing, making and taking away, and what is left to staff.
    may = [
        {"reader", "runner", "runner's node", "writer", "chief", "staff"},
        {"runner's node", "writer", "chief", "staff"},
        {"writer", "chief", "staff"},
        {"staff"},
    ]
    for name, ours in callers.items():
        doomed = writer.create(f"doomed for {name}", world.project, world.licence)["pk"]
        writer.add_file(pk, f"for {name}", b"x")
        reading: list[tuple[Any, ...]] = [
            (ours.retrieve, pk),
            (ours.get_file, pk, "f"),
            (ours.get_metadata, pk, "f"),
            (ours.get_all_metadata, pk),
            (ours.download, pk),
            (ours.download, pk, "tar.gz"),
            (ours.copy, pk),
        ]
        editing: list[tuple[Any, ...]] = [
            (lambda pk, ours=ours: ours.update(pk, name="everybody", **world.home, tags=""), pk),
            (ours.partial_update, pk),
            (ours.add_file, pk, f"by {name}", b"x"),
            (ours.add_files, pk, zipped({f"also by {name}": b"x"})),
            (ours.set_metadata, pk, "f", "t"),
            (ours.clear, pk),
            (ours.merge, pk, source, False),
            (ours.delete_file, pk, f"for {name}"),
        ]
        making: list[tuple[Any, ...]] = [
            (ours.create, f"created by {name}", world.project, world.licence),
            (ours.destroy, doomed),
        ]
        ending: list[tuple[Any, ...]] = [(ours.reinstate, pk), (ours.hard_delete, doomed)]
        for allowed, calls in zip(may, (reading, editing, making, ending), strict=True):
            for call, *arguments in calls:
                if name in allowed:
                    found = call(*arguments)
                    if isinstance(found, Iterator):
                        b"".join(found)
                else:
                    refused(401 if name == "nobody" else 403, call, *arguments)
        assert (pk in {one["pk"] for one in ours.list()}) == (name in may[0]), name
        gone = 404 if name == "staff" else 401 if name == "nobody" else 403 if name == "outsider" else 200
        assert requests.get(f"{world.url}/v1/datasets/{doomed}/", headers=ours.context.shown()).status_code == gone
        refused(404, ours.retrieve, 10**9)


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


class Nobody(Context):
    """A client that has no account."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "", "", Path(os.devnull))

    def shown(self) -> dict[str, str]:
        return {}

    def call(self, method: str, url: str, **what: Any) -> requests.Response:
        return raised(requests.request(method, f"{self.host}/v1/{url}", **what))


def stale_tokens(world: World) -> None:
    """Tokens of an earlier server lead to one new login, also in the middle of an upload of an open file."""
    ours = world.datasets()
    pk = ours.create("stale", world.project, world.licence)["pk"]
    for stale in ({"access": "a.b.c", "refresh": "d.e.f"}, {"access": "x", "refresh": "y"}):
        context = world.person("writer")
        context._keep(stale)
        again = Datasets(context)
        assert again.retrieve(pk)["pk"] == pk
        assert context.obtained == 1
    context = world.person("writer")
    context._keep({"access": "a.b.c", "refresh": context.tokens["refresh"]})
    assert Datasets(context).list() is not None
    assert context.obtained == 0, "the refresh token was still good"


def names_of_files(world: World) -> None:
    """Names as they stand in addresses: what the library escapes, and what it does not."""
    ours = world.datasets()
    pk = ours.create("names", world.project, world.licence)["pk"]
    for name in ("a b.txt", "Zürich.txt", "a+b&c=d.txt", "x/y/z", "a'b\"c", "100%25.txt", "🐧.png", "~a@b:c;d,e!"):
        # The library takes a percent sign with two digits for an escape, so the server sees it decoded.
        stored = "100%.txt" if name == "100%25.txt" else name
        header = name.encode("utf-8", "replace").decode("latin-1")
        body = name.encode()
        url = f"datasets/{pk}/files/{name}"
        headers = {"Content-Disposition": f"attachment; filename={header}", "Content-Type": "application/data"}
        answer = ours.context.call("POST", url, data=body, headers=headers).json()
        assert answer["filename"] == stored, (name, answer)
        assert b"".join(ours.get_file(pk, name)) == body
    assert refused(400, ours.get_file, pk, "nope") == {"detail": "Bad name 'nope': Doesn't exist"}
    url = f"{world.url}/v1/datasets/{pk}/files/..%2Fup"
    bearer = {"Authorization": f"Bearer {ours.context.tokens['access']}"}
    answer = requests.post(url, data=b"x", headers=bearer)
    assert (answer.status_code, "Cannot extend beyond" in answer.text) == (400, True), answer.text
    double = requests.post(f"{world.url}/v1/datasets/{pk}/files/a%252Fb", data=b"x", headers=bearer)
    assert double.json()["filename"] == "a%2Fb", "decoded once"


def many_at_once(world: World) -> None:
    """Clients add files in parallel and know no revisions: all of them arrive."""
    pk = world.datasets().create("parallel", world.project, world.licence)["pk"]
    world.person("writer").tokens["access"]
    failures: list[BaseException] = []

    def add(worker: int) -> None:
        try:
            ours = world.datasets()
            for i in range(10):
                ours.add_file(pk, f"{worker}/{i}", f"{worker} {i}".encode())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(world.datasets().retrieve(pk)["files"]) == 40


def large(world: World) -> None:
    """A large file there and back, alone and in an archive, never whole in the client's memory either."""
    size = int(os.environ.get("WALK_SIZE", str(64 << 20)))
    ours = world.datasets()
    pk = ours.create(f"large {size}", world.project, world.licence)["pk"]
    block = hashlib.sha256(b"seed").digest() * (1 << 15)
    source, sent = world.folder / "large.bin", hashlib.sha256()
    with source.open("wb") as out:
        for _ in range(size // len(block)):
            out.write(block)
            sent.update(block)
    with source.open("rb") as opened:
        assert ours.add_file(pk, "large.bin", opened)["handle"] == sent.hexdigest()
    source.unlink()
    got = hashlib.sha256()
    for part in ours.get_file(pk, "large.bin"):
        got.update(part)
    assert got.hexdigest() == sent.hexdigest()
    total = sum(len(part) for part in ours.download(pk))
    assert total > size

    def chunks() -> Iterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    assert ours.add_file(pk, "chunked.bin", chunks())["handle"] == sent.hexdigest()
    ours.context.call("DELETE", f"datasets/{pk}/")


WALKS = {walk.__name__: walk for walk in (seed_page, everybody, stale_tokens, names_of_files, many_at_once, large)}

if __name__ == "__main__":
    name, url, folder, password = sys.argv[1:]
    WALKS[name](World(url, Path(folder), password))
