"""The description of the native API is true: nothing answers 5xx, or anything that the description does not say.

Bounded and derandomised, so that it is the same test every time; `make soak` asks far more.
"""

from __future__ import annotations

from collections.abc import Iterator
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
#: Waits as long as it is told to; its own test waits.
WAITS = ("GET", "/api/v1/tasks/{task}")


@schemathesis.serializer("application/offset+octet-stream")
def as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        # Small limits, so that they are met; no body takes long.
        yield open_site(tmp_path_factory.mktemp("site"), stack, limits__page=3, limits__upload_size=10_000)


def things(site: Site, number: int) -> dict[str, str]:
    """One of everything, fresh: what one operation does to it must not spare the next."""
    staff, name = site.admin, f"thing{number}"
    team, node = staff.made("/teams", name=name), staff.made("/nodes", name=name)
    licence = staff.made("/licences", name=name)
    user = staff.made("/users", name=name, password="correct horse")
    token = staff.made("/tokens", scope="read", user=name)
    project = staff.made("/projects", name=name)["id"]
    version, other = (staff.version(f"{name} {one}", project=project) for one in ("a", "b"))
    staff.file(version, "folder/a.txt")
    edge = staff.made("/relationships", source=version, target=other, verb="derived_from")
    upload = staff.put("/uploads", content=b"bytes").json()["id"]
    return {
        "version": version,
        "dataset": staff.read(f"/versions/{version}")["dataset"],
        "project": project,
        "collection": staff.made(f"/projects/{project}/collections", path="a/b")["id"],
        "team": team["id"],
        "node": node["id"],
        "licence": licence["id"],
        "user": user["name"],
        "token": token["id"],
        "relationship": edge["id"],
        "upload": upload,
        "path": "folder/a.txt",
        "number": "1",
    }


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


@pytest.mark.parametrize("examples", [2, pytest.param(400, marks=pytest.mark.soak)])
def test_no_operation_answers_what_it_does_not_say(site: Site, examples: int) -> None:
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", site.house.app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 90
    wrong: list[str] = []
    for number, operation in enumerate(operations):
        where = (operation.method.upper(), operation.path)
        known = things(site, number)
        wanted = {one.name: known[one.name] for one in operation.path_parameters if one.name in known}
        who = site.by_token("admin")
        for mode, values in (
            (GenerationMode.POSITIVE, {"path_parameters": wanted} if wanted else {}),
            (GenerationMode.POSITIVE, {}),
            (GenerationMode.NEGATIVE, {"path_parameters": wanted} if wanted else {}),
        ):
            if where == WAITS:
                values = {**values, "query": {}}
            try:
                ask(operation, who, mode, examples, **values)
            except (Exception, BaseExceptionGroup) as failure:
                if "Unsatisfiable" not in type(failure).__name__:
                    wrong.append(f"{' '.join(where)} ({mode.value}): {failure}")
    assert wrong == [], "\n\n".join(wrong)
