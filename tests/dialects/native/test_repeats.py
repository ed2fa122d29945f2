"""Every POST of this door under an idempotency key, when the server died before the answer was kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import null, update

from entrepot.catalog import events
from entrepot.catalog.schema import idempotency as kept
from entrepot.catalog.work import JobKind
from entrepot.depot import ingests
from entrepot.depot.ingests import Verdict
from entrepot.dialects.native.again import SHOWN
from entrepot.jobs.runner import Runner
from entrepot.model.data_types import Report, Standing
from tests.support.receivers import Receiver
from tests.support.site import Client, Site

Request = tuple[Client, str, Any]
"""Who asks, where, with what body."""

Prepare = Callable[[Site, Client], Request]


def _version(who: Client, *, files: dict[str, bytes] | None = None, **more: Any) -> str:
    made = who.version(more.pop("name", "penguins"), numbering="next", **more)
    for path, body in (files or {}).items():
        who.file(made, path, body)
    return made


def _files(who: Client) -> str:
    return _version(who, files={"a": b"1"})


def _at(path: str, body: Any = None, *, trashed: bool = False, frozen: bool = False) -> Prepare:
    """A request about a version of the caller's with a file in it; `{v}` is its id."""

    def prepare(_site: Site, who: Client) -> Request:
        made = _files(who)
        if trashed:
            who.made(f"/versions/{made}/trash")
        if frozen:
            who.made(f"/versions/{made}/freeze")
        return who, path.replace("{v}", made), body

    return prepare


def _accept(_site: Site, who: Client) -> Request:
    made = who.made(f"/versions/{_files(who)}/copy")
    return who, f"/versions/{made['id']}/accept", None


def _merge(_site: Site, who: Client) -> Request:
    body = {"source": _version(who, name="other", files={"b": b"2"}), "hard": True}
    return who, f"/versions/{_files(who)}/merge", body


def _check(site: Site, who: Client) -> Request:
    site.depot.examiner = lambda _source, kind: Report(Standing.UNCHECKED, None, kind)
    return who, f"/versions/{_files(who)}/check", None


def _declare(_site: Site, who: Client) -> Request:
    return who, f"/versions/{_files(who)}/data-types", {"types": {"a": "csv"}}


def _whole(_site: Site, who: Client) -> Request:
    add = {"op": "add", "path": "b", "source": {"version": _files(who), "path": "a"}}
    return who, "/commits", {"version": {"name": "penguins", "numbering": "next"}, "changes": [add]}


def _relationship(_site: Site, who: Client) -> Request:
    return who, "/relationships", {"source": _files(who), "target": _files(who), "verb": "derived_from"}


def _waiting(site: Site, who: Client) -> str:
    made = who.made("/versions", name="table", kind="table", slots=[{"file_name": "a.csv"}])
    assert site.anonymous.put(made["slots"][0]["url"], content=b"a\n1\n").status_code == 200
    site.depot.checkers = {"table": lambda _version, _parts, _progress: Verdict(True, {})}
    return str(made["id"])


def _ingest(site: Site, who: Client) -> Request:
    return who, f"/versions/{_waiting(site, who)}/ingest", None


def _cancel(site: Site, who: Client) -> Request:
    task = who.made(f"/versions/{_waiting(site, who)}/ingest")
    return who, f"/tasks/{task['id']}/cancel", None


def _project(path: str, *, trashed: bool) -> Prepare:
    def prepare(_site: Site, who: Client) -> Request:
        made = who.made("/projects", name="Work")["id"]
        if trashed:
            assert who.delete(f"/projects/{made}").status_code == 200
        return who, f"/projects/{made}{path}", None

    return prepare


def _collection(_site: Site, who: Client) -> Request:
    return who, f"/projects/{who.made('/projects', name='Work')['id']}/collections", {"path": "a/b/c"}


def _by_staff(path: str, body: Any) -> Prepare:
    return lambda site, _who: (site.admin, path, body)


