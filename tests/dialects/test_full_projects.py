"""A project that may hold no more, told at each door in that door's own words, before or after the bytes came."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entrepot.depot import projects
from entrepot.depot.projects import ProjectChanges
from entrepot.model import ids
from entrepot.model.ids import Noun
from tests.support import benchling, datature, flow, ufdl
from tests.support.identity import ADMIN_PASSWORD
from tests.support.site import Site, open_site

ROOM = 10
LARGE = b"more than there is room for"
SAID = "may hold 10 bytes; this would make it"


def fill(site: Site, project: Any) -> None:
    """It may hold next to nothing from now on."""
    staff = site.world.login("admin", ADMIN_PASSWORD)
    projects.update(site.depot, staff, project, ProjectChanges(allocation=ROOM))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_the_native_door_says_413_quota_exceeded(quick_folder: Path, stack: ExitStack) -> None:
    site = open_site(quick_folder, stack)
    project = site.admin.made("/projects", name="Small")["id"]
    fill(site, ids.decode(Noun.PROJECT, project))
    version = site.admin.version(project=project)
    answers = [
        site.admin.put(f"/versions/{version}/files/a", content=LARGE),
        site.admin.put(f"/uploads?project={project}", content=LARGE),
        site.admin.post(
            "/uploads",
            params={"project": project},
            headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(len(LARGE)), "Upload-Metadata": _tus(project)},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 413, answer.text
        told = answer.json()
        assert (told["code"], told["retryable"]) == ("quota_exceeded", False)
        assert SAID in told["detail"]
        assert told["details"]["allocation"] == ROOM
    assert site.admin.read(f"/versions/{version}")["revision"] == 0


def _tus(project: str) -> str:
    return f"project {base64.b64encode(project.encode()).decode()}"


def test_the_ufdl_door_says_413_and_a_detail(quick_folder: Path, stack: ExitStack) -> None:
    lab = ufdl.open_lab(quick_folder, stack)
    made = lab.writer.dataset()["pk"]
    fill(lab.site, lab.project)
    answer = lab.writer("POST", f"/datasets/{made}/files/a.txt", content=LARGE)
    assert answer.status_code == 413
    assert set(answer.json()) == {"detail"}
    assert SAID in answer.json()["detail"]
    assert lab.writer.content(made) == {}
    lab.writer.ok("POST", f"/datasets/{made}/files/a.txt", content=b"fits")


def test_the_datature_door_says_413_and_a_message(quick_folder: Path, stack: ExitStack) -> None:
    lab = datature.open_lab(quick_folder, stack)
    fill(lab.site, ids.decode(Noun.PROJECT, lab.project))
    answer = lab.writer("POST", "./batch/datasets", datature.request_for(lab.name(), LARGE))
    assert answer.status_code == 413, answer.text
    told = answer.json()
    assert isinstance(told["message"], str)
    assert SAID in told["message"]
    assert told["code"] == "quota_exceeded"


def test_the_flow_door_says_413_and_an_error(quick_folder: Path, stack: ExitStack) -> None:
    lab = flow.open_lab(quick_folder, stack)
    fill(lab.site, lab.project)
    answer = lab.writer.chunk(LARGE)
    assert answer.status_code == 413, answer.text
    assert SAID in flow.error_of(answer)
    # It does not say how large a file is: what is there already is looked at with each chunk.
    data = lab.writer.chunk(LARGE, last=False).json()["data_id"]
    answer = lab.writer.chunk(LARGE, offset=len(LARGE), last=False, data=data)
    assert answer.status_code == 413, answer.text
    assert SAID in flow.error_of(answer)


def test_the_benchling_door_refuses_a_file_before_its_bytes_are_taken(quick_folder: Path, stack: ExitStack) -> None:
    """Its slots are made before anybody says how large the files are; the PUT says it."""
    lab = benchling.open_lab(quick_folder, stack)
    fill(lab.site, ids.decode(Noun.PROJECT, lab.project))
    made = lab.writer.create("a.csv")
    answer = lab.put(made, LARGE)
    assert answer.status_code == 413, answer.text
    assert SAID in answer.json()["error"]["message"]
    assert lab.put(made, b"a\n1\n").status_code == 200
