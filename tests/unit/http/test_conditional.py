"""Conditional requests: the rows of RFC 9110 §13, and the order in which conditions count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.http.conditional import (
    Outcome,
    evaluate,
    http_date,
    parse_http_date,
    quoted_etag,
    range_applies,
    require,
    sha256_etag,
)
from entrepot.model.errors import Malformed, PreconditionFailed
from tests.support.asgi import request

TAG = '"xyzzy"'
MODIFIED = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)
SAME = "Sun, 01 Mar 2026 12:00:00 GMT"
BEFORE = "Sun, 01 Mar 2026 11:59:59 GMT"
AFTER = "Sun, 01 Mar 2026 12:00:01 GMT"

GO, UNCHANGED, STOP = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED


def outcome(method: str = "GET", *, exists: bool = True, **conditions: str) -> Outcome:
    return evaluate(
        request(method, **conditions),
        etag=TAG if exists else None,
        last_modified=MODIFIED if exists else None,
        exists=exists,
    )


@pytest.mark.parametrize(
    ("condition", "reading", "writing"),
    [
        ({}, GO, GO),
        ({"if_match": TAG}, GO, GO),
        ({"if_match": f'"a", {TAG}, "b"'}, GO, GO),
        ({"if_match": '"a,b", "c d", ,' + TAG}, STOP, STOP),  # a space ends what can be read
        ({"if_match": '"a,b",,\t' + TAG}, GO, GO),
        ({"if_match": "*"}, GO, GO),
        ({"if_match": '"other"'}, STOP, STOP),
        ({"if_match": f"W/{TAG}"}, STOP, STOP),  # strong comparison
        ({"if_match": "xyzzy"}, STOP, STOP),
        ({"if_match": ""}, STOP, STOP),
        ({"if_none_match": TAG}, UNCHANGED, STOP),
        ({"if_none_match": f"W/{TAG}"}, UNCHANGED, STOP),  # weak comparison
        ({"if_none_match": f'"a", {TAG}'}, UNCHANGED, STOP),
        ({"if_none_match": "*"}, UNCHANGED, STOP),
        ({"if_none_match": '"other"'}, GO, GO),
        ({"if_none_match": "xyzzy"}, GO, GO),
        ({"if_none_match": ""}, GO, GO),
        ({"if_modified_since": SAME}, UNCHANGED, GO),
        ({"if_modified_since": AFTER}, UNCHANGED, GO),
        ({"if_modified_since": BEFORE}, GO, GO),
        ({"if_modified_since": "yesterday"}, GO, GO),
        ({"if_unmodified_since": SAME}, GO, GO),
        ({"if_unmodified_since": AFTER}, GO, GO),
        ({"if_unmodified_since": BEFORE}, STOP, STOP),
        ({"if_unmodified_since": "yesterday"}, GO, GO),
    ],
)
def test_each_condition_alone(condition: dict[str, str], reading: Outcome, writing: Outcome) -> None:
    for method in ("GET", "HEAD"):
        assert outcome(method, **condition) is reading
    for method in ("PUT", "PATCH", "DELETE"):
        assert outcome(method, **condition) is writing


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        # §13.2.2: If-Match goes before If-Unmodified-Since, If-None-Match before If-Modified-Since.
        ({"if_match": TAG, "if_unmodified_since": BEFORE}, GO),
        ({"if_match": '"other"', "if_unmodified_since": AFTER}, STOP),
        ({"if_none_match": '"other"', "if_modified_since": AFTER}, GO),
        ({"if_none_match": TAG, "if_modified_since": BEFORE}, UNCHANGED),
        # The first pair goes before the second.
        ({"if_match": '"other"', "if_none_match": TAG}, STOP),
        ({"if_match": TAG, "if_none_match": TAG}, UNCHANGED),
        ({"if_unmodified_since": BEFORE, "if_none_match": TAG}, STOP),
        ({"if_unmodified_since": AFTER, "if_modified_since": AFTER}, UNCHANGED),
        ({"if_match": TAG, "if_modified_since": AFTER}, UNCHANGED),
        # A date that is none does not count, a condition that is there does.
        ({"if_none_match": "nonsense", "if_modified_since": AFTER}, GO),
    ],
)
def test_the_order_of_conditions(conditions: dict[str, str], expected: Outcome) -> None:
    assert outcome(**conditions) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [({"if_match": "*"}, STOP), ({"if_match": TAG}, STOP), ({"if_none_match": "*"}, GO), ({"if_none_match": TAG}, GO)],
)
def test_conditions_on_what_is_not_there(condition: dict[str, str], expected: Outcome) -> None:
    assert outcome("PUT", exists=False, **condition) is expected


def test_dates_do_not_count_for_what_has_none() -> None:
    scope = request("GET", if_modified_since=AFTER, if_unmodified_since=BEFORE)
    assert evaluate(scope, etag=TAG, last_modified=None) is GO


def test_several_lines_of_one_condition_are_one_list() -> None:
    scope = request("GET")
    scope["headers"] = [(b"if-none-match", b'"a"'), (b"if-none-match", TAG.encode())]
    assert evaluate(scope, etag=TAG) is UNCHANGED


def test_a_change_under_a_false_condition_is_refused_and_told_the_present_tag() -> None:
    with pytest.raises(PreconditionFailed, match="xyzzy") as caught:
        require(request("PUT", if_match='"old"'), etag=TAG)
    assert caught.value.details == {"etag": TAG}
    with pytest.raises(PreconditionFailed, match="nothing here yet"):
        require(request("PUT", if_match="*"), etag=None, exists=False)
    require(request("PUT", if_match=TAG), etag=TAG)


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        (None, True),
        (TAG, True),
        (f" {TAG} ", True),
        (f"W/{TAG}", False),
        ('"other"', False),
        (f"{TAG}, {TAG}", False),
        ("xyzzy", False),
        (SAME, True),
        (AFTER, False),
        (BEFORE, False),
        ("", False),
    ],
)
def test_a_range_counts_only_for_the_content_it_was_asked_of(condition: str | None, applies: bool) -> None:
    scope = request("GET", **({} if condition is None else {"if_range": condition}))
    assert range_applies(scope, etag=TAG, last_modified=MODIFIED) is applies


def test_a_range_never_counts_by_a_tag_or_date_that_is_not_known() -> None:
    assert not range_applies(request("GET", if_range=TAG), etag=None)
    assert not range_applies(request("GET", if_range=SAME), etag=None)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "  Sun, 06 Nov 1994 08:49:37 GMT ",
    ],
)
def test_the_three_forms_of_a_date(text: str) -> None:
    assert parse_http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Abc 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n, x",
    ],
)
def test_anything_else_is_no_date(text: str | None) -> None:
    assert parse_http_date(text) is None


def test_a_leap_second_and_the_pivot_of_short_years() -> None:
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_http_date("Sunday, 01-Mar-26 12:00:00 GMT") == datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.integers(0, 253_402_000_000))
def test_a_date_that_is_written_is_read_back(seconds: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert parse_http_date(http_date(instant.astimezone(timezone(timedelta(hours=5, minutes=30))))) == instant


@given(st.text(), st.sampled_from(["if_match", "if_none_match", "if_range", "if_modified_since"]))
def test_no_condition_breaks_the_parser(text: str, name: str) -> None:
    scope = request("GET")
    scope["headers"] = [(name.replace("_", "-").encode(), text.encode())]
    evaluate(scope, etag=TAG, last_modified=MODIFIED)
    range_applies(scope, etag=TAG, last_modified=MODIFIED)


def test_entity_tags_are_quoted_visible_ascii() -> None:
    assert sha256_etag(bytes(32)) == f'"sha256-{"00" * 32}"'
    assert quoted_etag("3.17") == '"3.17"'
    for wrong in ('a"b', "a b", "é", "a\n"):
        with pytest.raises(Malformed):
            quoted_etag(wrong)
