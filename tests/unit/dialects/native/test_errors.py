"""Every error of the tree has a status at this door, and validation errors never repeat what was sent."""

from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from entrepot.dialects.native.errors import STATUSES, TABLE, encode, from_validation
from entrepot.http.errors import Failure
from entrepot.model import errors
from entrepot.model.errors import EntrepotError, all_leaves
from entrepot.wire.messages.versions import NewVersion
from entrepot.wire.problem import from_answer


@pytest.mark.parametrize("leaf", all_leaves(), ids=lambda leaf: leaf.__name__)
def test_an_error_arrives_at_the_client_as_the_class_that_was_raised(leaf: type[EntrepotError]) -> None:
    raised = leaf("What, which one, what to do.", details={"offset": 3}, errors=[{"row": 1}])
    answer = encode(Failure(raised, TABLE.status(raised), "GET", "/"))
    assert answer.status in STATUSES
    found = from_answer(answer.status, answer.body)
    if leaf is errors.Hidden:
        assert type(found) is errors.NotFound, "hidden must look like missing"
        assert not found.details
    else:
        assert type(found) is leaf
        assert (found.message, found.details["offset"], found.errors) == (raised.message, 3, [{"row": 1}])


def test_texts_that_no_utf8_can_hold_do_not_break_the_answer() -> None:
    raised = errors.Invalid("half \ud800", details={"a": object()})
    assert json.loads(encode(Failure(raised, 422, "GET", "/")).body)["code"] == "invalid"


def refused(body: object) -> RequestValidationError:
    try:
        NewVersion.model_validate(body)
    except ValidationError as wrong:
        return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong.errors()])
    raise AssertionError("accepted")


def test_every_fault_says_where_it_is() -> None:
    body = {"name": 1, "slots": [{"file_name": "a"}, {"file_name": "b", "length": -1}], "hunter2": "hunter2"}
    told = from_validation(refused(body))
    assert [one["at"] for one in told.errors] == ["body.name", "body.slots[1].length", "body.hunter2"]
    assert "hunter2" not in json.dumps([one["detail"] for one in told.errors])
    assert told.message.endswith("(2 more, see errors)")


def test_thousands_of_faults_are_counted_and_not_told() -> None:
    told = from_validation(refused({"name": "a", "tags": [1] * 5000}))
    assert len(told.errors) == 100
    assert "4999 more" in told.message


def test_no_fault_at_all_is_still_an_error() -> None:
    assert isinstance(from_validation(RequestValidationError([])), errors.Malformed)
