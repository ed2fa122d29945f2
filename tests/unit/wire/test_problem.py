"""Problem documents: every error of the tree goes out and comes back as itself, and nothing breaks the way back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model import errors
from entrepot.model.errors import EntrepotError, all_leaves
from entrepot.wire.problem import STATUS, from_answer, from_problem, headers, status_of, to_problem

EVERY_CLASS = pytest.mark.parametrize("cls", [EntrepotError, *all_leaves()], ids=lambda cls: cls.__name__)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@EVERY_CLASS
def test_every_error_comes_back_as_the_same_class(cls: type[EntrepotError]) -> None:
    error = cls("Upload up_7f3a is at 64, not 32.", details={"offset": 64}, errors=[{"row": 3, "rule": "integer"}])
    wire = json.loads(json.dumps(to_problem(error, request_id="r-1")))
    back = from_problem(wire)
    if cls is errors.Hidden:
        assert type(back) is errors.NotFound
        return
    assert type(back) is cls
    assert back.message == error.message
    assert back.details == {"offset": 64, "request_id": "r-1"}
    assert back.errors == error.errors


@EVERY_CLASS
def test_every_error_comes_back_by_its_status_when_its_code_is_unknown(cls: type[EntrepotError]) -> None:
    """A newer server may have a leaf that this client does not know; the kind still fits."""
    wire = to_problem(cls("no")) | {"code": "leaf_of_the_future"}
    back = from_problem(wire)
    kind = next((k for k in cls.__mro__ if k in EntrepotError.__subclasses__()), EntrepotError)
    if status_of(cls("no")) != 500:
        assert isinstance(back, errors.NotFound if cls is errors.Hidden else kind)


def test_nothing_in_a_document_tells_hidden_from_not_found() -> None:
    secret = errors.Hidden("There is no dataset ds_1.", details={"team": 4}, errors=[{"path": "x"}])
    assert to_problem(secret) == to_problem(errors.NotFound("There is no dataset ds_1."))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid, 422),
        (errors.Malformed, 400),
        (errors.InvalidName, 422),
        (errors.DigestMismatch, 422),
        (errors.LengthMismatch, 422),
        (errors.BadCursor, 422),
        (errors.Unauthenticated, 401),
        (errors.BadCredentials, 401),
        (errors.Expired, 401),
        (errors.Forbidden, 403),
        (errors.BadSignature, 403),
        (errors.Hidden, 404),
        (errors.RateLimited, 429),
        (errors.NotFound, 404),
        (errors.EntryNotFound, 404),
        (errors.Gone, 410),
        (errors.Conflict, 409),
        (errors.StaleRevision, 409),
        (errors.PreconditionFailed, 412),
        (errors.TooLarge, 413),
        (errors.QuotaExceeded, 413),
        (errors.Unsupported, 415),
        (errors.Corrupt, 500),
        (errors.Unavailable, 503),
        (errors.DiskFull, 503),
        (errors.ShuttingDown, 503),
        (EntrepotError, 500),
    ],
)
def test_native_statuses(error: type[EntrepotError], status: int) -> None:
    assert status_of(error("no")) == status


def test_every_kind_has_a_status() -> None:
    assert set(EntrepotError.__subclasses__()) <= set(STATUS)


@pytest.mark.parametrize(
    ("wait", "field"),
    [(3, "3"), (2.1, "3"), (0, "0"), ("3", None), (-1, None), (float("inf"), None), (True, None), (None, None)],
)
def test_the_time_to_wait_becomes_a_header(wait: object, field: str | None) -> None:
    assert headers(errors.RateLimited("slow down", details={"retry_after_s": wait})).get("retry-after") == field


def test_every_401_names_a_scheme() -> None:
    assert headers(errors.BadCredentials("no"))["www-authenticate"].startswith("Bearer")
    assert headers(errors.Forbidden("no")) == {}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"{", b"[" * 100_000])
def test_any_body_of_a_proxy_becomes_an_error_by_its_status(body: bytes) -> None:
    error = from_answer(502, body)
    assert type(error) is errors.Unavailable
    assert "502" in error.message


def test_a_proxy_s_page_is_quoted_in_part() -> None:
    error = from_answer(413, b"<h1>Request   too\nlarge</h1>" + b"x" * 10_000)
    assert error.message.startswith("The server answered 413: <h1>Request too large</h1>xxx")
    assert len(error.message) < 600


def test_the_header_says_how_long_to_wait_unless_the_body_did() -> None:
    assert from_answer(429, b"", retry_after="7").details == {"retry_after_s": 7}
    body = json.dumps(to_problem(errors.RateLimited("slow", details={"retry_after_s": 2.5}))).encode()
    assert from_answer(429, body, retry_after="7").details == {"retry_after_s": 2.5}
    assert from_answer(503, b"", retry_after="Wed, 21 Oct 2026 07:28:00 GMT").details == {}


@given(json_values, st.none() | st.integers(100, 599), st.none() | st.text())
def test_no_document_breaks_the_way_back(document: object, status: int | None, retry_after: str | None) -> None:
    assert isinstance(from_problem(document, status=status, retry_after=retry_after), EntrepotError)


MEMBERS = ["type", "title", "status", "detail", "code", "retryable", "details", "errors", "request_id"]


@given(st.dictionaries(st.sampled_from(MEMBERS), json_values))
def test_members_of_wrong_types_count_as_missing(document: dict[str, object]) -> None:
    error = from_problem(document)
    assert isinstance(error.message, str)
    assert isinstance(error.details, dict)
    assert all(isinstance(row, dict) for row in error.errors)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_body_breaks_the_way_back(body: bytes, status: int) -> None:
    assert isinstance(from_answer(status, body), EntrepotError)