def _team(path: str) -> Prepare:
    def prepare(site: Site, _who: Client) -> Request:
        made = site.admin.made("/teams", name="lab")["id"]
        assert site.admin.delete(f"/teams/{made}").status_code == 200
        return site.admin, f"/teams/{made}{path}", None

    return prepare


def _switch(path: str, *, before: str | None = None) -> Prepare:
    def prepare(site: Site, _who: Client) -> Request:
        site.world.user("bob")
        if before is not None:
            site.admin.made(f"/users/bob/{before}")
        return site.admin, f"/users/bob/{path}", None

    return prepare


def _hook(site: Site, who: Client) -> str:
    site.depot.courier = Receiver()
    home = who.made("/projects", name="Work")["id"]
    made: str = who.made(f"/projects/{home}/webhooks", name="hook", endpoint="https://example.org/")["id"]
    return made


def _new_hook(site: Site, who: Client) -> Request:
    site.depot.courier = Receiver()
    home = who.made("/projects", name="Work")["id"]
    return who, f"/projects/{home}/webhooks", {"name": "hook", "endpoint": "https://example.org/"}


def _at_hook(path: str, body: Any = None) -> Prepare:
    return lambda site, who: (who, f"/webhooks/{_hook(site, who)}{path}", body)


def _replay(site: Site, who: Client) -> Request:
    hook = _hook(site, who)
    delivery = who.made(f"/webhooks/{hook}/test")["id"]
    return who, f"/webhooks/{hook}/deliveries/{delivery}/replay", None


def _batch(site: Site, who: Client) -> Request:
    return who, f"/versions/{_files(who)}/batches", {"webhook": _hook(site, who)}


def _stop(site: Site, who: Client) -> Request:
    _, path, body = _batch(site, who)
    return who, f"/batches/{who.made(path, **body)['task']['id']}/stop", {}


def _archive(who: Client) -> str:
    made = who.put("/uploads", params={"filename": "all.zip"}, content=b"PK")
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _unpack(_site: Site, who: Client) -> Request:
    return who, f"/versions/{_files(who)}/unpack", {"upload": _archive(who)}


def _unpack_new(_site: Site, who: Client) -> Request:
    return who, "/unpack", {"upload": _archive(who), "version": {"name": "unpacked"}}


def _change(site: Site, who: Client) -> Request:
    table = _waiting(site, who)
    who.made(f"/versions/{table}/ingest")
    kinds = {ingests.JOB: JobKind(partial(ingests.run, site.depot), partial(ingests.abandoned, site.depot))}
    assert Runner(site.depot.catalog, kinds, queue=ingests.QUEUE, worker="test").step()
    return who, f"/versions/{table}/table/changes", {"files": [{"file_name": "b.csv", "upload": _archive(who)}]}


