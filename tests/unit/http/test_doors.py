"""Doors: every failure is answered once, in the door's own shape, and says nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.http.body import ClientGone
from entrepot.http.doors import ErrorBoundary, door, send_answer
from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.model import errors
from entrepot.model.errors import EntrepotError, all_leaves
from tests.support.asgi import Recorded, call, request, run, sends

TABLE = ErrorTable(
    {kind: 400 + at for at, kind in enumerate(EntrepotError.__subclasses__())} | {errors.Unavailable: 503},
    {errors.NameTaken: 499, errors.Corrupt: 500},
    anonymous={errors.Hidden: 401},
)


def encode(failure: Failure) -> Answer:
    body = {"code": failure.error.code, "message": failure.error.message, "id": failure.request_id}
    return Answer(failure.status, json.dumps(body).encode(), "application/json", {"X-Door": "mine"})


def door_that(raises: Exception | None = None, *, encode: Callable[[Failure], Answer] = encode) -> ASGIApp:
    async def endpoint(request: Request) -> Response:
        if raises is not None:
            raise raises
        return JSONResponse({"fine": True})

    routes = [Route("/things/{n}", endpoint, methods=["GET", "PUT"]), Mount("/sub", routes=[Route("/x", endpoint)])]
    return door("mine", routes, table=TABLE, encode=encode)


def ask(app: ASGIApp, method: str = "GET", path: str = "/things/1", **fields: str) -> tuple[Recorded, Any]:
    scope = request(method, path, **fields)
    scope["state"]["request_id"] = "r-12345678"
    answer = run(call(app, scope))
    return answer, json.loads(answer.body)


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_what_works_passes_through() -> None:
    answer, body = ask(door_that())
    assert (answer.status, body) == (200, {"fine": True})


@pytest.mark.parametrize("cls", all_leaves(), ids=lambda cls: cls.__name__)
def test_every_leaf_is_answered_by_the_table_in_the_door_s_shape(cls: type[EntrepotError]) -> None:
    answer, body = ask(door_that(cls("Thing 1 is not fine. Mend it.")), authorization="Bearer x")
    assert answer.status == TABLE.status(cls)
    assert body == {"code": cls.code, "message": "Thing 1 is not fine. Mend it.", "id": "r-12345678"}
    assert answer["content-type"] == "application/json"
    assert answer["content-length"] == str(len(answer.body))
    assert answer["x-door"] == "mine"


def test_strangers_may_be_told_something_else() -> None:
    assert ask(door_that(errors.Hidden("x")))[0].status == 401
    assert ask(door_that(errors.Hidden("x")), authorization="Bearer x")[0].status == TABLE.status(errors.Hidden)


def test_fields_that_belong_to_an_error_are_added() -> None:
    answer, _ = ask(door_that(errors.RateLimited("slow", details={"retry_after_s": 3})))
    assert answer["retry-after"] == "3"
    answer, _ = ask(door_that(errors.BadCredentials("no")))
    assert answer["www-authenticate"] == 'Bearer realm="entrepot"'


@pytest.mark.parametrize("path", ["/", "/nothing", "/things", "/things/1/", "/sub/", "/sub/nothing"])
def test_unknown_routes_are_answered_in_the_door_s_shape_and_never_redirected(path: str) -> None:
    answer, body = ask(door_that(), path=path)
    assert (answer.status, body["code"]) == (404, "not_found")
    assert path in body["message"]


def test_a_path_that_is_no_route_is_not_repeated_if_it_may_be_a_link() -> None:
    _, body = ask(door_that(), path="/objects/secret-part/name.csv")
    assert "secret-part" not in body["message"]


@pytest.mark.parametrize("path", ["/things/1", "/sub/x"])
def test_a_wrong_method_says_the_right_ones(path: str) -> None:
    answer, body = ask(door_that(), "DELETE", path)
    assert (answer.status, body["code"]) == (405, "unsupported")
    assert "GET" in answer["allow"]


def test_exceptions_of_the_framework_keep_their_status() -> None:
    answer, body = ask(door_that(HTTPException(413, "too much", headers={"X-A": "b"})))
    assert (answer.status, body["code"], body["message"], answer["x-a"]) == (413, "too_large", "too much", "b")


def test_a_fault_of_ours_is_logged_and_says_nothing_of_the_inside(lines: list[Any]) -> None:
    answer, body = ask(door_that(ValueError("password=hunter2 in /srv/data")))
    assert answer.status == 500
    assert body["code"] == "error"
    assert "r-12345678" in body["message"]
    assert b"hunter2" not in answer.body
    assert b"/srv" not in answer.body
    (line,) = lines
    assert (line["event"], line["log_level"], line["door"], line["path"]) == ("fault", "error", "mine", "/things/1")
    assert isinstance(line["exc_info"], ValueError)


@pytest.mark.parametrize(
    ("error", "level", "traceback"),
    [
        (errors.Corrupt("object 7 is damaged"), "error", True),
        (errors.DiskFull("no room"), "warning", False),
        (errors.NotFound("x"), None, False),
        (errors.BadCredentials("x"), None, False),
    ],
)
def test_only_what_the_operator_must_know_is_logged(
    error, level: str | None, traceback: bool, lines: list[Any]
) -> None:
    ask(door_that(error))
    assert [line["log_level"] for line in lines] == ([level] if level else [])
    assert any("exc_info" in line for line in lines) is traceback


def test_a_door_that_cannot_write_its_error_still_answers(lines: list[Any]) -> None:
    def fails(failure: Failure) -> Answer:
        raise KeyError("x")

    scope = request(path="/things/1")
    answer = run(call(door_that(errors.NotFound("x"), encode=fails), scope))
    assert (answer.status, answer.body, answer.complete) == (500, b"", True)
    assert lines[0]["log_level"] == "error"


def boundary(app: Any) -> ErrorBoundary:
    return ErrorBoundary(app, name="mine", table=TABLE, encode=encode)


@pytest.mark.parametrize("error", [errors.Corrupt("block 7"), OSError("disk"), errors.NotFound("member")])
def test_after_the_first_byte_the_answer_breaks(error: Exception, lines: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise error

    recorded = Recorded()
    with pytest.raises(type(error)):
        run(boundary(app)(request(), sends(), recorded.send))
    assert (recorded.status, recorded.body, recorded.complete) == (200, b"abc", False)
    assert len(lines) == 1


def test_what_is_raised_after_a_complete_answer_is_logged_only(lines: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(send, Answer(200, b"fine"))
        raise OSError("while cleaning up")

    answer = run(call(boundary(app), request()))
    assert (answer.status, answer.complete) == (200, True)
    assert lines[0]["event"] == "fault"


def test_a_client_that_left_is_nobody_to_answer(lines: list[Any]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientGone(3)

    recorded = Recorded()
    with pytest.raises(ClientGone):
        run(boundary(app)(request(), sends(), recorded.send))
    assert recorded.status == 0
    assert lines == []


@pytest.mark.parametrize(("status", "length"), [(200, "0"), (204, None), (304, None)])
def test_answers_without_content_have_no_length_where_there_can_be_none(status: int, length: str | None) -> None:
    recorded = Recorded()
    run(send_answer(recorded.send, Answer(status)))
    assert recorded.get("content-length") == length


def test_lifespan_passes_through() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    run(boundary(app)({"type": "lifespan"}, sends(), Recorded().send))
    assert seen == ["lifespan"]
