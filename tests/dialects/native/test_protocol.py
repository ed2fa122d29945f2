"""What holds for every route: errors, bodies, keys of repeats, tasks that are waited for, the description."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from entrepot.catalog import queue
from entrepot.depot import idempotency, versions
from entrepot.dialects.native.errors import TABLE
from entrepot.model import ids
from entrepot.model.errors import all_leaves
from entrepot.model.ids import Noun
from tests.support.site import Client, Site, open_site


@pytest.fixture
def alice(site: Site) -> Client:
    return site.person("alice")


# Errors


def test_an_error_is_a_problem_document_with_the_id_of_its_request(alice: Client) -> None:
    answer = alice.get("/versions/ver_1", headers={"X-Request-Id": "my-request-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["code"], told["request_id"]) == (404, "not_found", "my-request-1")
    assert answer.headers["x-request-id"] == "my-request-1"
    assert told["type"].endswith(told["code"])


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/v1/nothing", 404, None),
        ("GET", "/api/v1/versions/", 404, None),
        ("GET", "/api/v3", 404, None),
        ("GET", "/api/v4/datasets", 404, None),
        ("GET", "/datasets/a/b", 404, None),
        ("GET", "/nowhere", 404, None),
        ("POST", "/", 404, None),
        ("DELETE", "/api/v1/versions", 405, "GET"),
        ("PUT", "/api/v1/login", 405, "POST"),
        ("POST", "/readyz", 405, "GET"),
    ],
)
def test_what_is_not_there_is_said_in_the_doors_own_shape(
    site: Site, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = site.anonymous.http.request(method, path)
    assert answer.status_code == status
    if allow is not None:
        assert allow in answer.headers["allow"]
    if path.startswith("/api/"):
        assert answer.headers["content-type"] == "application/problem+json"


def test_every_fault_of_a_body_is_told_without_repeating_it(alice: Client) -> None:
    secret = "hunter2hunter2"
    answer = alice.post("/versions", json={"name": 1, "tags": secret, "kind": "box", secret: 1})
    assert answer.status_code == 422
    told = answer.json()
    assert {fault["at"].partition("[")[0] for fault in told["errors"]} >= {"body.name", "body.tags", "body.kind"}
    assert secret not in json.dumps([fault["detail"] for fault in told["errors"]])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": NaN}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b"\xff", 400),
        (b'{"custom": ' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}", 400),
        (b'{"name": "' + b"a" * 70 * 1024 * 1024 + b'"}', 413),
    ],
    ids=["empty", "cut", "list", "null", "nan", "surrogate", "latin", "deep", "huge"],
)
def test_a_body_that_is_no_request_is_refused(alice: Client, body: bytes, status: int) -> None:
    answer = alice.post("/versions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:300]


def test_a_body_of_another_type_is_refused(alice: Client) -> None:
    for said in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        assert alice.post("/versions", content=b'{"name": "a"}', headers=said).status_code == 415
    fine = {"Content-Type": "application/vnd.entrepot+json; charset=utf-8"}
    assert alice.post("/versions", content=b'{"name": "a"}', headers=fine).status_code == 201


def test_who_is_asking_is_judged_before_the_body_is_looked_at(site: Site) -> None:
    stranger = Client(site.http, "ent_" + "x" * 43)
    assert stranger.post("/versions", content=b"{", headers={"Content-Type": "application/json"}).status_code == 401


def test_a_fault_of_ours_is_told_to_the_operator_and_not_to_the_client(
    site: Site, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(versions, "get", breaks)
    answer = alice.get("/versions/ver_" + "0" * 32)
    assert answer.status_code == 500
    assert "inner secret" not in answer.text
    assert answer.json()["request_id"] in answer.json()["detail"]


# Keys of repeats


def keyed(who: Client, key: str | bytes, path: str = "/versions", **body: Any) -> Any:
    return who.post(path, json=body, headers={"Idempotency-Key": key})


def test_a_request_that_is_repeated_with_its_key_counts_once(alice: Client) -> None:
    first, second = (keyed(alice, "k1", name="penguins", numbering="next") for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert len(alice.read("/versions")["rows"]) == 1


def test_a_key_belongs_to_one_request_and_one_person(site: Site, alice: Client) -> None:
    keyed(alice, "k1", name="a")
    for answer in (keyed(alice, "k1", name="b"), keyed(alice, "k1", "/projects", name="a")):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert keyed(site.person("bob"), "k1", name="a").status_code == 201


def test_a_refusal_is_repeated_too(alice: Client) -> None:
    alice.version("taken")
    first = keyed(alice, "k1", name="taken")
    alice.made(f"/versions/{alice.read('/versions')['rows'][0]['id']}/trash")
    second = keyed(alice, "k1", name="taken")
    assert (first.status_code, second.status_code) == (409, 409)
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", [b"", b" ", b"a b", "ü".encode(), b"x" * 256])
def test_a_key_is_visible_ascii(alice: Client, key: bytes) -> None:
    assert keyed(alice, key, name="a").status_code == 400


def test_a_key_is_forgotten_after_its_time(site: Site, alice: Client) -> None:
    keyed(alice, "k1", name="a", numbering="next")
    site.clock.move(hours=25)
    assert "idempotency-replayed" not in keyed(alice, "k1", name="a", numbering="next").headers
    site.clock.move(hours=25)
    assert idempotency.sweep(site.depot) == 1


def test_a_claim_that_nobody_works_on_ends_by_itself(site: Site, alice: Client) -> None:
    actor = site.world.login("alice")
    claimed = idempotency.claim(site.depot, actor, "k1", idempotency.fingerprint(b"x"))
    assert isinstance(claimed, idempotency.Claim)
    waiting = keyed(alice, "k1", name="a")
    assert waiting.status_code == 409
    site.clock.move(seconds=50)
    idempotency.renew(site.depot, claimed)
    site.clock.move(seconds=50)
    assert keyed(alice, "k1", name="a").status_code == 409
    site.clock.move(seconds=11)
    assert keyed(alice, "k1", name="a").status_code == 201


def test_two_copies_of_a_request_that_arrive_together_count_once(site: Site, alice: Client) -> None:
    gate = threading.Barrier(4)

    def send(_: int) -> int:
        gate.wait()
        return int(keyed(alice, "k1", name="penguins", numbering="next").status_code)

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(send, range(4)))
    assert set(statuses) <= {201, 409}
    assert statuses[0] == 201
    assert len(alice.read("/versions")["rows"]) == 1


def test_what_tells_a_secret_is_not_kept(site: Site, alice: Client) -> None:
    first, second = (keyed(alice, "k1", "/tokens", scope="read") for _ in range(2))
    assert first.json()["token"]
    assert (second.status_code, second.json()["code"]) == (409, "carried_out")
    with site.depot.catalog.read() as conn:
        assert conn.exec_driver_sql("SELECT body FROM idempotency").scalar_one() is None
    assert len(alice.read("/tokens")["rows"]) == 2


def test_what_is_asked_with_a_password_leaves_no_record(site: Site, alice: Client) -> None:
    for _ in range(2):
        body = {"username": "alice", "password": "correct horse", "scope": "read", "token_name": "laptop"}
        assert keyed(alice, "k1", "/login", **body).status_code == 201
    with site.depot.catalog.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one() == 0


# Tasks


def enqueue(site: Site, who: str, state: str = "ready") -> str:
    """A task of somebody, as a use case leaves it."""
    uid, now = site.depot.new_uid(), site.depot.now()
    starter = site.world.login(who).user

    def work(conn: Any) -> None:
        queue.enqueue(conn, uid=uid, queue="test", kind="nothing", payload={}, now=now, starter=starter)

    site.depot.catalog.write(work)
    return ids.encode(Noun.TASK, uid)


def test_a_task_is_seen_waited_for_and_cancelled(site: Site, alice: Client) -> None:
    task = enqueue(site, "alice")
    assert alice.read(f"/tasks/{task}")["state"] == "ready"
    assert [row["id"] for row in alice.read("/tasks", state="ready")["rows"]] == [task]
    assert alice.read("/tasks", state="done")["rows"] == []
    assert site.person("bob").get(f"/tasks/{task}").status_code == 404
    assert alice.get(f"/tasks/{task}", params={"wait": 61}).status_code == 422
    assert alice.read(f"/tasks/{task}", wait=0.01)["state"] == "ready"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(alice.read, f"/tasks/{task}", wait=60)
        assert alice.made(f"/tasks/{task}/cancel")["state"] == "cancelled"
        assert waiting.result(60)["state"] == "cancelled"
    assert alice.made(f"/tasks/{task}/cancel")["state"] == "cancelled"


def test_nobody_waits_longer_than_the_server_lives(site: Site, alice: Client) -> None:
    task = enqueue(site, "alice")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(alice.read, f"/tasks/{task}", wait=60)
        assert site.http.portal is not None
        site.http.portal.call(site.house.draining.set)
        assert waiting.result(60)["state"] == "ready"
    assert site.http.get("/readyz").status_code == 503


# Operations and the description


def test_operators_are_told_how_it_is(site: Site, alice: Client) -> None:
    assert site.http.get("/healthz").json() == {"alive": True}
    assert site.http.get("/readyz").json() == {"ready": True, "workers": 0}
    alice.version()
    told = site.http.get("/metrics").text
    assert 'entrepot_http_requests_total{door="native",method="POST",status="201"}' in told
    assert "entrepot_catalog_wal_bytes" in told
    assert site.http.head("/readyz").content == b""


def test_the_root_leads_to_the_pages_and_without_them_names_the_api(site: Site, tmp_path: Any) -> None:
    answer = site.http.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")
    with ExitStack() as stack:
        plain = open_site(tmp_path, stack, doors="native").http.get("/", follow_redirects=False)
    assert (plain.status_code, "/api/v1/" in plain.text) == (200, True)
    about = site.anonymous.read("/")
    assert (about["name"], about["anonymous"]) == ("entrepot", True)
    assert about["doors"] == list(site.config.doors)
    assert about["installation"].startswith("ws_")


def test_a_door_can_be_closed_and_strangers_kept_out(tmp_path: Any) -> None:
    with ExitStack() as stack:
        site = open_site(tmp_path, stack, doors="", anonymous="false")
        assert site.http.get("/api/v1/").status_code == 404
    with ExitStack() as stack:
        folder = tmp_path / "other"
        folder.mkdir()
        site = open_site(folder, stack, anonymous="false")
        assert site.anonymous.get("/versions").status_code == 401


def test_every_error_that_a_caller_can_meet_has_a_documented_status(site: Site) -> None:
    document = site.anonymous.read("/openapi.json")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            documented = {int(status) for status in operation["responses"]}
            missing = {TABLE.status(leaf) for leaf in all_leaves()} - documented
            assert not missing, f"{method} {path}: {missing}"


def test_the_description_covers_every_route(site: Site) -> None:
    document = site.anonymous.read("/openapi.json")
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    for method, path in (
        ("GET", "/api/v1/versions/{version}/files/{path}"),
        ("PUT", "/api/v1/versions/{version}/files/{path}"),
        ("GET", "/api/v1/versions/{version}/archive"),
        ("POST", "/api/v1/uploads"),
        ("PATCH", "/api/v1/uploads/{upload}"),
        ("PUT", "/api/v1/uploads"),
        ("POST", "/api/v1/versions/{version}/commits"),
    ):
        assert (method, path) in described
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