#: What can be shown afterwards is shown.
ANSWERED: dict[str, Prepare] = {
    "/versions": lambda _site, who: (who, "/versions", {"name": "penguins", "numbering": "next"}),
    "/commits": _whole,
    "/versions/{version}/commits": _at("/versions/{v}/commits", {"changes": [{"op": "remove", "path": "a"}]}),
    "/versions/{version}/clear": _at("/versions/{v}/clear"),
    "/versions/{version}/restore": _at("/versions/{v}/restore", {"revision": 0}),
    "/versions/{version}/copy": _at("/versions/{v}/copy", {"numbering": "next"}),
    "/versions/{version}/convert": _at("/versions/{v}/convert", {"name": "Rows"}),
    "/versions/{version}/merge": _merge,
    "/versions/{version}/check": _check,
    "/versions/{version}/data-types": _declare,
    "/versions/{version}/trash": _at("/versions/{v}/trash"),
    "/versions/{version}/reinstate": _at("/versions/{v}/reinstate", trashed=True),
    "/versions/{version}/freeze": _at("/versions/{v}/freeze"),
    "/versions/{version}/unfreeze": _at("/versions/{v}/unfreeze", frozen=True),
    "/versions/{version}/notes": _at("/versions/{v}/notes", {"text": "The scale was off."}),
    "/versions/{version}/ingest": _ingest,
    "/versions/{version}/table/changes": _change,
    "/versions/{version}/unpack": _unpack,
    "/unpack": _unpack_new,
    "/tasks/{task}/cancel": _cancel,
    "/versions/{version}/batches": _batch,
    "/batches/{task}/stop": _stop,
    "/relationships": _relationship,
    "/projects": lambda _site, who: (who, "/projects", {"name": "Work"}),
    "/projects/{project}/collections": _collection,
    "/projects/{project}/reinstate": _project("/reinstate", trashed=True),
    "/users": _by_staff("/users", {"name": "bob", "password": "correct horse"}),
    "/users/{user}/deactivate": _switch("deactivate"),
    "/users/{user}/reactivate": _switch("reactivate", before="deactivate"),
    "/teams": _by_staff("/teams", {"name": "lab"}),
    "/teams/{team}/reinstate": _team("/reinstate"),
    "/nodes": _by_staff("/nodes", {"name": "lab-1"}),
    "/licences": _by_staff("/licences", {"name": "House rules"}),
    "/logout": lambda site, _who: (site.by_token("admin"), "/logout", None),
}
#: Secrets that are told once, and what is not there any more.
TOLD: dict[str, Prepare] = {
    "/tokens": lambda _site, who: (who, "/tokens", {"scope": "read"}),
    "/projects/{project}/webhooks": _new_hook,
    "/webhooks/{webhook}/test": _at_hook("/test"),
    "/webhooks/{webhook}/deliveries/{delivery}/replay": _replay,
    "/webhooks/{webhook}/replay": _at_hook(
        "/replay", {"since": "2000-01-01T00:00:00Z", "states": ["waiting", "failed"]}
    ),
    "/versions/{version}/purge": _at("/versions/{v}/purge", trashed=True),
    "/projects/{project}/purge": _project("/purge", trashed=True),
    "/teams/{team}/purge": _team("/purge"),
}
#: Nothing is done by these, or nothing is there to be done: they are carried out as often as they are asked.
HARMLESS: dict[str, Prepare] = {
    "/versions/{version}/links": _at("/versions/{v}/links", {"path": "a"}),
    "/contents/known": lambda _site, who: (who, "/contents/known", {"sha256": ["sha256:" + "0" * 64]}),
    "/versions/{version}/accept": _accept,
}


def test_every_route_that_takes_a_key_is_tried_here(site: Site) -> None:
    taking = {
        path.removeprefix("/api/v1")
        for path, item in site.anonymous.read("/openapi.json")["paths"].items()
        if any(one.get("name") == "Idempotency-Key" for one in item.get("post", {}).get("parameters", ()))
    }
    assert taking == {*ANSWERED, *TOLD, *HARMLESS}


def die_before_the_answer(site: Site) -> None:
    """As if the server had ended between the work's transaction and that of its answer."""
    nothing = {"status": null(), "headers": null(), "body": null()}
    site.depot.catalog.write(lambda conn: conn.execute(update(kept).values(nothing)))


def count(site: Site) -> int:
    with site.depot.catalog.read() as conn:
        return len(events.page(conn, before=None, limit=1000))


def send(request: Request) -> Any:
    who, path, body = request
    return who.post(path, json=body, headers={"Idempotency-Key": "k1"})


def thing(body: Any) -> Any:
    """Which thing an answer shows."""
    return {name: body[name] for name in ("id", "name", "path", "state") if name in body} | {
        name: thing(body[name]) for name in ("version", "revision") if isinstance(body.get(name), dict)
    }


@pytest.mark.parametrize("route", ANSWERED)
def test_a_request_whose_answer_died_is_answered_and_not_done_again(site: Site, route: str) -> None:
    alice = site.person("alice")
    request = ANSWERED[route](site, alice)
    first = send(request)
    assert first.is_success, first.text
    done = count(site)
    die_before_the_answer(site)
    if route == "/logout":
        assert send(request).status_code == 401, "whoever logged out is somebody else now"
        return
    site.clock.move(hours=1)
    second = send(request)
    assert second.status_code == first.status_code, second.text
    assert second.headers["idempotency-replayed"] == "true"
    assert thing(second.json()) == thing(first.json())
    assert second.json().keys() == first.json().keys()
    assert count(site) == done
    third = send(request)
    assert (third.status_code, third.content) == (second.status_code, second.content)
    assert third.headers.get("etag") == second.headers.get("etag")
    if "etag" in first.headers:
        assert second.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("route", TOLD)
