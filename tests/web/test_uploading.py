"""Folders dragged into a page: sent once, continued after anything, and there as one revision."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from entrepot.client.client import Client
from entrepot.wire.messages.uploads import UploadPage
from entrepot.wire.messages.versions import Version
from tests.e2e.conftest import make_tree
from tests.web.browser import Watched
from tests.web.conftest import Open

#: One that travels by itself, and many that travel together, two of them alike.
LARGE = hashlib.sha256(b"large").digest() * 40_000
FILES = {
    "large.bin": LARGE,
    "twin.txt": b"file 0\n",
    "empty.txt": b"",
    "ünïcode/naïve.txt": b"x",
    **{f"deep/{i % 7}/file {i}.txt": b"file %d\n" % i for i in range(300)},
}
#: What a browser does with a folder that is dropped, made of the files of an input: only a hand can really drag.
_DROP = """
([zone, input]) => {
  const asFile = (file) => ({ isFile: true, isDirectory: false, name: file.name,
    fullPath: '/' + file.webkitRelativePath, file: (done) => done(file) });
  const folder = (name, path, files) => {
    const inside = new Map();
    for (const file of files) {
      const [first, ...rest] = file.webkitRelativePath.slice(path.length + 1).split('/');
      if (!inside.has(first)) inside.set(first, []);
      inside.get(first).push([rest.length, file]);
    }
    const entries = [...inside].map(([first, found]) => found[0][0] === 0 ? asFile(found[0][1])
      : folder(first, path + '/' + first, found.map(([, file]) => file)));
    return { isFile: false, isDirectory: true, name, fullPath: '/' + path,
      createReader: () => ({ readEntries: (done) => done(entries.splice(0, 100)) }) };
  };
  const files = [...input.files];
  const top = files[0].webkitRelativePath.split('/')[0];
  const event = new Event('drop', { bubbles: true, cancelable: true });
  event.dataTransfer = { files, items: [{ webkitGetAsEntry: () => folder(top, top, files) }] };
  zone.dispatchEvent(event);
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("sent") / "measured", FILES)


@pytest.fixture
def dataset(client: Client, request: pytest.FixtureRequest) -> Version:
    name = re.sub(r"\W+", " ", request.node.name)
    return client.versions.create(name[:100], project=_project(client))


def _project(client: Client) -> str:
    found = [one.slug for one in client.projects.list() if one.name == "Uploads of pages"]
    return found[0] if found else client.projects.create("Uploads of pages").slug


def choose(watched: Watched, dataset: Version, folder: Path) -> None:
    watched.go(f"/ui/versions/{dataset.id}/upload")
    watched.page.locator("#upload-folder").set_input_files(folder)


def choose_again(watched: Watched, dataset: Version, folder: Path) -> None:
    """Leave the page in the middle of an upload, which it asks about, and come back to it."""
    watched.page.on("dialog", lambda dialog: dialog.accept())
    choose(watched, dataset, folder)


def entries(client: Client, dataset: Version) -> dict[str, str]:
    return {one.path: one.sha256 for one in client.versions.entries(dataset.id)}


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {path: f"sha256:{hashlib.sha256(body).hexdigest()}" for path, body in files.items()}


def test_a_folder_that_is_dragged_in_becomes_one_revision(
    client: Client, window: Watched, dataset: Version, folder: Path
) -> None:
    page = window.page
    window.go(f"/ui/versions/{dataset.id}/upload")
    window.accessible()
    # The input has read the folder; the drop hands over its files as a browser would.
    page.evaluate("addEventListener('change', (e) => e.target.type === 'file' && e.stopImmediatePropagation(), true)")
    page.locator("#upload-folder").set_input_files(folder)
    page.evaluate(_DROP, [page.locator(".dropzone").element_handle(), page.locator("#upload-folder").element_handle()])
    expect(page.get_by_role("heading", name="304 files, 1.2 MiB")).to_be_visible()
    window.accessible()
    page.get_by_label("What changes, for the history").fill("From the second cruise")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Done: 304 files, as revision 1")).to_be_visible()
    window.accessible()
    window.shoot("upload-done")
    assert entries(client, dataset) == digests(FILES)
    (revision,) = [one for one in client.versions.revisions(dataset.id) if one.number]
    assert (revision.number, revision.message, revision.entries) == (1, "From the second cruise", 304)
    page.get_by_role("link", name="Look at the dataset").click()
    page.wait_for_url(f"**/ui/versions/{dataset.id}/files")


