"""A client that sends and fetches past the server comes through whatever happens to it on that way.

Large bytes go to the store's own addresses where a client asks for that. When the store refuses, cannot be reached,
breaks off, lies, or its address is over, they go by way of the server, and nobody notices but by the time it takes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import stamina

from entrepot.client import transfer
from entrepot.client.client import Client
from entrepot.depot import checking, collection, uploads
from entrepot.depot.context import Depot
from tests.support.shortcut import Harm, Shortcut, Ways, answers, breaks, cut, flips, loses, unreachable
from tests.support.site import Site

#: What is worth a request of its own on the way down; on the way up here too.
LARGE = random.Random(5).randbytes((1 << 20) + 5)
#: Bytes of an exchange in which the large ones went elsewhere.
LITTLE = 100_000

NO_WAY: dict[str, Harm] = {
    "refused": answers(403),
    "clock askew": answers(403, "RequestTimeTooSkewed", "The difference between the request time is too large"),
    "no such bucket": answers(404, "NoSuchBucket"),
    "error": answers(500, "InternalError"),
    "slow down": answers(503, "SlowDown"),
    "elsewhere": answers(301, "PermanentRedirect"),
    "unreachable": unreachable(),
    "no answer": breaks(httpx2.ReadTimeout),
    "connects to nothing": breaks(httpx2.ConnectTimeout),
    "cut": cut(100_000),
    "other bytes": flips(),
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(transfer, "ONE_SHOT", 1 << 20)
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def bucket(site: Site) -> Shortcut:
    made = Shortcut(site.clock)
    site.depot.store, site.depot.staging = made, made.staging
    return made


@pytest.fixture
def ways(site: Site, bucket: Shortcut) -> Ways:
    return Ways(bucket, site.http._transport)


@pytest.fixture
def client(site: Site, ways: Ways) -> Iterator[Client]:
    with Client("http://localhost", site.admin.token, transport=ways, direct=True) as opened:
        opened.projects.create("Lab")
        yield opened


class Died(Exception):
    """As nothing that a client expects."""


def pushed(client: Client, folder: Path, content: bytes = LARGE) -> None:
    """Push one large file, after which the server has it."""
    folder.mkdir(exist_ok=True)
    (folder / "large").write_bytes(content)
    done = client.data.push(folder, "lab/data")
    assert done.changed
    assert client.data.entry("lab/data/large").sha256 == "sha256:" + hashlib.sha256(content).hexdigest()


def pulled(client: Client, folder: Path, content: bytes = LARGE) -> None:
    client.data.download("lab/data", folder)
    assert (folder / "large").read_bytes() == content


def nothing_left(site: Site, bucket: Shortcut) -> None:
    """Months later there is the one object, and nothing that anybody sent in vain."""
    for _ in range(3):
        site.clock.move(days=30)
        uploads.sweep(site.depot)
        collection.collect(site.depot)
    assert checking.verify(site.depot).damaged == ()
    assert (len(list(bucket.keys())), bucket.arrivals, list(bucket.staging.keys())) == (1, {}, [])


def test_both_ways_pass_the_server_by(client: Client, ways: Ways, bucket: Shortcut, tmp_path: Path) -> None:
    pushed(client, tmp_path / "up")
    pulled(client, tmp_path / "down")
    assert bucket.asked == ["PUT", "GET"]
    assert ways.passed < LITTLE
    assert client.transport.direct


@pytest.mark.parametrize("harm", NO_WAY.values(), ids=NO_WAY)
def test_what_the_store_does_not_do_goes_by_way_of_the_server(
    site: Site, client: Client, ways: Ways, bucket: Shortcut, tmp_path: Path, harm: Harm
) -> None:
    bucket.always = harm
    pushed(client, tmp_path / "up")
    assert len(LARGE) < ways.passed < len(LARGE) + LITTLE
    with Client("http://localhost", site.admin.token, transport=ways, direct=True) as another:
        pulled(another, tmp_path / "down")
    assert [path.name for path in (tmp_path / "down").iterdir() if path.suffix == ".part"] == []
    nothing_left(site, bucket)


@pytest.mark.parametrize("name", ["refused", "no answer", "cut", "other bytes"])
def test_what_happens_once_is_tried_again(client: Client, bucket: Shortcut, tmp_path: Path, name: str) -> None:
    bucket.harms = [NO_WAY[name]]
    pushed(client, tmp_path / "up")
    bucket.harms = [NO_WAY[name]]
    pulled(client, tmp_path / "down")


def test_a_push_whose_answer_was_lost_is_not_sent_twice(client: Client, bucket: Shortcut, tmp_path: Path) -> None:
    bucket.harms = [loses()]
    pushed(client, tmp_path / "up")
    assert bucket.asked == ["PUT"]


def test_an_address_that_ended_before_it_was_used_is_renewed(
    site: Site, client: Client, ways: Ways, bucket: Shortcut, tmp_path: Path
) -> None:
    def late(request: httpx2.Request, carry: object) -> httpx2.Response:
        site.clock.move(minutes=10)
        return bucket.serve(request)

    bucket.harms = [late]
    pushed(client, tmp_path / "up")
    assert bucket.asked == ["PUT", "PUT"]
    bucket.harms = [late]
    pulled(client, tmp_path / "down")
    assert client.transport.direct


def test_a_pull_that_breaks_when_its_address_is_over_goes_on_at_its_byte(
    site: Site, client: Client, ways: Ways, bucket: Shortcut, tmp_path: Path
) -> None:
    def late(request: httpx2.Request, carry: object) -> httpx2.Response:
        answer = cut(4)(request, bucket.serve)
        site.clock.move(minutes=10)
        return answer

    def ranged(request: httpx2.Request, carry: object) -> httpx2.Response:
        asked.append(request.headers["range"])
        return bucket.serve(request)

    asked: list[str] = []
    pushed(client, tmp_path / "up")
    bucket.harms = [late, ranged]
    pulled(client, tmp_path / "down")
    assert asked == ["bytes=4-"]
    assert ways.passed < LITTLE


def test_a_store_that_cannot_be_reached_is_asked_once(client: Client, bucket: Shortcut, tmp_path: Path) -> None:
    pushed(client, tmp_path / "up")
    bucket.asked.clear()
    bucket.always = unreachable()
    for n in range(3):
        pulled(client, tmp_path / f"down{n}")
    assert bucket.asked == ["GET"]


def test_a_store_that_refuses_again_and_again_is_left_alone(client: Client, bucket: Shortcut, tmp_path: Path) -> None:
    pushed(client, tmp_path / "up")
    bucket.asked.clear()
    bucket.always = answers(403)
    for n in range(6):
        pulled(client, tmp_path / f"down{n}")
    assert len(bucket.asked) == 4


def test_addresses_that_an_operator_does_not_give_any_more_are_not_missed(
    site: Site, client: Client, bucket: Shortcut, tmp_path: Path
) -> None:
    def close(request: httpx2.Request, carry: object) -> httpx2.Response:
        answer = bucket.serve(request)
        withhold(site.depot)
        return answer

    bucket.harms = [close]
    pushed(client, tmp_path / "up")
    pulled(client, tmp_path / "down")
    assert bucket.asked == ["PUT"]


def withhold(depot: Depot) -> None:
    depot.policy = replace(depot.policy, direct_lifetime=None)


def test_an_upload_that_ended_while_its_bytes_were_under_way_is_begun_anew(
    site: Site, client: Client, bucket: Shortcut, tmp_path: Path
) -> None:
    def ended(request: httpx2.Request, carry: object) -> httpx2.Response:
        answer = bucket.serve(request)
        site.clock.move(days=8)
        uploads.sweep(site.depot)
        return answer

    bucket.harms = [ended]
    pushed(client, tmp_path / "up")


def test_a_push_that_was_stopped_goes_on_at_the_server(
    site: Site, client: Client, ways: Ways, bucket: Shortcut, tmp_path: Path
) -> None:
    def stopped(request: httpx2.Request, carry: object) -> httpx2.Response:
        raise Died

    bucket.harms = [stopped]
    with pytest.raises(Died):
        pushed(client, tmp_path / "up")
    pushed(client, tmp_path / "up")
    nothing_left(site, bucket)
