"""Both clients at a server whose clock the tests move: addresses that end, and what retries leave behind.

Its lifetimes are set, none is as long as by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from entrepot.depot import upkeep
from tests.conformance.benchling.clients import DATASETS, FRAMES, OLD_FRAMES, Client, Raised, frame_create, got, sent
from tests.support.benchling import Lab, open_lab
from tests.support.loopback import on_loopback
from tests.support.proxies import LosingProxy, losing_proxy

CSV = b"name,age\nAnn,3\nBob,\n"
LIFETIMES: dict[str, Any] = {
    "policy__slot_lifetime": "2h",
    "policy__signed_url_lifetime": "1h",
    "policy__failed_lifetime": "3h",
    "policy__unstarted_lifetime": "5h",
}


@dataclass
class Aging:
    """A server under a clock of its own, and a proxy before it."""

    lab: Lab
    proxy: LosingProxy

    def later(self, **by: float) -> None:
        """Time goes by, and the worker looks after what has ended."""
        self.lab.site.clock.move(**by)
        upkeep.tend_slots(self.lab.depot)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aging]:
    with ExitStack() as stack:
        lab = open_lab(tmp_path_factory.mktemp("aging"), stack, **LIFETIMES)
        url = stack.enter_context(on_loopback(lab.site.house.app))
        yield Aging(lab, stack.enter_context(losing_proxy(url)))


@pytest.fixture
def aging(whole: Aging) -> Aging:
    whole.lab.project = whole.lab.new_project()
    return whole


@dataclass
class Old:
    """The old client's words for what both do."""

    aging: Aging
    client: Client
    post, put, patch = b"POST /api/v2-beta/datasets", b"PUT /objects/", b"PATCH /api/v2-beta/datasets"

    def wish(self, name: str) -> dict[str, Any]:
        return frame_create(name, "a.csv", folderId=self.aging.lab.project)

    def create(self, name: str) -> dict[str, Any]:
        return self.client(f"{OLD_FRAMES}.create", self.wish(name))  # type: ignore[no-any-return]

    def send(self, name: str) -> str:
        """Create it, send its file, begin its check: the task."""
        return self.client(f"{OLD_FRAMES}.create_from_bytes", self.wish(name), sent(CSV))["taskId"]  # type: ignore[no-any-return]

    def upload(self, made: dict[str, Any]) -> None:
        self.client(f"{OLD_FRAMES}.upload_bytes", made["manifest"][0]["url"], sent(CSV))

    def start(self, name: str) -> str:
        wish = {"DatasetUpdate": {"uploadStatus": "IN_PROGRESS"}}
        return self.client(f"{OLD_FRAMES}.update", name, wish)["taskId"]  # type: ignore[no-any-return]

    def get(self, name: str) -> dict[str, Any]:
        return self.client(f"{OLD_FRAMES}.get_by_id", name)  # type: ignore[no-any-return]

    def download(self, found: dict[str, Any]) -> list[bytes]:
        return [got(one) for one in self.client(f"{OLD_FRAMES}.download_dataset_bytes", {"Dataset": found})]

    def done(self, task: str, _name: str) -> dict[str, Any]:
        """What a task made."""
        self.aging.lab.work()
        return self.client("tasks.get_by_id", task)["response"]  # type: ignore[no-any-return]


@dataclass
class Current(Old):
    """Those of the current client, to which a frame is in a folder when a dataset was made of it."""

    post, patch = b"POST /api/v2/data-frames", b"PATCH /api/v2/data-frames"

    def wish(self, name: str) -> dict[str, Any]:
        return {"DataFrameCreate": {"name": name, "manifest": [{"fileName": "a.csv"}]}}

    def create(self, name: str) -> dict[str, Any]:
        return self.client(f"{FRAMES}.create", self.wish(name))  # type: ignore[no-any-return]

    def send(self, name: str) -> str:
        return self.client(f"{FRAMES}.create_from_bytes", self.wish(name), sent(CSV))["taskId"]  # type: ignore[no-any-return]

    def upload(self, made: dict[str, Any]) -> None:
        self.client(f"{FRAMES}.upload_bytes", made["manifest"][0]["url"], sent(CSV))

    def start(self, name: str) -> str:
        wish = {"DataFrameUpdate": {"uploadStatus": "IN_PROGRESS"}}
        return self.client(f"{FRAMES}.update", name, wish)["taskId"]  # type: ignore[no-any-return]

    def get(self, name: str) -> dict[str, Any]:
        return self.client(f"{FRAMES}.get_by_id", name)  # type: ignore[no-any-return]

    def download(self, found: dict[str, Any]) -> list[bytes]:
        return [got(one) for one in self.client(f"{FRAMES}.download_data_frame_bytes", {"DataFrame": found})]

    def done(self, task: str, name: str) -> dict[str, Any]:
        found = super().done(task, name)
        wish = {"dataFrameId": found["id"], "folderId": self.aging.lab.project, "name": name}
        self.client(f"{DATASETS}.create", {"DatasetCreate": wish})
        return self.get(found["id"])