def test_what_is_here_already_is_not_sent_again(
    client: Client, window: Watched, dataset: Version, folder: Path, tmp_path: Path
) -> None:
    fresh = {"new.txt": b"nobody has seen this"}
    known = {f"copy/{path}": body for path, body in list(FILES.items())[:50]}
    client.data.push(folder, f"{_project(client)}/seen-before")
    place = make_tree(tmp_path / "again", {**fresh, **known})
    sent: list[int] = []
    window.page.on(
        "request",
        lambda request: sent.append(len(request.post_data_buffer or b"")) if "/packs" in request.url else None,
    )
    choose(window, dataset, place)
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.get_by_role("heading", name="Done: 51 files")).to_be_visible()
    expect(window.page.get_by_text("50 files did not have to be sent")).to_be_visible()
    assert len(sent) == 1, "one file is new, and nothing else travelled"
    assert entries(client, dataset) == digests({**fresh, **known})


def test_an_upload_that_a_closed_page_interrupted_is_continued(
    client: Client, window: Watched, dataset: Version, folder: Path, tmp_path: Path
) -> None:
    body = hashlib.sha256(b"interrupted").digest() * 100_000
    place = make_tree(tmp_path / "long", {"first.txt": b"this arrives", "second.bin": body})
    page = window.page
    page.route(
        "**/api/v1/uploads/**", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_()
    )
    window.expected.append("ERR_FAILED")
    choose(window, dataset, place)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("The server cannot be reached. It goes on by itself")).to_be_visible()
    expect(page.get_by_role("progressbar", name="second.bin")).to_be_visible()
    expect(page.get_by_role("progressbar", name="first.txt")).to_have_count(0)
    window.accessible()
    window.shoot("upload-away")
    choose_again(window, dataset, place)
    page.unroute("**/api/v1/uploads/**")
    expect(page.get_by_role("button", name="Continue the upload")).to_be_visible()
    sent = window.sends()
    page.get_by_role("button", name="Continue the upload").click()
    expect(page.get_by_role("heading", name="Done: 2 files, as revision 1")).to_be_visible()
    assert sent == ["PATCH"], "the upload that was begun went on; no other one was made"
    assert entries(client, dataset) == digests({"first.txt": b"this arrives", "second.bin": body})
    window.go(f"/ui/versions/{dataset.id}/upload")
    expect(page.get_by_text("was interrupted")).to_have_count(0)
    window.judge()


def test_files_that_arrived_before_a_page_was_closed_are_not_sent_again(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    files = {"small.txt": b"one of a batch", "large.bin": hashlib.sha256(b"arrived").digest() * 40_000}
    place = make_tree(tmp_path / "arrived", files)
    page = window.page
    page.route("**/commits", lambda route: route.abort())
    window.expected.append("ERR_FAILED")
    choose(window, dataset, place)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("The server cannot be reached. It goes on by itself")).to_be_visible()
    choose_again(window, dataset, place)
    page.unroute("**/commits")
    sent = window.sends()
    page.get_by_role("button", name="Continue the upload").click()
    expect(page.get_by_role("heading", name="Done: 2 files, as revision 1")).to_be_visible()
    expect(page.get_by_text("2 files did not have to be sent")).to_be_visible()
    assert sent == []
    assert entries(client, dataset) == digests(files)
    window.judge()


def test_files_that_arrived_and_expired_are_sent_again(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    files = {"small.txt": b"one of a batch that goes", "large.bin": hashlib.sha256(b"expired").digest() * 40_000}
    place = make_tree(tmp_path / "expired", files)
    page = window.page
    page.route("**/commits", lambda route: route.fulfill(status=409, body=json.dumps({"detail": "Not now."})))
    window.expected.append("Failed to load resource")
    choose(window, dataset, place)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("The upload stopped")).to_be_visible()
    for one in client.transport.get("/uploads", UploadPage).rows:
        client.transport.send("DELETE", f"/uploads/{one.id}", headers={"tus-resumable": "1.0.0"})
    page.unroute("**/commits")
    sent = window.sends()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Done: 2 files, as revision 1")).to_be_visible()
    assert sorted(sent) == ["PATCH", "POST", "PUT"], "a batch, and a large file by itself"
    assert entries(client, dataset) == digests(files)
    window.judge()


