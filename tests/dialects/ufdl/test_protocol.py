"""What holds for every route: slashes, methods, types of bodies, other origins, errors, hostile input, long answers."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.depot.context import Depot
from entrepot.depot.entries import Add, commit
from entrepot.dialects.ufdl import app, errors
from entrepot.http.errors import Failure
from entrepot.model import errors as tree
from tests.support.identity import ADMIN_PASSWORD
from tests.support.ufdl import Lab

# Every route


def paths() -> list[tuple[str, str]]:
    return [(path, method) for path, calls in app.ROUTES.items() for method in calls]


@pytest.mark.parametrize("path", sorted(path for path in app.ROUTES if path))
def test_a_slash_at_the_end_makes_no_difference_and_nothing_redirects(shared_lab: Lab, path: str) -> None:
    """Missing things of every kind: 400 or 404 in the door's own shape, with and without a slash."""
    filled = path.replace("{name…}", "none").replace("{username}", "none").replace("{other}", "998")
    filled = "/" + filled.replace("{pk}", "999")
    for method in app.ROUTES[path]:
        answers = [shared_lab.staff(method, filled + slash, {} if method != "GET" else None) for slash in ("", "/")]
        if "…" not in path:
            assert answers[0].status_code == answers[1].status_code, (method, filled)
        for answer in answers:
            assert answer.status_code not in (301, 302, 307, 308, 405, 500), (method, filled, answer.text)
            assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["", "/datasets/list", "/datasets/1", "/datasets/1/copy", "/teams/1/memberships/"])
def test_other_methods_are_405_and_say_which_there_are(shared_lab: Lab, path: str) -> None:
    got = shared_lab.staff("TRACE", path)
    assert got.status_code == 405
    assert got.headers["allow"]
    assert set(got.json()) == {"detail"}


@pytest.mark.parametrize(
    "path", ["/nope", "/datasets", "/datasets/1/nope", "/datasets/1/files", "/auth", "/classify/x"]
)
def test_what_there_is_not_is_404_in_the_shape_of_this_door(shared_lab: Lab, path: str) -> None:
    got = shared_lab.staff("GET", path)
    assert (got.status_code, set(got.json())) == (404, {"detail"})


def test_pages_of_any_origin_may_ask_without_cookies(shared_lab: Lab) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PATCH"}
    got = shared_lab.anonymous("OPTIONS", "/datasets/1", headers=asked)
    assert got.status_code == 200
    assert got.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in got.headers["access-control-allow-methods"]
    assert "Authorization" in got.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in got.headers
    refused = shared_lab.anonymous("GET", "/teams/1", headers={"Origin": "https://elsewhere.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    native = shared_lab.site.http.get("/api/v1/")
    assert "access-control-allow-origin" not in native.headers, "at this door only"


# Bodies


@pytest.mark.parametrize(
    ("content", "type_", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": "\\ud800"}', "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"<xml/>", "text/xml", 415),
        (b"x", "application/octet-stream", 415),
        (b"name", "application/x-www-form-urlencoded", 400),
        (b"name=%FF", "application/x-www-form-urlencoded", 400),
        (b"nothing", "multipart/form-data", 400),
        (b"--x\r\n\r\nx\r\n--x--", "multipart/form-data; boundary=x", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"a": ' * 200 + b"1" + b"}" * 200, "application/json", 400),
    ],
)
def test_bodies_that_cannot_be_read(shared_lab: Lab, content: bytes, type_: str, status: int) -> None:
    for path in ("/datasets/create", "/users/create", "/auth/obtain", f"/licences/{shared_lab.licence}/subdescriptors"):
        method = "PATCH" if "sub" in path else "POST"
        got = shared_lab.staff(method, path, content=content, headers={"Content-Type": type_})
        assert got.status_code == status, (path, got.text)
        assert isinstance(got.json(), dict)
    if status == 415:
        assert got.json() == {"detail": f'Unsupported media type "{type_}" in request.'}


def test_broken_json_is_said_in_the_known_words(shared_lab: Lab) -> None:
    got = shared_lab.staff("POST", "/datasets/create", content=b"{")
    assert got.json()["detail"].startswith("JSON parse error - ")
    listed = shared_lab.staff("POST", "/datasets/list", content=b"{", headers={"Content-Type": "text/plain"})
    assert listed.json()["detail"].startswith("JSON parse error - ")


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "x\x00y", "..", "/", "true", "1", "\u202e", "a" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "name", "description", "project", "licence", "tags", "is_public", "new_name", "only_files", "delete", "hard",
    "filetype", "params", "metadata", "expressions", "order_by", "include_inactive", "username", "password", "email",
    "method", "type", "names", "permissions", "team", "token", "refresh", "url", "is_staff", "is_active",
]  # fmt: skip
_bodies = st.dictionaries(st.sampled_from(_KEYS), _json, max_size=6) | _json
_expressions = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["exact", "contains", "compare", "isnull", "and", "or", "x"]),
        "field": st.sampled_from(
            ["name", "pk", "tags", "project.team.name", "files.file.name.filename", "x", "is_public"]
        ),
        "value": _json,
        "operator": st.sampled_from(["<", ">", "<=", ">=", "="]),
        "sub_string": _json,
        "invert": st.booleans(),
        "case_insensitive": st.booleans(),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_body_breaks_the_server(shared_lab: Lab, data: st.DataObject) -> None:
    pk = shared_lab.writer.ok("POST", "/datasets/list", {"include_inactive": True})
    dataset = pk[0]["pk"] if pk else shared_lab.writer.dataset(files={"a": b"a"})["pk"]
    path, method = data.draw(
        st.sampled_from([one for one in paths() if "{name" not in one[0] and "hard" not in one[0]])
    )
    filled = path.replace("{pk}", str(dataset)).replace("{other}", str(dataset)).replace("{username}", "writer")
    body = data.draw(_bodies | st.fixed_dictionaries({"expressions": st.lists(_expressions, max_size=3)}))
    who = data.draw(st.sampled_from(["staff", "writer", "reader", "anonymous"]))
    if "users/" in path or "team" in path:
        who = "writer"
    got = shared_lab.people[who](method, "/" + filled, content=json.dumps(body).encode())
    assert got.status_code < 500, f"{who} {method} {filled} {body!r}: {got.text}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.text(string.printable + "é🐧\u202e\x00", max_size=30),
    what=st.sampled_from(["files", "metadata", "file-handles"]),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
)
def test_no_name_breaks_the_server(shared_lab: Lab, name: str, what: str, method: str) -> None:
    from urllib.parse import quote

    pk = shared_lab.writer.dataset()["pk"]
    got = shared_lab.writer(method, f"/datasets/{pk}/{what}/{quote(name, safe='/.')}", content=b"{}")
    assert got.status_code < 500, got.text


