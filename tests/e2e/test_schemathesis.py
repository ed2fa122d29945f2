"""The description of the native API is true: nothing answers 5xx, or anything that the description does not say.

Bounded and derandomised, so that it is the same test every time; `make soak` asks far more.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.site import Client, Site, open_site

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Ways to ask an operation: valid requests about what is there, valid ones about anything, invalid ones.
WAYS = 3
#: What `make soak` does is done in parts, so that several do it at once and what is through counts.
EXAMPLES, PARTS = 100, 16
#: Waits as long as it is told to; its own test waits.
WAITS = ("GET", "/api/v1/tasks/{task}")


@schemathesis.serializer("application/offset+octet-stream", "application/vnd.entrepot.frames")
def as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        # Small limits, so that they are met; no body takes long.
        yield open_site(tmp_path_factory.mktemp("site"), stack, limits__page=3, limits__upload_size=10_000)


class Things:
    """One of everything, fresh: what one operation does to it must not spare the next. Made when it is asked for."""

    def __init__(self, site: Site, number: str) -> None:
        self._staff, self._name = site.admin, f"thing{number}"
        self._made: dict[str, str] = {"path": "folder/a.txt", "number": "1"}

    def __contains__(self, name: str) -> bool:
        return name in self._made or hasattr(self, f"_{name}")

    def __getitem__(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = getattr(self, f"_{name}")()
        return self._made[name]

    def _project(self) -> str:
        return str(self._staff.made("/projects", name=self._name)["id"])

    def _version(self) -> str:
        version = self._staff.version(f"{self._name} a", project=self["project"])
        self._staff.file(version, self["path"])
        return version

    def _dataset(self) -> str:
        return str(self._staff.read(f"/versions/{self['version']}")["dataset"])

    def _collection(self) -> str:
        return str(self._staff.made(f"/projects/{self['project']}/collections", path="a/b")["id"])

    def _relationship(self) -> str:
        other = self._staff.version(f"{self._name} b", project=self["project"])
        return str(self._staff.made("/relationships", source=self["version"], target=other, verb="derived_from")["id"])

    def _upload(self) -> str:
        return str(self._staff.put("/uploads", content=b"bytes").json()["id"])

    def _user(self) -> str:
        return str(self._staff.made("/users", name=self._name, password="correct horse")["name"])

    def _token(self) -> str:
        return str(self._staff.made("/tokens", scope="read", user=self["user"])["id"])

    def _team(self) -> str:
        return str(self._staff.made("/teams", name=self._name)["id"])

    def _node(self) -> str:
        return str(self._staff.made("/nodes", name=self._name)["id"])

    def _licence(self) -> str:
        return str(self._staff.made("/licences", name=self._name)["id"])


def ask(operation: Any, who: Client, mode: GenerationMode, examples: int, **given_values: Any) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, **given_values))
    def run(case: Any) -> None:
        response = case.call(headers=who.headers)
        case.validate_response(response, checks=CHECKS)

    run()


def test_no_operation_answers_what_it_does_not_say(site: Site) -> None:
    # Making requests up takes longer than answering them: half of the operations are asked, each in one way.
    operations = all_operations(site)
    chosen = sorted(random.Random(7).sample(range(len(operations)), len(operations) - len(operations) // 2))
    wrong = [
        one for number in chosen for one in faults(site, operations[number], number, examples=2, ways=[number % WAYS])
    ]
    assert wrong == [], "\n\n".join(wrong)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_nor_does_any_when_it_is_asked_far_more(site: Site, part: int) -> None:
    operations = all_operations(site)
    numbers = range(len(operations))[part::PARTS]
    wrong = [
        one
        for number in numbers
        for one in faults(site, operations[number], number, examples=EXAMPLES, ways=range(WAYS))
    ]
    assert wrong == [], "\n\n".join(wrong)


def all_operations(site: Site) -> list[Any]:
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", site.house.app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 90
    return operations


def faults(site: Site, operation: Any, number: int, *, examples: int, ways: Iterable[int]) -> list[str]:
    """What one operation answered that its description does not say."""
    where = (operation.method.upper(), operation.path)
    known = Things(site, f"{examples}x{number}")
    wanted = {one.name: known[one.name] for one in operation.path_parameters if one.name in known}
    here = {"path_parameters": wanted} if wanted else {}
    asked = [(GenerationMode.POSITIVE, here), (GenerationMode.POSITIVE, {}), (GenerationMode.NEGATIVE, here)]
    wrong: list[str] = []
    for mode, values in [asked[way] for way in ways]:
        if where == WAITS:
            values = {**values, "query": {}}
        try:
            ask(operation, site.by_token("admin"), mode, examples, **values)
        except (Exception, BaseExceptionGroup) as failure:
            if "Unsatisfiable" not in type(failure).__name__:
                wrong.append(f"{' '.join(where)} ({mode.value}): {failure}")
    return wrong
