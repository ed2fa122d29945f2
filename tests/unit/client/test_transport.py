"""What is tried again and what is not, and what a person reads when it did not work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
import stamina

from entrepot.client.client import Client
from entrepot.client.download import Wanted
from entrepot.client.pins import Pin
from entrepot.client.reader import read_range
from entrepot.client.transport import Transport, entry_segments, segment
from entrepot.model import errors
from entrepot.model.errors import (
    Conflict,
    Corrupt,
    DigestMismatch,
    InProgress,
    Invalid,
    NotFound,
    RateLimited,
    StaleRevision,
    Unavailable,
    Unsupported,
)
from entrepot.wire.messages.projects import NewProject, Project, ProjectPage
from entrepot.wire.messages.server import Server
from entrepot.wire.problem import status_of, to_problem

URL = "http://127.0.0.1:8080"
PROJECT = {
    "id": "proj_1",
    "name": "Lab",
    "slug": "lab",
    "description": "",
    "team": "t",
    "personal": False,
    "role": "admin",
    "default_licence": "Proprietary",
    "allocation": None,
    "default_expiry_s": None,
    "retention_s": None,
    "settings": {},
    "created_at": "2026-03-01T12:00:00Z",
    "updated_at": "2026-03-01T12:00:00Z",
    "trash": None,
    "added_by_a_newer_server": True,
}


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


class Server_:
    """Answers in order; the last one again and again. Keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else answer(request)


def transport(server: Server_, token: str | None = "token") -> Transport:
    return Transport(URL, token, transport=httpx2.MockTransport(server))


def problem(error: errors.EntrepotError, **headers: str) -> httpx2.Response:
    return httpx2.Response(status_of(error), json=to_problem(error), headers=headers)


def good() -> httpx2.Response:
    return httpx2.Response(200, json=PROJECT)


def test_a_token_goes_with_every_call() -> None:
    server = Server_(good())
    transport(server).get("/projects/lab", Project)
    assert server.asked[0].headers["Authorization"] == "Bearer token"
    assert server.asked[0].url == f"{URL}/api/v1/projects/lab"


def test_what_was_not_given_is_not_asked() -> None:
    server = Server_(httpx2.Response(200, json={"rows": [], "next": None}))
    list(transport(server).rows("/projects", ProjectPage, {"name": None, "writable": True, "tag": ["a", "b"]}))
    assert str(server.asked[0].url.query, "ascii") == "writable=true&tag=a&tag=b"


def test_pages_follow_their_cursors() -> None:
    server = Server_(
        httpx2.Response(200, json={"rows": [PROJECT], "next": "c1"}),
        httpx2.Response(200, json={"rows": [PROJECT, PROJECT], "next": None}),
    )
    assert len(list(transport(server).rows("/projects", ProjectPage))) == 3
    assert "cursor=c1" in str(server.asked[1].url)


def test_a_call_that_its_server_is_at_is_waited_for_longer_than_one_that_fails() -> None:
    """Who died over it is given up there after a minute, which is longer than a call has."""
    at_it = problem(InProgress("The first request …", details={"retry_after_s": 1}))
    server = Server_(at_it, at_it, good())
    made = transport(server).post("/projects", Project, NewProject(name="Lab"), patience_s=1e-9)
    assert made.slug == "lab"
    assert len({request.headers["Idempotency-Key"] for request in server.asked}) == 1

    for failing in (problem(Unavailable("no")), httpx2.ReadError("reset")):
        with pytest.raises(Unavailable):
            transport(Server_(failing, good())).post("/projects", Project, NewProject(name="Lab"), patience_s=1e-9)
    with pytest.raises(InProgress):
        transport(Server_(at_it, good())).post(
            "/projects", Project, NewProject(name="Lab"), keyed=False, patience_s=1e-9
        )


@pytest.mark.parametrize(
    "broken", [httpx2.ReadError("reset"), httpx2.RemoteProtocolError("gone"), httpx2.ReadTimeout("t")]
)
def test_a_call_that_may_be_made_twice_is(broken: Exception) -> None:
    server = Server_(broken, good())
    assert transport(server).get("/projects/lab", Project).slug == "lab"


