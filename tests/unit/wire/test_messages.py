"""Requests are strict, answers tolerant, and both are written one way."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import BaseModel, ValidationError

from entrepot.wire import messages
from entrepot.wire.messages.base import Answer, Request, format_instant, parse_instant
from entrepot.wire.messages.entries import NewCommit
from entrepot.wire.messages.licences import Licence
from entrepot.wire.messages.tokens import NewToken
from entrepot.wire.messages.versions import NewVersion, VersionChanges


def _models() -> Iterator[type[BaseModel]]:
    for module in pkgutil.iter_modules(messages.__path__):
        loaded = importlib.import_module(f"{messages.__name__}.{module.name}")
        for _, cls in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(cls, BaseModel) and cls.__module__ == loaded.__name__:
                yield cls


def test_every_message_is_either_a_strict_request_or_a_tolerant_answer() -> None:
    found = list(_models())
    assert len(found) > 60
    for cls in found:
        if issubclass(cls, Request):
            assert (cls.model_config["extra"], cls.model_config["strict"]) == ("forbid", True), cls
        else:
            assert issubclass(cls, Answer), cls
            assert cls.model_config["extra"] == "ignore", cls
        assert cls.model_config["frozen"], cls


def test_no_two_messages_share_a_name() -> None:
    # They are the schema names of the OpenAPI document.
    names = [cls.__name__ for cls in _models()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"name": "a", "tags": "b"},
        {"name": "a", "unknown": 1},
        {"name": "a", "kind": "box"},
        {"name": "a", "expires_at": 1735689600},
        {"name": "a", "expires_at": "2025-01-01"},
        {"name": "a", "expires_at": "2025-01-01T00:00:00"},
        {"name": "a", "slots": [{"file_name": "x", "length": True}]},
        {"name": "a", "slots": [{"file_name": "x", "length": "1"}]},
        {"name": "a", "slots": [{"file_name": "x", "crc32c": "AAAA"}]},
    ],
)
def test_a_request_is_refused_rather_than_guessed_at(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewVersion.model_validate(wrong)


def test_enumerations_and_times_are_read_from_json() -> None:
    read = NewVersion.model_validate({"name": "a", "kind": "table", "expires_at": "2025-01-01T01:00:00.5+01:00"})
    assert read.kind == "table"
    assert read.expires_at == datetime(2025, 1, 1, 0, 0, 0, 500_000, UTC)


def test_a_change_says_only_what_was_given_and_null_clears() -> None:
    change = VersionChanges(alias=None, tags=["a"])
    assert json.loads(change.dump()) == {"alias": None, "tags": ["a"]}
    assert VersionChanges.model_validate(json.loads(change.dump())).given() == {"alias": None, "tags": ["a"]}
    assert "default" not in json.dumps(VersionChanges.model_json_schema())


def test_a_change_of_a_commit_is_told_by_its_op() -> None:
    with pytest.raises(ValidationError, match="op"):
        NewCommit.model_validate({"changes": [{"op": "explode", "path": "a"}]})
    with pytest.raises(ValidationError, match="extra"):
        NewCommit.model_validate({"changes": [{"op": "remove", "path": "a", "metadata": "x"}]})


def test_an_answer_of_a_newer_server_is_read_without_what_is_unknown() -> None:
    licence = {"id": "lic_1", "name": "MIT", "url": "", "standard": True, "era": "new"}
    licence |= {name: [] for name in ("permissions", "conditions", "limitations", "domains")}
    assert Licence.model_validate(licence).name == "MIT"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2025-01-01t00:00:00.120z", "2025-01-01T00:00:00.120000Z"),
        ("2025-01-01 02:00:00+02:00", "2025-01-01T00:00:00Z"),
        ("2025-01-01T00:00:00.123456789Z", "2025-01-01T00:00:00.123456Z"),
    ],
)
def test_times_are_written_in_utc_with_z(text: str, written: str) -> None:
    assert format_instant(parse_instant(text)) == written


def test_a_time_beyond_the_calendar_is_refused_and_not_an_accident() -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        parse_instant(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))))


def test_a_validation_error_of_a_secret_can_be_told_without_it() -> None:
    with pytest.raises(ValidationError) as caught:
        NewToken.model_validate({"scope": "hunter2"})
    assert "hunter2" not in json.dumps(
        caught.value.errors(include_input=False, include_url=False, include_context=False)
    )