def test_a_server_that_is_asked_in_vain_where_an_upload_stands_does_not_get_another_one(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    files = {"long.bin": hashlib.sha256(b"asked in vain").digest() * 40_000}
    place = make_tree(tmp_path / "vain", files)
    page = window.page
    lost = iter([True])

    def refuse(route: Route) -> None:
        if route.request.method == "PATCH" and next(lost, False):
            route.abort()
        elif route.request.method == "HEAD" and (status := next(refusals, None)):
            route.fulfill(status=status)
        else:
            route.continue_()

    refusals = iter([503, 502])
    page.route("**/api/v1/uploads/**", refuse)
    window.expected.append("Failed to load resource")
    sent = window.sends()
    choose(window, dataset, place)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Done: 1 file, as revision 1")).to_be_visible()
    assert sent == ["POST", "PATCH", "PATCH"]
    assert entries(client, dataset) == digests(files)
    window.judge()


def test_a_server_that_goes_away_for_a_moment_is_waited_for(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    place = make_tree(tmp_path / "lost", {"a.txt": b"a lost network", "b.txt": b"is no error"})
    refusals = iter([503, 502])

    def sometimes(route: Route) -> None:
        status = next(refusals, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, body=json.dumps({"detail": "The server is starting."}))

    window.page.route("**/api/v1/packs**", sometimes)
    window.expected.append("Failed to load resource")
    choose(window, dataset, place)
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.get_by_role("heading", name="Done: 2 files")).to_be_visible()
    assert len(entries(client, dataset)) == 2


def test_speed_and_the_time_that_is_left_are_told(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    """Over a slow line, until they were seen."""
    body = hashlib.sha256(b"slow").digest() * 40_000
    place = make_tree(tmp_path / "slow", {"a.bin": body, "b.bin": body[::-1]})
    page = window.page
    choose(window, dataset, place)
    line = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".upload-line")).to_contain_text(re.compile(r"of 2 files · .* of 2\.4 MiB · .*iB/s · .* left"))
    expect(page.get_by_role("progressbar", name="a.bin")).to_be_visible()
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    expect(page.get_by_role("heading", name="Done: 2 files")).to_be_visible()
    assert entries(client, dataset) == digests({"a.bin": body, "b.bin": body[::-1]})


def test_a_pause_holds_everything_and_a_cancel_changes_nothing(
    client: Client, window: Watched, dataset: Version, tmp_path: Path
) -> None:
    place = make_tree(tmp_path / "held", {f"{i}.txt": b"pause %d" % i for i in range(5)})
    page = window.page
    held: list[Route] = []
    page.route("**/api/v1/packs**", lambda route: held.append(route))
    choose(window, dataset, place)
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").get_by_text("Paused.")).to_be_visible()
    window.accessible()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled. Nothing in the dataset changed.")).to_be_visible()
    assert entries(client, dataset) == {}


def test_a_refusal_says_which_path_and_why(window: Watched, dataset: Version, tmp_path: Path, client: Client) -> None:
    place = make_tree(tmp_path / "bad", {"fine.txt": b"fine", "also.txt": b"also"})
    window.expected.append("Failed to load resource")
    choose(window, dataset, place)
    window.page.get_by_label("Into the folder").fill("../outside")
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.locator(".box.bad")).to_contain_text("../outside/also.txt")
    window.accessible()
    window.shoot("upload-refused")
    assert entries(client, dataset) == {}
    window.page.get_by_role("button", name="Change something").click()
    window.page.get_by_label("Into the folder").fill("inside")
    window.page.get_by_role("button", name="Upload", exact=True).click()
    expect(window.page.get_by_role("heading", name="Done: 2 files")).to_be_visible()
    assert entries(client, dataset) == digests({"inside/fine.txt": b"fine", "inside/also.txt": b"also"})


def test_somebody_without_rights_is_told_before_the_upload(open_window: Open, dataset: Version) -> None:
    watched = open_window(stranger=True)
    watched.expected.append("Failed to load resource")
    watched.page.goto(f"{watched.url}/ui/versions/{dataset.id}/upload")
    expect(watched.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_without_scripts_the_form_takes_some_files(
    open_window: Open, client: Client, dataset: Version, tmp_path: Path
) -> None:
    watched = open_window(java_script_enabled=False)
    place = make_tree(tmp_path, {"plain.txt": b"no script"})
    watched.go(f"/ui/versions/{dataset.id}/upload")
    watched.page.get_by_label("Files", exact=True).set_input_files(place / "plain.txt")
    watched.page.get_by_role("button", name="Send").click()
    expect(watched.page.get_by_text("Your files are here, as one new revision.")).to_be_visible()
    assert entries(client, dataset) == digests({"plain.txt": b"no script"})


def test_the_forms_fit_a_phone(open_window: Open, dataset: Version) -> None:
    phone = open_window(viewport={"width": 390, "height": 800})
    for path in ("/ui/upload", f"/ui/versions/{dataset.id}/upload"):
        phone.go(path)
        expect(phone.page.get_by_text("Drag files or a folder here")).to_be_visible()
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390, f"{path} scrolls sideways"