def test_making_something_is_repeated_under_one_key() -> None:
    server = Server_(httpx2.ReadError("reset"), good())
    transport(server).post("/projects", Project, NewProject(name="Lab"))
    keys = [request.headers["Idempotency-Key"] for request in server.asked]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    transport(server).post("/projects", Project, NewProject(name="Lab"))
    assert server.asked[-1].headers["Idempotency-Key"] != keys[0]


def test_a_call_without_a_key_is_not_repeated_when_its_answer_is_lost() -> None:
    server = Server_(httpx2.ReadError("reset"), good())
    with pytest.raises(Unavailable):
        transport(server).post("/login", Project, NewProject(name="Lab"), keyed=False)
    assert len(server.asked) == 1


def test_what_was_never_sent_is_repeated_whatever_it_is() -> None:
    server = Server_(httpx2.ConnectError("refused"), good())
    transport(server).post("/login", Project, NewProject(name="Lab"), keyed=False)
    assert len(server.asked) == 2


@pytest.mark.parametrize("error", [RateLimited("slow down"), Unavailable("busy"), Conflict("in flight")])
def test_a_server_that_says_when_is_asked_again(error: errors.EntrepotError) -> None:
    server = Server_(problem(error, **{"Retry-After": "0"}), good())
    transport(server).patch("/projects/lab", Project, NewProject(name="x"))
    assert len(server.asked) == 2


def test_nobody_waits_for_minutes() -> None:
    server = Server_(problem(RateLimited("wait"), **{"Retry-After": "300"}), good())
    with pytest.raises(RateLimited) as caught:
        transport(server).get("/projects/lab", Project)
    assert caught.value.details["retry_after_s"] == 300
    assert len(server.asked) == 1


@pytest.mark.parametrize("leaf", errors.all_leaves(), ids=lambda leaf: leaf.code)
def test_every_error_comes_back_as_the_class_it_was_raised_as(leaf: type[errors.EntrepotError]) -> None:
    sent = leaf("What, which one, what to do.", details={"offset": 7}, errors=[{"row": 1}])
    server = Server_(problem(sent))
    with pytest.raises(errors.EntrepotError) as caught:
        transport(server).send("POST", "/x")
    if leaf is errors.Hidden:
        assert type(caught.value) is NotFound
        return
    assert type(caught.value) is leaf
    assert caught.value.message == sent.message
    assert caught.value.details["offset"] == 7
    assert caught.value.errors == [{"row": 1}]


def test_an_error_that_is_final_is_not_asked_for_again() -> None:
    server = Server_(problem(StaleRevision("stale")), good())
    with pytest.raises(StaleRevision):
        transport(server).post("/versions/x/commits", Project)
    assert len(server.asked) == 1


def test_a_server_that_cannot_be_reached_is_named_with_what_to_do() -> None:
    with pytest.raises(Unavailable, match=r"Cannot reach http://127.0.0.1:8080: .*Check the address"):
        transport(Server_(httpx2.ConnectError("refused"))).get("/", Server)


