"""What holds for every request: credentials, errors, unknown routes, bodies that make no sense."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.depot import tokens
from entrepot.dialects.benchling.app import ROUTES
from entrepot.dialects.benchling.errors import TABLE, encode
from entrepot.http.errors import Failure
from entrepot.model import errors, ids
from entrepot.model.errors import EntrepotError, Hidden, all_leaves
from entrepot.model.ids import Noun
from entrepot.model.values import Scope
from tests.support.benchling import CSV, Lab, Person

V2 = "/api/v2"
GRANT = {"grant_type": "client_credentials"}


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def is_error(body: Any) -> bool:
    """The only shape that does not crash the clients."""
    said = body["error"]
    return isinstance(said, dict) and bool(said["message"]) and bool(said["type"]) and bool(said["userMessage"])


# Errors

KINDS: dict[type[EntrepotError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Gone: 404,
    errors.Conflict: 400,
    errors.TooLarge: 413,
    errors.Unsupported: 400,
    errors.Corrupt: 500,
    errors.Unavailable: 503,
}


@pytest.mark.parametrize("leaf", all_leaves(), ids=lambda leaf: leaf.__name__)
def test_every_error_has_a_status_and_a_body_that_the_clients_can_read(leaf: type[EntrepotError]) -> None:
    error = leaf("It is so.", errors=[{"detail": "why"}])
    answer = encode(Failure(error, TABLE.status(error), "GET", "/api/v2/datasets/dset_1"))
    body = json.loads(answer.body)
    assert is_error(body)
    assert (body["error"].get("invalidId") == "dset_1") == (answer.status in (403, 404))
    kind = next(cls for cls in reversed(leaf.__mro__) if cls in KINDS)
    assert answer.status == {Hidden: 404, errors.RateLimited: 429}.get(leaf, KINDS[kind])


def test_an_error_without_words_has_some() -> None:
    answer = encode(Failure(errors.Conflict(""), 400, "GET", "/api/v2/datasets"))
    assert is_error(json.loads(answer.body))


@pytest.mark.parametrize("prefix", ["/api/v2", "/api/v2-beta"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/datasets/",
        "/dna-sequences",
        "/datasets/a/b",
        "/datasets:forget",
        "/data-frames/x/y",
        "/tasks",
        "/x%00",
    ],
)
def test_what_is_not_there_is_an_object_with_an_error(lab: Lab, prefix: str, path: str) -> None:
    for method in ("GET", "POST"):
        answer = lab.writer(method, prefix + path)
        assert answer.status_code in (404, 405), answer.text
        assert is_error(answer.json())


@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_name_those_that_there_are(lab: Lab, path: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - set(ROUTES[path]):
        answer = lab.writer(method, "/api/v2" + path.replace("{id}", "dset_1"))
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == set(ROUTES[path])
        assert is_error(answer.json())


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_is_for_strangers(lab: Lab, path: str) -> None:
    if path == "/token":
        return
    shown: list[dict[str, str]] = [{}, basic("nonsense"), {"Authorization": "Bearer nonsense"}]
    shown += [{"Authorization": "Basic !"}, {"Authorization": "Digest x"}, {"Secret-Key": str(lab.writer.key)}]
    for headers in shown:
        for method in ROUTES[path]:
            body = {"json": {}} if method != "GET" else {}
            answer = lab.anonymous(method, "/api/v2" + path.replace("{id}", "dset_1"), headers=headers, **body)
            assert answer.status_code == 401, (method, headers)
            assert is_error(answer.json())
            assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("name", ["nonsense", "dset_1", "ver_" + "0" * 32, "dataset_" + "0" * 32, "dset_" + "0" * 32])
def test_an_id_of_nothing_is_missing(lab: Lab, name: str) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/datasets/{name}", None),
        ("GET", f"/api/v2/data-frames/{name}", None),
        ("GET", f"/api/v2/tasks/{name}", None),
        ("PATCH", f"/datasets/{name}", {"uploadStatus": "IN_PROGRESS"}),
        ("PATCH", f"/datasets/{name}", {"name": "x"}),
        ("POST", "/datasets", {"dataFrameId": name, "folderId": lab.project, "name": "x"}),
    ]
    for method, path, body in asked:
        answer = lab.writer(method, path, body)
        assert answer.status_code == 404, (path, answer.text)
        assert is_error(answer.json())


def test_what_is_hidden_is_missing_to_the_last_word(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    hidden = lab.outsider("GET", f"/datasets/{made['id']}").json()["error"]
    missing = lab.outsider("GET", f"/datasets/dset_{'0' * 32}").json()["error"]
    assert set(hidden) == set(missing)
    uid = ids.parse_benchling_frame(made["id"]).hex
    assert hidden["message"].replace(uid, "0" * 32) == missing["message"]


def test_a_success_is_exactly_the_status_that_the_clients_wait_for(lab: Lab) -> None:
    frame, name = f"{V2}/data-frames", lab.name()
    made = lab.writer("POST", frame, {"name": name, "manifest": [{"fileName": "a.csv"}]})
    shown = made.json()
    put = lab.put(shown, CSV)
    begun = lab.writer("PATCH", f"{frame}/{shown['id']}", {"uploadStatus": "IN_PROGRESS"})
    lab.work()
    placed = lab.writer("POST", f"{V2}/datasets", {"dataFrameId": shown["id"], "folderId": lab.project, "name": name})
    dataset = placed.json()["id"]
    some = {"datasetIds": [dataset]}
    answers = {
        "create": made,
        "create for the old client": lab.writer("POST", "/datasets", {"name": name, "folderId": lab.project}),
        "put": put,
        "get": lab.writer("GET", f"{frame}/{shown['id']}"),
        "task": lab.writer("GET", f"{V2}/tasks/{begun.json()['taskId']}"),
        "place": placed,
        "place again": lab.writer(
            "POST", f"{V2}/datasets", {"dataFrameId": shown["id"], "folderId": lab.project, "name": name}
        ),
        "look": lab.writer("GET", f"{V2}/datasets/{dataset}"),
        "change": lab.writer("PATCH", f"{V2}/datasets/{dataset}", {"name": lab.name()}),
        "list": lab.writer("GET", f"{V2}/datasets?pageSize=50&nextToken="),
        "archive": lab.writer("POST", f"{V2}/datasets:archive", {**some, "reason": "Other"}),
        "unarchive": lab.writer("POST", f"{V2}/datasets:unarchive", some),
    }
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert begun.status_code == 202
    assert all(answer.headers["content-type"] == "application/json" for answer in (begun, made, placed))


# Logging in


def token_of(lab: Lab, scope: Scope = Scope.WRITE, **how: Any) -> tuple[str, str]:
    made = tokens.create(lab.depot, lab.site.world.login("writer"), scope=scope, **how)
    return ids.encode(Noun.TOKEN, made.token.uid), made.text


def test_a_token_may_be_shown_in_every_way(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    name, text = token_of(lab, never=True)
    signed = lab.anonymous("POST", "/api/v2/token", data=GRANT, headers=basic(name, text))
    assert signed.status_code == 200
    said = signed.json()
    assert (said["token_type"], 3590 <= said["expires_in"] <= 3600) == ("Bearer", True)
    form = {**GRANT, "client_id": name, "client_secret": text}
    assert lab.anonymous("POST", "/api/v2/token", data=form).json()["token_type"] == "Bearer"
    bearer = {"Authorization": f"Bearer {said['access_token']}"}
    for headers in (basic(text), basic("", text), {"Authorization": f"Bearer {text}"}, bearer):
        found = lab.anonymous("GET", f"/datasets/{made['id']}", headers=headers)
        assert (found.status_code, len(found.json()["manifest"])) == (200, 1)
    # It is good at this door only.
    assert lab.site.http.get("/api/v1/users/me", headers=bearer).status_code == 401


def test_a_signed_token_reaches_as_far_as_what_it_was_made_of(fresh_lab: Lab) -> None:
    lab = fresh_lab
    made = lab.writer.create("a.csv")
    name, text = token_of(lab, Scope.READ, never=True)

    def exchanged() -> dict[str, str]:
        said = lab.anonymous("POST", "/api/v2/token", data=GRANT, headers=basic(name, text)).json()
        return {"Authorization": f"Bearer {said['access_token']}"}

    headers = exchanged()
    lab.site.clock.move(minutes=59)
    assert lab.anonymous("GET", f"/datasets/{made['id']}", headers=headers).json()["manifest"] == []
    lab.site.clock.move(minutes=2)
    assert lab.anonymous("GET", f"/datasets/{made['id']}", headers=headers).status_code == 401
    headers = exchanged()
    assert lab.anonymous("GET", f"/datasets/{made['id']}", headers=headers).status_code == 200
    refused = lab.anonymous("POST", "/datasets", {"name": "x", "folderId": lab.project}, headers=headers)
    assert refused.status_code == 403
    tokens.revoke(lab.depot, lab.site.world.login("writer"), ids.decode(Noun.TOKEN, name))
    assert lab.anonymous("GET", f"/datasets/{made['id']}", headers=headers).status_code == 401


def test_a_signed_token_is_asked_for_with_an_id_and_its_own_secret(lab: Lab) -> None:
    name, text = token_of(lab, never=True)
    other, _ = token_of(lab, never=True)
    wrong: list[tuple[dict[str, str], dict[str, str], int]] = [
        ({**GRANT}, {}, 401),
        ({**GRANT}, basic(name, "x"), 401),
        ({**GRANT}, basic(other, text), 401),
        ({**GRANT}, basic("writer", "correct horse"), 401),
        ({"grant_type": "password"}, basic(name, text), 400),
        ({}, basic(name, text), 400),
    ]
    for form, headers, status in wrong:
        answer = lab.anonymous("POST", "/api/v2/token", data=form, headers=headers)
        assert (answer.status_code, is_error(answer.json())) == (status, True), (form, headers)
    assert lab.anonymous("POST", "/api/v2/token", content=b"\xff=%ff", headers=basic(name, text)).status_code == 400


# Bodies


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "name",
    "folderId",
    "manifest",
    "columns",
    "dataFrameId",
    "customFields",
    "uploadStatus",
    "datasetIds",
    "reason",
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4)


@given(body=BODIES | JSON)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_too_strange(lab: Lab, body: Any) -> None:
    person: Person = lab.writer
    for method, path in (
        ("POST", "/datasets"),
        ("POST", "/api/v2/data-frames"),
        ("POST", "/datasets:archive"),
        ("POST", "/datasets:unarchive"),
        ("PATCH", f"/datasets/dset_{'0' * 32}"),
    ):
        answer = person(method, path, content=json.dumps(body).encode())
        assert answer.status_code in (200, 400, 404, 413), (path, answer.text)
        if answer.status_code != 200:
            assert is_error(answer.json())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"name": NaN}', b"null"])
def test_what_is_no_object_is_refused(lab: Lab, body: bytes) -> None:
    for method, path in (("POST", "/datasets"), ("PATCH", "/datasets/dset_1"), ("POST", "/datasets:archive")):
        answer = lab.writer(method, path, content=body)
        assert answer.status_code == 400
        assert is_error(answer.json())


def test_the_query_may_be_anything(lab: Lab) -> None:
    for query in ("%ff", "a=%zz", "&" * 50, "=", "a&b", "nextToken=%00", "ids=" + "x," * 2000, "x=1&" * 200):
        answer = lab.writer("GET", f"/datasets?{query}")
        assert answer.status_code in (200, 400), query
        assert answer.status_code == 200 or is_error(answer.json())


# Tasks


def test_tasks_of_any_kind_are_shown_to_who_may_see_them(lab: Lab) -> None:
    made = lab.writer.create("a.csv")
    lab.put(made, CSV)
    task = lab.writer.start(made)
    assert lab.reader.task(task) == {"status": "RUNNING"}
    assert lab.outsider("GET", f"/api/v2/tasks/{task}").status_code == 404
    native = lab.site.by_token("writer")
    assert native.post(f"/tasks/{task}/cancel").status_code == 200
    lab.work()
    ended = lab.writer.task(task)
    assert (ended["status"], "response" in ended, "errors" in ended) == ("FAILED", False, False)
    assert ended["message"]
    assert lab.writer.get(made["id"])["uploadStatus"] == "FAILED_VALIDATION"
