"""Every path of the host has one owner."""

from __future__ import annotations

from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.server.operations import Operations
from entrepot.server.root import PREFIXES, Root
from tests.support.asgi import call, request, run


class Named:
    """Answers its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_answer(send, Answer(200, self.name.encode()))


def root(*doors: str) -> Root:
    return Root({name: Named(name) for name in doors}, cast(Operations, cast(Any, Named("operations"))))


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/api/v1", "native"),
        ("/api/v1/", "native"),
        ("/api/v1/versions/x/files/a/b", "native"),
        ("/api/v2/datasets", "benchling"),
        ("/api/v2-beta/datasets", "benchling"),
        ("/workspace", "datature"),
        ("/workspace/projects", "datature"),
        ("/projects/a", "datature"),
        ("/flow/api/me", "flow"),
        ("/v1/datasets/list", "ufdl"),
        ("/objects/x.y/z", "objects"),
        ("/ui/", "web"),
        ("/healthz", "operations"),
        ("/metrics", "operations"),
        ("/", "root"),
        ("/api", "none"),
        ("/api/v10", "none"),
        ("/api/v3/x", "none"),
        ("/flow", "none"),
        ("/flow/other", "none"),
        ("/healthz/x", "none"),
        ("/datasets/a", "none"),
        ("/xet/v1", "none"),
        ("/iceberg/v1", "none"),
        ("//api/v1", "none"),
        ("/API/V1", "none"),
        ("", "none"),
    ],
)
def test_a_path_belongs_to(path: str, owner: str) -> None:
    assert root(*set(PREFIXES.values())).door_of(path) == owner


def test_a_closed_door_owns_nothing() -> None:
    assert root("native").door_of("/v1/datasets") == "none"
    answer = run(call(root("native"), request("GET", "/v1/datasets")))
    assert (answer.status, answer["content-type"]) == (404, "application/problem+json")


def test_the_root_leads_to_the_web_door_if_there_is_one() -> None:
    assert run(call(root("web"), request("GET", "/")))["location"] == "/ui/"
    assert b"/api/v1/" in run(call(root("native"), request("GET", "/"))).body
    assert run(call(root("native"), request("DELETE", "/"))).status == 404