@pytest.fixture(params=[Old, Current], ids=["1.9.0", "1.25.0"])
def person(request: pytest.FixtureRequest, aging: Aging, old: Client, current: Client) -> Old:
    """Somebody with one of the clients, behind the proxy."""
    client = old if request.param is Old else current
    shown = {"key": str(aging.lab.writer.key), "url": aging.proxy.url}
    made: Old = request.param(aging, replace(client, shown=shown))
    return made


def test_addresses_end_and_a_look_gives_fresh_ones(aging: Aging, person: Old) -> None:
    found, waiting = person.done(person.send("birds"), "birds"), person.create("late")
    aging.lab.site.clock.move(minutes=59)
    assert person.download(found) == [CSV]
    aging.lab.site.clock.move(minutes=2)
    # The client takes whatever body comes for the data: there is none.
    assert person.download(found) == [b""]
    assert person.download(person.get(found["id"])) == [CSV]
    aging.lab.site.clock.move(hours=1)
    with pytest.raises(Raised) as over:
        person.upload(waiting)
    assert (over.value.kind, over.value.status) == ("BenchlingError", 403)
    person.upload(person.get(waiting["id"]))
    assert person.done(person.start(waiting["id"]), "late")["uploadStatus"] == "SUCCEEDED"


def test_a_frame_that_got_no_byte_by_the_end_of_its_newest_address_fails_and_goes(aging: Aging, person: Old) -> None:
    first, made = person.done(person.send("birds"), "birds"), person.create("birds")
    aging.later(minutes=90)
    renewed = person.get(made["id"])
    assert renewed["manifest"][0]["url"] != made["manifest"][0]["url"]
    aging.later(minutes=90)
    assert person.get(made["id"])["uploadStatus"] == "NOT_UPLOADED"
    aging.later(minutes=121)
    failed = person.get(made["id"])
    assert (failed["uploadStatus"], failed["manifest"]) == (
        "FAILED_VALIDATION",
        [{"fileName": "a.csv", "url": None}],
    )
    assert failed["errorMessage"] == "No file came before its address ended."
    aging.later(minutes=179)
    assert person.get(made["id"])["uploadStatus"] == "FAILED_VALIDATION"
    aging.later(minutes=2)
    with pytest.raises(Raised) as gone:
        person.get(made["id"])
    assert (gone.value.kind, gone.value.status) == ("BenchlingError", 404)
    assert person.get(first["id"])["uploadStatus"] == "SUCCEEDED"
    # It never had a number: the next one has the next.
    person.done(person.send("birds"), "birds")
    assert labels(aging) == ["birds.v1", "birds.v2"]


def labels(aging: Aging) -> list[str]:
    """Every dataset in the test's folder, whatever its state."""
    found = aging.lab.writer.ok("GET", f"/api/v2/datasets?folderId={aging.lab.project}&sort=name&pageSize=100")
    return sorted(one["displayId"] for one in found["datasets"])


def test_after_the_sweep_lost_answers_have_left_no_second_dataset(aging: Aging, person: Old) -> None:
    proxy, lost = aging.proxy, 0
    kinds = {"create": person.post, "upload": person.put, "begin": person.patch}
    for what, begins in kinds.items():
        # A gateway stopped waiting when the work was done: the client itself repeats what it has to.
        name = f"{what} again"
        proxy.lose(begins, instead=503)
        assert person.done(person.send(name), name)["uploadStatus"] == "SUCCEEDED"
    for what in ("create", "upload"):
        # The connection was cut: the client raises, and whoever uses it does all of it again.
        name = f"{what} anew"
        proxy.lose(kinds[what])
        with pytest.raises(Raised) as cut:
            person.send(name)
        assert cut.value.kind == "RemoteProtocolError"
        assert person.done(person.send(name), name)["uploadStatus"] == "SUCCEEDED"
    made = person.create("begin anew")
    person.upload(made)
    proxy.lose(person.patch)
    with pytest.raises(Raised):
        person.start(made["id"])
    person.done(person.start(made["id"]), "begin anew")
    lost = len(proxy.lost)
    native = aging.lab.site.by_token("writer")

    def all_versions() -> list[str]:
        homes = [aging.lab.project, native.read("/users/me")["default_project"]]
        rows = [one for home in homes for one in native.read("/versions", project=home, limit=1000)["rows"]]
        return sorted(one["name"] for one in rows if one["name"] in names)

    names = {f"{what} {how}" for what in kinds for how in ("again", "anew")}
    assert len(all_versions()) == 10, "four creations that nobody went on with"
    for hours in (2.1, 3, 3.1):
        aging.later(hours=hours)
    assert all_versions() == sorted(names)
    assert labels(aging) == sorted(f"{name.replace(' ', '-')}.v1" for name in names)
    assert lost == 6
    proxy.lost.clear()
