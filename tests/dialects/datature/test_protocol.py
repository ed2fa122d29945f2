"""What holds for every request: keys, errors, unknown routes, look-ups of workspace and projects."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.depot import projects
from entrepot.dialects.datature.app import ROUTES
from entrepot.dialects.datature.errors import TABLE, encode
from entrepot.http.errors import Failure
from entrepot.model import errors, ids
from entrepot.model.errors import EntrepotError, Hidden, all_leaves
from entrepot.model.ids import Noun
from tests.support.datature import EVERYBODY, LINES, Lab, request_for


def test_the_workspace_is_this_installation(lab: Lab) -> None:
    found = lab.reader.ok("GET", "/workspace")
    assert ids.decode(Noun.WORKSPACE, found["id"])
    assert found | {"id": "", "createDate": 0} == {
        "id": "",
        "object": "workspace",
        "name": "Entrepot",
        "owner": "operator",
        "tier": "self-hosted",
        "createDate": 0,
    }
    assert isinstance(found["createDate"], int)


def test_a_project_with_its_folders_and_tags(lab: Lab) -> None:
    native = lab.site.by_token("writer")
    native.version(project=lab.project, tags=["birds", "2026"], collection="raw/run 1")
    native.version("Assets", project=lab.project)
    found = lab.reader.ok("GET", f"/projects/{lab.project}")
    assert found == {
        "id": lab.project,
        "object": "project",
        "name": found["name"],
        "workspaceId": lab.reader.ok("GET", "/workspace")["id"],
        "type": "Dataset",
        "createDate": found["createDate"],
        "localization": "MULTI",
        "tags": ["2026", "birds"],
        "groups": ["raw", "raw/run 1"],
        "statistic": {"tagsCount": [], "totalAssets": 0, "annotatedAssets": 0, "totalAnnotations": 0},
    }
    assert isinstance(found["createDate"], int)
    assert found in lab.reader.ok("GET", "/workspace/projects")


def test_only_projects_that_the_key_reads_are_listed(lab: Lab) -> None:
    assert lab.project in [one["id"] for one in lab.reader.ok("GET", "/workspace/projects")]
    listed = lab.outsider.ok("GET", "/workspace/projects")
    assert lab.project not in [one["id"] for one in listed]
    assert len(listed) == 1  # their own


# Keys


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer {key}"}, {"Secret-Key": "no such key"}])
def test_nothing_is_for_strangers(lab: Lab, header: dict[str, str]) -> None:
    sent = {name: value.format(key=lab.writer.key) for name, value in header.items()}
    for path in ("/workspace", "/workspace/projects", f"/projects/{lab.project}", "./batch/datasets"):
        answer = lab.anonymous("GET", path, headers=sent)
        assert answer.status_code == 401, path
        assert answer.json()["message"]


#: What becomes of each request by who asks; what is made is left to a dataset of the same project.
ASKED: dict[str, tuple[str, str]] = {
    "list": ("GET", "./batch/datasets"),
    "get": ("GET", "./batch/datasets/{id}"),
    "create": ("POST", "./batch/datasets"),
    "delete": ("DELETE", "./batch/datasets/{id}"),
    "project": ("GET", "./"),
}
MEMBERS = {"reader", "runner", "reading key", "writer", "chief", "staff"}
WRITERS = {"writer", "chief", "staff"}


@pytest.mark.parametrize("what", ASKED)
def test_who_may_do_what(lab: Lab, what: str) -> None:
    method, path = ASKED[what]
    allowed = WRITERS if what in ("create", "delete") else MEMBERS
    for who in EVERYBODY:
        made = lab.writer.create()
        url = f"/projects/{lab.project}" if path == "./" else path.format(id=made["id"])
        answer = lab.people[who](method, url, request_for(lab.name(), LINES) if method == "POST" else None)
        expected = 401 if who == "anonymous" else 404 if who == "outsider" else 403
        assert (answer.status_code in (200, 201)) == (who in allowed), (who, answer.text)
        if who not in allowed:
            assert answer.status_code == expected, (who, answer.text)


def test_a_hidden_dataset_is_missing_to_the_last_word(lab: Lab) -> None:
    hidden = lab.outsider("GET", f"./batch/datasets/{lab.writer.create()['id']}")
    missing = lab.outsider("GET", "./batch/datasets/dataset_00000000-0000-7000-8000-000000000000")
    assert hidden.status_code == missing.status_code == 404
    one, other = hidden.json(), missing.json()
    assert set(one) == set(other)
    assert one["code"] == other["code"]


def test_a_project_in_the_trash_is_not_here(lab: Lab) -> None:
    made = lab.writer.create()
    projects.trash(lab.depot, lab.site.world.login("writer"), ids.decode(Noun.PROJECT, lab.project))
    hook = {"name": "hook", "spec": {"endpoint": "https://example.org/"}}
    files = {"assets": [{"filename": "a.png", "size": 1}]}
    for method, path, body in (
        ("GET", f"/projects/{lab.project}", None),
        ("GET", "./batch/datasets", None),
        ("POST", "./batch/datasets", request_for("new", LINES)),
        ("GET", f"./batch/datasets/{made['id']}", None),
        ("GET", "./assets", None),
        ("POST", "./assetuploadsessions", files),
        ("GET", "./batch/webhooks", None),
        ("POST", "./batch/webhooks", hook),
        ("GET", "./batch/jobs", None),
    ):
        assert lab.chief(method, path, body).status_code == 404, (method, path)
    assert lab.project not in [one["id"] for one in lab.chief.ok("GET", "/workspace/projects")]


# Errors


def test_every_error_has_a_status_and_an_object_with_a_message() -> None:
    assert TABLE.uncovered() == []
    for leaf in all_leaves():
        failure = Failure(leaf("What is wrong."), TABLE.status(leaf), "GET", "/workspace", "request")
        body = json.loads(encode(failure).body)
        assert body["message"] == "What is wrong."


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid, 400),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (Hidden, 404),
        (errors.NotFound, 404),
        (errors.Gone, 404),
        (errors.Conflict, 409),
        (errors.PreconditionFailed, 412),
        (errors.TooLarge, 413),
        (errors.Unsupported, 400),
        (errors.RateLimited, 429),
        (errors.Corrupt, 500),
        (errors.Unavailable, 503),
    ],
)
def test_the_statuses(error: type[EntrepotError], status: int) -> None:
    assert TABLE.status(error) == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/workspaces/ws_1/artifacts", 404),
        ("GET", "/workspace/", 404),
        ("GET", "/projects", 404),
        ("GET", "./nothing", 404),
        ("POST", "./batch", 404),
        ("PUT", "./batch/datasets", 405),
        ("PATCH", "./batch/datasets/dataset_1", 405),
        ("DELETE", "/workspace", 405),
    ],
)
def test_unknown_routes_answer_in_the_shape_of_the_door(lab: Lab, method: str, path: str, status: int) -> None:
    answer = lab.writer(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json()["message"], str)


def test_a_path_that_is_not_utf8_is_refused(lab: Lab) -> None:
    assert lab.writer("GET", "./batch/datasets/%ff").status_code in (400, 404)


# Anything at all

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=6,
)
WORDS = (
    "name",
    "spec",
    "source",
    "kind",
    "sizeBytes",
    "crc32c",
    "groups",
    "assets",
    "filename",
    "size",
    "mime",
    "contents",
)
bodies = st.dictionaries(st.sampled_from(WORDS), values, max_size=4).map(
    lambda found: {**found, "spec": {"source": found}} if "spec" in found else found
)
TARGETS = [(method, path) for path, calls in ROUTES.items() for method in calls]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    target=st.sampled_from(TARGETS),
    body=bodies | values,
    query=st.text(max_size=12),
    name=st.text(min_size=1, max_size=12),
)
def test_no_request_is_a_fault_of_ours(
    shared_lab: Lab, target: tuple[str, str], body: Any, query: str, name: str
) -> None:
    method, path = target
    if not shared_lab.project:
        shared_lab.project = shared_lab.new_project()
    url = path.replace("{project}", shared_lab.project)
    for part in ("{id}", "{id…}", "{number}", "{session}"):
        url = url.replace(part, quoted(name))
    answer = shared_lab.writer(
        method, f"{url}?{quoted(query)}", json=body if method in ("POST", "PUT", "PATCH") else None
    )
    assert answer.status_code < 500, (method, url, body, answer.text)
    assert answer.json() is not None
    if answer.status_code >= 400:
        assert answer.json()["message"]


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="=&[]")