def test_what_cannot_be_answered_again_is_said_to_be_done(site: Site, route: str) -> None:
    request = TOLD[route](site, site.person("alice") if "project" not in route else site.admin)
    first = send(request)
    assert first.is_success, first.text
    done = count(site)
    die_before_the_answer(site)
    site.clock.move(hours=1)
    for _ in range(2):
        second = send(request)
        told = second.json()
        assert (second.status_code, told["code"], told["retryable"]) == (409, "carried_out", False)
        assert told["details"]["verbs"]
        assert count(site) == done
    if route == "/tokens":
        assert told["details"]["subject"] == first.json()["id"]
        assert first.json()["id"] in told["detail"]


@pytest.mark.parametrize("route", HARMLESS)
def test_what_does_nothing_is_asked_again(site: Site, route: str) -> None:
    request = HARMLESS[route](site, site.person("alice"))
    first = send(request)
    assert first.is_success, first.text
    done = count(site)
    die_before_the_answer(site)
    assert send(request).json()["code"] == "in_progress"
    site.clock.move(seconds=61)
    second = send(request)
    assert second.status_code == first.status_code
    assert "idempotency-replayed" not in second.headers
    assert count(site) == done


def test_slots_are_shown_again_with_urls_that_fill_them(site: Site) -> None:
    body = {"name": "table", "kind": "table", "slots": [{"file_name": "a.csv"}, {"file_name": "b.csv"}]}
    request = (site.person("alice"), "/versions", body)
    first = send(request).json()
    die_before_the_answer(site)
    second = send(request).json()
    assert (second["id"], second["role"]) == (first["id"], first["role"])
    assert [one["file_name"] for one in second["slots"]] == ["a.csv", "b.csv"]
    for one in second["slots"]:
        assert site.anonymous.put(one["url"], content=b"a\n1\n").status_code == 200


def test_what_is_told_of_a_version_in_a_new_collection_is_the_version(site: Site) -> None:
    request = (site.person("alice"), "/versions", {"name": "penguins", "collection": "a/b"})
    made = send(request).json()["id"]
    die_before_the_answer(site)
    site.person("alice").made(f"/versions/{made}/purge")
    told = send(request).json()
    assert (told["code"], told["details"]["verbs"][-1]) == ("carried_out", "version.created")
    assert "subject" not in told["details"]


def test_a_thing_that_is_hidden_by_now_is_not_shown(site: Site) -> None:
    """The key tells what was done, and no more than the caller may see."""
    site.person("bob")
    team = site.admin.made("/teams", name="lab")["id"]
    assert site.admin.put(f"/teams/{team}/members/bob", json={"role": "write"}).status_code == 200
    project = site.admin.made("/projects", name="Work", team="lab")["id"]
    request = (site.person("bob"), "/versions", {"name": "penguins", "project": project})
    assert send(request).status_code == 201
    die_before_the_answer(site)
    assert site.admin.delete(f"/teams/{team}/members/bob").status_code == 204
    told = send(request).json()
    assert (told["code"], told["details"]["verbs"]) == ("carried_out", ["version.created"])
    assert site.admin.read("/versions", project=project)["rows"].__len__() == 1


def test_every_form_that_can_be_shown_again_is_one_that_a_route_has(site: Site) -> None:
    document = site.anonymous.read("/openapi.json")
    told = {
        content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        for item in document["paths"].values()
        for status, response in item.get("post", {}).get("responses", {}).items()
        if status.startswith("2")
        for content in response.get("content", {}).values()
    }
    assert {form.__name__ for form in SHOWN} <= told
