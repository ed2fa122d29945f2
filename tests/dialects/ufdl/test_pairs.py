"""Is this exact request answered exactly so? The recorded pairs, on both kinds of catalogue."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from entrepot.dialects.ufdl import app
from tests.support.postgres import PostgresServer
from tests.support.ufdl import Lab, open_lab
from tests.support.ufdl_pairs import Story, read

FILES = sorted((Path(__file__).parent / "pairs").glob("*.http"))
#: With this set, the answers that come now are written into the files instead of being compared.
RECORD = "ENTREPOT_TEST_RECORD"

#: Refuses nobody and nothing.
ALWAYS_THERE = {("", "GET")}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def pairs_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    postgres = None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")

        def postgres() -> PostgresServer:
            return server

    with ExitStack() as stack:
        yield open_lab(tmp_path_factory.mktemp("pairs"), stack, postgres=postgres)


CASES = [(file, "licences") for file in FILES] + [(file, "licenses") for file in FILES if file.stem == "licences"]


@pytest.mark.parametrize(("file", "spelling"), CASES, ids=lambda one: one.stem if isinstance(one, Path) else one)
def test_every_request_is_answered_as_it_was(pairs_lab: Lab, file: Path, spelling: str) -> None:
    story = Story(pairs_lab, spelling=None if spelling == "licences" else ("/v1/licences", "/v1/licenses"))
    pairs = read(file)
    texts = []
    for pair in pairs:
        answer = story.ask(pair)
        texts.append(pair.text(answer))
        if not os.environ.get(RECORD):
            assert answer.rstrip("\n") == pair.answer.rstrip("\n"), f"{file.name}: {pair.title}"
    if os.environ.get(RECORD) and spelling == "licences":
        file.write_text("\n".join(texts), encoding="utf-8")


def test_every_route_has_a_success_and_a_refusal() -> None:
    seen: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for file in FILES:
        for pair in read(file):
            path, _, _ = pair.target.partition("?")
            for target in {path, path.replace("/v1/licences", "/v1/licenses")}:
                for (pattern, calls), route in zip(app._TABLE._table, app.ROUTES, strict=True):
                    if pattern.fullmatch(target.replace("{{", "").replace("}}", "")) and pair.method in calls:
                        seen[route, pair.method].add(pair.status < 400)
                        break
    routes = {(route, method) for route, calls in app.ROUTES.items() for method in calls}
    assert {one for one in routes if True not in seen[one]} == set(), "no success is recorded"
    assert {one for one in routes if False not in seen[one]} == ALWAYS_THERE, "no refusal is recorded"
