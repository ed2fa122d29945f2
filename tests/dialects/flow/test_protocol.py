"""What every answer of the Flow door has in common: a status for every error, an object, and never a 500."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.dialects.flow.app import ROUTES
from entrepot.dialects.flow.errors import TABLE, encode
from entrepot.http.errors import Failure
from entrepot.model import errors
from entrepot.model.errors import EntrepotError, all_leaves
from tests.support.flow import Lab

QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(max_size=20)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def test_every_error_has_a_status_and_an_object() -> None:
    assert TABLE.uncovered() == []
    for leaf in all_leaves():
        failure = Failure(leaf("What is wrong."), TABLE.status(leaf), "POST", "/flow/api/upload", "request")
        assert json.loads(encode(failure).body) == {"error": "What is wrong."}
        assert encode(Failure(leaf("x"), TABLE.status(leaf), "GET", "/flow/api/downloads/1/x")).body == b""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid, 400),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.Hidden, 404),
        (errors.NotFound, 404),
        (errors.Gone, 404),
        (errors.Conflict, 400),
        (errors.InProgress, 503),
        (errors.TooLarge, 413),
        (errors.Unsupported, 400),
        (errors.RateLimited, 429),
        (errors.Corrupt, 500),
        (errors.Unavailable, 503),
    ],
)
def test_the_statuses(error: type[EntrepotError], status: int) -> None:
    assert TABLE.status(error) == status


@QUIET
@given(
    fields=st.dictionaries(
        st.sampled_from(["filename", "expected_file_size", "is_last", "data", "data_type", "previous_data", "project"])
        | TEXT.filter(lambda name: name.isalnum()),
        TEXT,
        max_size=8,
    ),
    where=st.sampled_from(["/upload", "/upload/sample", "/upload/annotation", "/upload/multiplexed"]),
    blob=st.binary(max_size=50),
)
def test_no_form_is_a_fault(lab: Lab, fields: dict[str, str], where: str, blob: bytes) -> None:
    answer = lab.writer("POST", where, data=fields, files={"blob": ("x", blob, "application/octet-stream")})
    assert answer.status_code < 500, answer.text
    assert isinstance(answer.json(), dict)


@QUIET
@given(body=st.binary(max_size=200), boundary=st.sampled_from(["x", "", "a b"]))
def test_no_body_is_a_fault(lab: Lab, body: bytes, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = lab.writer("POST", "/upload", content=b"--x\r\n" + body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


@QUIET
@given(where=st.sampled_from(["/login", "/v2/sample-imports"]), value=VALUE | st.dictionaries(TEXT, VALUE, max_size=4))
def test_no_json_is_a_fault(lab: Lab, where: str, value: object) -> None:
    answer = lab.writer("POST", where, content=json.dumps(value), headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


@QUIET
@given(
    path=st.sampled_from([path for path, calls in ROUTES.items() if "GET" in calls]),
    name=st.text(st.characters(exclude_characters="/?#%", exclude_categories=("Cs", "Cc")), min_size=1, max_size=10),
    query=st.dictionaries(
        st.sampled_from(["page", "count", "sort", "filename", "pattern", "category", "owner", "size_gt", "position"]),
        TEXT,
        max_size=4,
    ),
)
def test_no_question_is_a_fault(lab: Lab, path: str, name: str, query: dict[str, str]) -> None:
    filled = path.replace("{id}", name).replace("{filename…}", name).replace("{identifier}", name)
    answer = lab.reader("GET", f"/{filled.replace('{type}', name)}", params=query)
    assert answer.status_code < 500, f"{path} {answer.text}"
