"""How every test run is set up: hypothesis profiles, no skips where none are allowed, a clean surrounding."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support import authorities, sampling
from tests.support.postgres import PostgresServer, PostgresUnavailable

pytest_plugins = ["tests.support.require", "tests.support.catalogs", "tests.support.identity"]

# Time limits per example are off everywhere: a shared machine stalls now and then, and no test asserts on time.
_common = {"deadline": None, "print_blob": True}
hypothesis.settings.register_profile("default", max_examples=25, stateful_step_count=25, **_common)
hypothesis.settings.register_profile("ci", max_examples=30, stateful_step_count=30, derandomize=True, **_common)
hypothesis.settings.register_profile("soak", max_examples=3000, stateful_step_count=120, **_common)
hypothesis.settings.load_profile(os.environ.get("ENTREPOT_TEST_PROFILE", "default"))

authorities.share()

# An exception that is logged by a test's own process would be drawn in a frame, with the value of every variable: that
# takes seconds where a variable is large.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

_LOG = structlog.get_config()

_numbers = itertools.count(1)


#: Folders in the order of how long their files take: small ones fill up the end, when not every process has work left.
_LONGEST_FIRST = ("web", "conformance", "faults", "e2e", "stateful", "contract", "dialects", "compat", "rules", "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before it is looked who is marked how."""
    sampling.leave_for_soak(items)

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else 0

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import are there to stay: the collector need not look at them again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    # Libraries in C++ complain at the end of things that nobody collected.
    gc.unfreeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Content is no name: archives hold the time at which they were packed, and two processes must name tests alike."""
    return f"{argname}{len(val)}" if isinstance(val, bytes) and len(val) > 16 else None


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's credentials, caches or running daemon are seen or touched by a test."""
    for name in os.environ:
        if name.startswith("ENTREPOT_") and not name.startswith("ENTREPOT_TEST_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / f"home{next(_numbers)}"
    for variable in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(home / variable.lower()))
    # The folder is not made here: most tests need none, and whoever writes to it makes it.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process; skips where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: make setup")
    try:
        server = PostgresServer()
    except PostgresUnavailable as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy address of an empty database of this test alone."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture(autouse=True)
def _the_same_log() -> Iterator[None]:
    """What a command that ran in this process made of the log is not for the next test."""
    yield
    structlog.configure(**_LOG)