def test_a_proxy_page_is_an_error_of_the_tree() -> None:
    page = httpx2.Response(502, content=b"<html>Bad Gateway</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(Unavailable, match="Bad Gateway"):
        transport(Server_(page)).send("POST", "/x", repeatable=False)


def test_another_program_behind_the_address_is_noticed() -> None:
    with pytest.raises(Unsupported, match="Check that the address"):
        transport(Server_(httpx2.Response(200, content=b"<html>hello</html>"))).get("/", Server)


def test_redirects_are_not_followed_because_the_token_would_go_along() -> None:
    server = Server_(httpx2.Response(307, headers={"Location": "http://elsewhere.example/"}))
    with pytest.raises(Unsupported, match="redirect"):
        transport(server).get("/", Server)
    assert len(server.asked) == 1


def test_a_stream_that_breaks_is_an_error_of_the_tree() -> None:
    class Broken(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"half"
            raise httpx2.ReadError("reset by peer")

    server = Server_(httpx2.Response(200, stream=Broken()))
    found: list[bytes] = []
    with pytest.raises(Unavailable, match="broke"), transport(server).stream("GET", "/x") as answer:
        found.extend(answer.iter_raw())
    assert found == [b"half"]


def test_a_stream_that_is_refused_says_why() -> None:
    server = Server_(problem(Corrupt("stored bytes are damaged")))
    with pytest.raises(Corrupt, match="damaged"), transport(server).stream("GET", "/x"):
        pass


def test_a_body_that_is_sent_again_is_made_again() -> None:
    sent = []

    def content() -> Iterator[bytes]:
        sent.append("again")
        yield b"abc"

    server = Server_(httpx2.ReadError("reset"), httpx2.Response(201))
    transport(server).send("PUT", "/uploads", content=content, headers={"Content-Length": "3"})
    assert len(sent) == 2
    assert server.asked[1].content == b"abc"
    assert "Transfer-Encoding" not in server.asked[1].headers


def test_a_signed_address_gets_no_token() -> None:
    server = Server_(httpx2.Response(200))
    transport(server).put_url("http://store.example/objects/xyz", lambda: [b"abc"], {"Content-Length": "3"})
    assert "Authorization" not in server.asked[0].headers


def test_a_mere_question_is_asked_again_and_what_shows_a_secret_is_not() -> None:
    server = Server_(httpx2.ReadError("reset"), good())
    transport(server).post("/contents/known", Project, NewProject(name="Lab"), keyed=False, repeatable=True)
    assert len(server.asked) == 2
    with pytest.raises(Unavailable):
        transport(Server_(httpx2.ReadError("reset"), good())).post("/login", Project, keyed=False)


def test_long_work_of_the_server_is_waited_for() -> None:
    server = Server_(good())
    transport(server).send("POST", "/uploads/up_1/finish", timeout_s=900)
    transport(server).get("/projects/lab", Project)
    assert [request.extensions["timeout"]["read"] for request in server.asked] == [900, 30]


def test_a_page_of_somebody_on_the_way_is_no_success() -> None:
    page = httpx2.Response(200, text="<p>Please sign in to this network.", headers={"Content-Type": "text/html"})
    with (
        Client(URL, "token", transport=httpx2.MockTransport(Server_(page))) as client,
        pytest.raises(Unsupported, match="nothing was done"),
    ):
        client.tokens.revoke("tok_" + "0" * 32)


def test_a_part_of_a_file_is_of_that_file() -> None:
    whole = b"0123456789"
    wanted = Wanted("ver_0", 1, "a", len(whole), "sha256:" + hashlib.sha256(whole).hexdigest())
    server = Server_(
        httpx2.Response(206, content=whole[2:5]),
        httpx2.Response(200, content=whole),
        httpx2.Response(200, text="Please sign in to this network."),
    )
    asking = transport(server)
    assert [read_range(asking, wanted, 2, 5) for _ in range(2)] == [b"234", b"234"]
    with pytest.raises(DigestMismatch):
        read_range(asking, wanted, 2, 5)


def test_what_is_no_archive_is_not_kept_as_one(tmp_path: Path) -> None:
    """A network that wants its sign-in page seen answers everything with success."""

    def answer(media_type: str) -> httpx2.Response:
        return httpx2.Response(200, stream=httpx2.ByteStream(b"bytes"), headers={"Content-Type": media_type})

    server, pinned = Server_(answer("text/html"), answer("application/zip")), Pin("ver_0", 3, cast(Any, None))
    with Client(URL, "token", transport=httpx2.MockTransport(server)) as client:
        with pytest.raises(Unsupported, match="zip"):
            client.data.archive(pinned, tmp_path / "all.zip")
        assert list(tmp_path.iterdir()) == []
        client.data.archive(pinned, tmp_path / "all.zip")
        assert [path.name for path in tmp_path.iterdir()] == ["all.zip"]


@pytest.mark.parametrize("token", ["", "with space", "line\nbreak", "naïve"])
def test_a_token_that_cannot_be_one_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(Invalid) as caught:
        transport(Server_(good()), token)
    assert not token or token not in str(caught.value)


def test_a_request_says_only_what_was_set() -> None:
    server = Server_(good())
    transport(server).post("/projects", Project, NewProject(name="Lab"))
    assert json.loads(server.asked[0].content) == {"name": "Lab"}


def test_names_are_quoted_in_addresses() -> None:
    assert segment("a/b c@ä") == "a%2Fb%20c%40%C3%A4"
    assert entry_segments("raw/100%/a b.csv") == "raw/100%25/a%20b.csv"
    with pytest.raises(Invalid):
        segment("..")
