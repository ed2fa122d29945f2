"""The log as text: one line an event, whatever is in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from entrepot.server import logs


@pytest.fixture(autouse=True)
def around() -> Iterator[None]:
    root = logging.getLogger()
    before, level, configured = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.configure(**configured)


def test_an_event_is_a_line_of_time_level_name_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    log = structlog.get_logger("x")
    log.debug("not this one")
    log.info("request", method="GET", seconds=0.5, client=None)
    logging.getLogger("library").warning("careful")
    first, second = capsys.readouterr().err.splitlines()
    assert first[27:] == " [info     ] request                        method=GET seconds=0.5 client=None"
    assert second.endswith(" [warning  ] careful")


def test_a_text_from_outside_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    structlog.get_logger("x").info("request", path="/a\n2026 [error] forged", name="two words")
    (line,) = capsys.readouterr().err.splitlines()
    assert r"path='/a\n2026 [error] forged' name='two words'" in line


def test_an_exception_follows_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    try:
        raise ValueError("wrong")
    except ValueError as error:
        structlog.get_logger("x").error("fault", exc_info=error, door="none")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("fault                          door=none")
    assert (rest[0], rest[-1]) == ("Traceback (most recent call last):", "ValueError: wrong")
