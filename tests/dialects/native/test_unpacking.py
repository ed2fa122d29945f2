"""Archives that become files of a version, as the wire shows them: what is refused, to whom, and repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from entrepot.depot import background, crates
from entrepot.jobs.runner import Runner
from tests.support.hostile_archives import CORPUS, tarred, zipped
from tests.support.site import Client, Site

MEMBERS = {"a.txt": b"a", "b/c.txt": b"bc"}


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


def archive(who: Client, body: bytes, name: str | None = "all.zip") -> str:
    made = who.put("/uploads", params={} if name is None else {"filename": name}, content=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def work(site: Site) -> None:
    runner = Runner(site.depot.catalog, background.kinds(site.depot), queue=crates.QUEUE, worker="test")
    while runner.step():
        pass


def task_of(who: Client, answer: Mapping[str, Any]) -> Any:
    return who.read(f"/tasks/{answer['id']}")


def test_an_archive_becomes_one_revision_or_a_version(site: Site, alice: Client) -> None:
    version = alice.version()
    added = alice.made(f"/versions/{version}/unpack", upload=archive(alice, zipped(MEMBERS)))
    body = {"upload": archive(alice, tarred(MEMBERS), None), "file_name": "all.tar", "version": {"name": "made of it"}}
    made = alice.made("/unpack", **body)
    assert made["version"]["state"] == "processing"
    work(site)
    assert task_of(alice, added)["state"] == task_of(alice, made["task"])["state"] == "done"
    for one in (version, made["version"]["id"]):
        found = alice.read(f"/versions/{one}")
        assert (found["state"], found["revision"]) == ("ready", 1)
        assert alice.get(f"/versions/{one}/files/b/c.txt").content == b"bc"
        assert found["unpacked_from"]["members"] == 2


def test_names_that_differ_in_capitals_alone_are_kept_and_reported(site: Site, alice: Client) -> None:
    members = {"README": b"one", "readme": b"two", "b/Caf\u00e9": b"x", "b/cafe\u0301".upper(): b"y", "lonely": b"z"}
    clashes = [["README", "readme"], ["b/Caf\u00e9", "B/CAF\u00c9"]]
    version = alice.version()
    added = alice.made(f"/versions/{version}/unpack", upload=archive(alice, zipped(members)))
    body = {"upload": archive(alice, tarred(members), "all.tar"), "version": {"name": "made of it"}}
    made = alice.made("/unpack", **body)
    work(site)
    assert task_of(alice, added)["state"] == task_of(alice, made["task"])["state"] == "done"
    for one in (version, made["version"]["id"]):
        report = alice.read(f"/versions/{one}")["report"]
        assert report["case_clashes"] == clashes
        assert "'README' and 'readme'" in report["message"]
        assert [alice.get(f"/versions/{one}/files/{name}").content for name in ("README", "readme")] == [b"one", b"two"]


@pytest.mark.parametrize(
    "name", ["zip leads out", "tar symbolic link b'2'", "zip wrong CRC", ".tar.gz bomb", "zip twice"]
)
def test_what_is_hostile_fails_as_a_whole_and_is_named(site: Site, alice: Client, name: str) -> None:
    hostile = CORPUS[name]
    site.depot.limits = replace(site.depot.limits, unpacked_size=4 << 20)
    version = alice.version()
    alice.file(version, "before.txt")
    added = alice.made(f"/versions/{version}/unpack", upload=archive(alice, hostile.body, hostile.filename))
    body = {"upload": archive(alice, hostile.body, hostile.filename), "version": {"name": "made of it"}}
    made = alice.made("/unpack", **body)
    work(site)
    for task in (task_of(alice, added), task_of(alice, made["task"])):
        assert task["state"] == "failed"
        assert hostile.says in task["error"]["detail"]
    assert alice.read(f"/versions/{version}")["revision"] == 1
    waited = alice.read(f"/versions/{made['version']['id']}")
    assert (waited["state"], waited["number"]) == ("failed", None)
    assert hostile.says in waited["report"]["message"]


def test_limits_are_the_servers(site: Site, alice: Client) -> None:
    for change, says in (
        ({"entries_per_commit": 1}, "1 are allowed"),
        ({"unpacked_size": 2}, "beyond the limit"),
        ({"unpacked_depth": 1}, "levels deep"),
    ):
        limits, site.depot.limits = site.depot.limits, replace(site.depot.limits, **change)
        added = alice.made(f"/versions/{alice.version(says)}/unpack", upload=archive(alice, zipped(MEMBERS)))
        work(site)
        assert says in task_of(alice, added)["error"]["detail"]
        site.depot.limits = limits


def test_who_may_not_write_hears_that_and_nothing_is_begun(site: Site, alice: Client) -> None:
    bob = site.person("bob")
    secret, public = alice.version("secret"), alice.version("shown", visibility="public")
    mine, theirs = archive(bob, zipped(MEMBERS)), archive(alice, zipped(MEMBERS))
    assert bob.post(f"/versions/{secret}/unpack", json={"upload": mine}).status_code == 404
    assert bob.post(f"/versions/{public}/unpack", json={"upload": mine}).status_code == 403
    assert site.anonymous.post(f"/versions/{public}/unpack", json={"upload": mine}).status_code == 401
    # What somebody else sent is not there.
    assert alice.post(f"/versions/{secret}/unpack", json={"upload": mine}).status_code == 404
    body = {"upload": theirs, "version": {"name": "x", "project": "alice"}}
    assert bob.post("/unpack", json=body).status_code in (403, 404)
    assert alice.read("/tasks")["rows"] == []


def test_what_takes_no_archive_says_so(site: Site, alice: Client) -> None:
    def asked(version: str, upload: str, **more: str) -> tuple[int, str]:
        answer = alice.post(f"/versions/{version}/unpack", json={"upload": upload, **more})
        return answer.status_code, answer.json()["code"]

    version = alice.version()
    assert asked(version, archive(alice, b"x", "reads.bam"))[0] == 415
    assert asked(version, archive(alice, b"x", None))[0] == 422
    assert asked(version, archive(alice, b"x", None), file_name="../x.zip")[0] == 422
    begun = alice.post("/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "3"})
    assert asked(version, begun.headers["location"].rpartition("/")[2], file_name="x.zip")[0] == 409
    assert asked(version, "up_nothing")[0] in (400, 404, 422)
    table = alice.version("table", kind="table")
    assert asked(table, archive(alice, zipped(MEMBERS)))[0] == 409
    alice.made(f"/versions/{version}/freeze")
    assert asked(version, archive(alice, zipped(MEMBERS)))[0] == 409
    assert alice.read("/tasks")["rows"] == []


def test_an_archive_is_unpacked_once(site: Site, alice: Client) -> None:
    """With a key, a repeat hears the same answer; without one the archive is gone once it was unpacked."""
    version = alice.version()
    body, headers = {"upload": archive(alice, zipped(MEMBERS))}, {"Idempotency-Key": "once"}
    first = alice.post(f"/versions/{version}/unpack", json=body, headers=headers)
    again = alice.post(f"/versions/{version}/unpack", json=body, headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    work(site)
    assert alice.post(f"/versions/{version}/unpack", json=body, headers=headers).content == first.content
    late = alice.post(f"/versions/{version}/unpack", json=body)
    assert late.status_code == 409
    assert alice.read(f"/versions/{version}")["revision"] == 1