# Errors


def test_the_table_is_total_and_every_leaf_has_a_body() -> None:
    assert errors.TABLE.uncovered() == []
    for leaf, status in errors.TABLE.rows().items():
        answer = errors.encode(Failure(leaf("What and which."), status, "GET", "/v1/datasets/1"))
        assert (answer.status, answer.media_type) == (status, "application/json")
        assert json.loads(answer.body)["detail"]
    assert errors.TABLE.status(tree.Hidden) == 403
    assert errors.TABLE.status(tree.Hidden, anonymous=True) == 401
    assert errors.TABLE.status(tree.EntryNotFound) == 400
    assert errors.TABLE.status(tree.Conflict) == 400


# Long answers


def test_a_record_of_many_files_is_sent_in_pieces(lab: Lab) -> None:
    depot: Depot = lab.site.depot
    staff = lab.site.world.login("admin", ADMIN_PASSWORD)
    pk = lab.writer.dataset(files={"a": b"a"})["pk"]
    adds = [Add(f"{i:05}.txt", source=(pk, 1, "a"), metadata="m" * 50) for i in range(5000)]
    commit(depot, staff, pk, adds)
    got = lab.writer("GET", f"/datasets/{pk}")
    assert "content-length" not in got.headers
    assert len(got.json()["files"]) == 5001
    texts = lab.writer.ok("GET", f"/datasets/{pk}/metadata")
    assert (len(texts), texts["00000.txt"]) == (5001, "m" * 50)
    assert len(lab.writer.listed()[0]["files"]) == 5001
    assert len(lab.writer.ok("PATCH", f"/datasets/{pk}", {"tags": "x"})["files"]) == 5001
    assert len(lab.staff.ok("DELETE", f"/datasets/{pk}/hard")["files"]) == 5001


def test_broken_content_breaks_the_connection(fresh_lab: Lab) -> None:
    """An archive that ends early looks whole to many programs; so the answer must not end at all."""
    lab = fresh_lab
    # Large enough to be an object of its own.
    body = random.Random(1).randbytes(2 << 20)
    pk = lab.writer.dataset(files={"a": b"first", "b": body, "c": b"last"})["pk"]
    for path in Path(lab.site.config.data).rglob("*"):
        if path.is_file() and path.stat().st_size == len(body):
            path.chmod(0o600)
            path.write_bytes(body[:-1] + b"x")
    for filetype in ("zip", "tar.gz"):
        with pytest.raises(tree.Corrupt):
            lab.writer("POST", f"/datasets/{pk}/download", {"filetype": filetype})
    with pytest.raises(tree.Corrupt):
        lab.writer("GET", f"/datasets/{pk}/files/b")
