"""Deciding and looking after: proposals, merges, removing for good, projects, teams, accounts and webhooks, by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from entrepot.client.client import Client
from entrepot.model.errors import EntrepotError
from entrepot.wire.messages.versions import Version
from tests.e2e.conftest import make_tree
from tests.support.server import wait_until
from tests.web.browser import Watched
from tests.web.conftest import Open, sign_in

PASSWORD = "correct horse"
TEAM = "Rock pool society"
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def pools(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A dataset with two revisions in a project of a team, of which rita may only read."""
    team = client.teams.create(TEAM)
    client.users.create("rita", password=PASSWORD, first_name="Rita")
    client.teams.set_member(team.id, "rita", "read")
    client.projects.create("Rock pools", team=team.id)
    place = make_tree(
        tmp_path_factory.mktemp("pools"),
        {"survey.csv": b"pool,crabs\n1,4\n2,0\n", "README.md": b"# Rock pools\n\nCounted at low tide.\n"},
    )
    client.data.push(place, "rock-pools/counts", name="Counts at low tide")
    (place / "survey.csv").write_bytes(b"pool,crabs\n1,4\n2,0\n3,7\n")
    (place / "notes.txt").write_bytes(b"Pool 3 was under water.\n")
    pushed = client.data.push(place, "rock-pools/counts", message="The third pool")
    assert pushed.version is not None
    return pushed.version


@pytest.fixture
def rita(open_window: Open, pools: Version) -> Watched:
    """The window of somebody who may only read."""
    watched = open_window(stranger=True)
    sign_in(watched, "rita", PASSWORD)
    return watched


def propose(rita: Watched, pools: Version) -> str:
    """The path of what rita proposes: the dataset as it was at first."""
    page = rita.page
    rita.go(f"/ui/versions/{pools.id}")
    page.get_by_role("link", name="Copy", exact=True).click()
    expect(page.get_by_text("A copy there is a proposal")).to_be_visible()
    page.get_by_label("As of").select_option(index=1)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_text("Proposed. Somebody who may write here decides")).to_be_visible()
    return page.url.removeprefix(rita.url)


def test_a_reader_proposes_and_is_accepted_refused_or_changes_their_mind(
    client: Client, window: Watched, rita: Watched, pools: Version
) -> None:
    path = propose(rita, pools)
    rita.accessible()
    rita.shoot("proposal-own")
    page = window.page
    window.go(f"/ui/versions/{pools.id}")
    window.shoot("dataset-with-a-proposal")
    page.get_by_role("link", name="version 2 by rita").click()
    changes = page.get_by_role("region", name="Changes")
    expect(changes.get_by_role("row").filter(has_text="notes.txt")).to_contain_text("removed")
    window.accessible()
    window.shoot("proposal")
    page.get_by_label("Why, for rita").fill("The third pool matters.")
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_text("Nothing waits to be decided.")).to_be_visible()
    window.accessible()
    rita.go(path)
    expect(rita.page.get_by_text("Refused by admin")).to_contain_text("The third pool matters.")
    rita.accessible()

    taken_back = propose(rita, pools)
    rita.page.get_by_role("button", name="Withdraw").click()
    expect(rita.page.get_by_text("Withdrawn. Nobody is asked")).to_be_visible()
    rita.go(taken_back)
    expect(rita.page.get_by_text("Withdrawn by rita")).to_be_visible()

    accepted = propose(rita, pools)
    window.go("/ui/proposals?project=rock-pools")
    window.shoot("proposals")
    page.get_by_role("link", name="Counts at low tide, version 2").click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("it is a version like any other now")).to_be_visible()
    assert not client.versions.get(accepted.split("/")[3]).proposal
    # The rest of the module begins where this test began.
    client.versions.trash(accepted.split("/")[3])


def test_two_versions_are_merged_after_looking(client: Client, window: Watched, pools: Version, tmp_path: Path) -> None:
    place = make_tree(tmp_path, {"survey.csv": b"pool,crabs\n9,1\n", "extra/photo.txt": b"no camera\n"})
    client.data.push(place, "rock-pools/second-count", name="Second count")
    target = client.versions.copy(pools.id, project="rock-pools", name="Both counts")
    page = window.page
    window.go(f"/ui/versions/{target.id}")
    page.get_by_role("link", name="Merge", exact=True).click()
    window.accessible()
    page.get_by_label("Files of").fill("second-count")
    page.get_by_role("button", name="See what would happen").click()
    expect(page.get_by_role("row").filter(has_text="survey-0001.csv")).to_be_visible()
    expect(page.get_by_text("extra/photo.txt")).to_be_visible()
    window.accessible()
    window.shoot("merge")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_text("Merged: the files of both are here now")).to_be_visible()
    assert client.versions.get(target.id).revision == target.revision + 1


def test_rows_and_items_that_differ_are_told(client: Client, window: Watched, pools: Version, tmp_path: Path) -> None:
    page = window.page
    first = b"pool,crabs,name\n1,4,<b>Long</b>\n2,0,Deep\n"
    made = client.tables.create_from_bytes("Crabs", first, project="rock-pools", timeout_s=120)
    client.tables.replace(made, {"crabs.csv": b"pool,crabs,name\n1,5,<b>Long</b>\n3,7,Wide\n"}, timeout_s=120)
    window.go(f"/ui/versions/{made.id}/history")
    page.get_by_role("link", name="What changed").first.click()
    page.get_by_role("link", name="Compare the rows").click()
    expect(page.get_by_text("2 rows added, 2 rows removed")).to_be_visible()
    page.get_by_label("Columns that name a row").fill("pool")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("1 row added, 1 row removed, 1 row changed")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="pool = 1")).to_contain_text("crabs: 4 5")
    expect(page.get_by_role("row").filter(has_text="pool = 3")).to_contain_text("crabs: 7; name: Wide")
    expect(page.get_by_role("row").filter(has_text="pool = 2")).to_contain_text("crabs: 0; name: Deep")
    window.accessible()
    window.shoot("row-diff")
    page.get_by_label("Columns that name a row").fill("no such column")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is not a column of both")

    items: list[Version] = []
    for lines in ('{"id": 1, "n": 1}\n{"id": 2, "n": 2}\n', '{"id": 2, "n": 3}\n{"id": 4, "n": 4}\n'):
        (tmp_path / "items.ndjson").write_text(lines)
        one = client.records.create(f"Items {len(items)}", tmp_path / "items.ndjson", project="rock-pools")
        items.append(client.records.wait_until_done(one, interval=0.2, timeout=120))
    window.go(f"/ui/versions/{items[1].id}/row-diff?other={items[0].id}")
    expect(page.get_by_text("Say which key names an item")).to_be_visible()
    page.get_by_label("Key that names an item").fill("id")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("1 item added, 1 item removed, 1 item changed")).to_be_visible()
    window.accessible()


def test_something_is_removed_for_good(client: Client, window: Watched, pools: Version, tmp_path: Path) -> None:
    place = make_tree(tmp_path, {"only-here.txt": b"bytes of this dataset alone\n" * 50})
    pushed = client.data.push(place, "rock-pools/passing", name="Passing")
    assert pushed.version is not None
    page = window.page
    window.go(f"/ui/versions/{pushed.version.id}")
    page.get_by_role("link", name="Trash", exact=True).last.click()
    page.get_by_label("Why").fill("made by mistake")
    window.accessible()
    page.get_by_role("button", name="Move to the trash").click()
    expect(page.get_by_text("made by mistake")).to_be_visible()
    window.accessible()
    window.shoot("in-the-trash")
    page.get_by_role("link", name="Remove it for good").click()
    expect(page.get_by_text("It frees 1.4 KiB")).to_be_visible()
    window.accessible()
    window.shoot("purge")
    page.get_by_label("To be sure").fill("Passing")
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("Removed for good.")).to_be_visible()
    with pytest.raises(EntrepotError):
        client.versions.get(pushed.version.id)


def test_a_project_and_its_team_are_looked_after(client: Client, window: Watched, pools: Version) -> None:
    page = window.page
    client.projects.create("Tide tables")
    window.go("/ui/projects/tide-tables")
    page.get_by_role("link", name="Change", exact=True).click()
    window.accessible()
    window.shoot("edit-project")
    page.get_by_label("What it is about").fill("When the pools can be *reached*.")
    page.get_by_label("New datasets go to the trash").fill("90")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The project is changed.")).to_be_visible()
    expect(page.get_by_text("When the pools can be reached.")).to_be_visible()
    assert client.projects.get("tide-tables").default_expiry_s == 90 * 86400
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("New collection").fill("2026/spring")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("2026/spring", exact=True).first).to_be_visible()
    page.get_by_role("link", name="Move the project to the trash").click()
    window.accessible()
    page.get_by_role("button", name="Move to the trash").click()
    expect(page.get_by_text("The project and everything in it are in the trash")).to_be_visible()
    window.accessible()
    window.shoot("project-in-the-trash")
    page.get_by_role("button", name="Put it back").click()
    expect(page.get_by_text("The project is back.")).to_be_visible()

    window.go("/ui/teams")
    page.get_by_label("Name", exact=True).fill("Low tide club")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("Rename the team").click()
    page.get_by_label("Name", exact=True).fill("High tide club")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", name="High tide club", level=1)).to_be_visible()
    page.get_by_text("Move the team to the trash").click()
    window.accessible()
    page.get_by_role("button", name="Move to the trash").click()
    expect(page.get_by_text("This team was moved to the trash")).to_be_visible()
    page.get_by_text("Remove the team for good").click()
    window.accessible()
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("The team is removed for good.")).to_be_visible()


def test_an_administrator_makes_changes_and_closes_an_account(open_window: Open, window: Watched) -> None:
    page = window.page
    window.go("/ui/admin/users")
    page.get_by_role("link", name="New account").click()
    window.accessible()
    page.get_by_label("User name").fill("walter")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("E-mail address").fill("walter@example.org")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="walter", level=1)).to_be_visible()
    walter = open_window(stranger=True)
    sign_in(walter, "walter", PASSWORD)
    page.get_by_label("First name").fill("Walter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The account is changed.")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out everywhere")).to_be_visible()
    window.accessible()
    window.shoot("admin-user")
    page.get_by_role("button", name="Close the account").click()
    expect(page.get_by_role("button", name="Open the account")).to_be_visible()
    window.accessible()
    walter.page.goto(f"{walter.url}/ui/projects")
    expect(walter.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """Somebody's program that is told of events: its address, and what it got."""
    got: list[bytes] = []

    class Program(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"noted")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Program)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_made_and_tested(window: Watched, pools: Version, receiver: tuple[str, list[bytes]]) -> None:
    address, got = receiver
    page = window.page

    def tests() -> int:
        return sum(b'"type":"webhook.test"' in one for one in got)

    window.go("/ui/projects/rock-pools")
    page.get_by_role("link", name="Webhooks").click()
    expect(page.get_by_text("There are no webhooks yet.")).to_be_visible()
    window.accessible()
    window.shoot("webhooks-none")
    page.get_by_label("Name", exact=True).fill("Count again")
    page.get_by_label("Address that is called").fill(address)
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Its secret")).to_be_visible()
    window.accessible()
    window.shoot("webhook-secret")
    page.get_by_role("link", name="I have it").click()
    expect(page.locator(".secret")).to_have_count(0)
    page.get_by_role("button", name="Send a test").click()
    wait_until(lambda: tests() == 1, "the test arrives")
    expect(page.get_by_text("A test is on its way.")).to_be_visible()
    test = page.get_by_role("link", name="webhook.test", exact=True)
    row = page.get_by_role("row").filter(has=test)

    def is_told() -> bool:
        page.reload()
        return row.get_by_text("delivered").count() > 0

    wait_until(is_told, "the page tells that it arrived")
    window.accessible()
    window.shoot("webhook")
    test.click()
    expect(page.get_by_text("noted")).to_be_visible()
    window.accessible()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Sent again.")).to_be_visible()
    wait_until(lambda: tests() == 2, "it arrives again")
    page.get_by_text("Remove it", exact=True).click()
    page.get_by_role("button", name="Remove the webhook").click()
    expect(page.get_by_text("The webhook is removed")).to_be_visible()


def test_these_pages_are_there_on_a_phone_in_the_dark_and_without_scripts(open_window: Open, pools: Version) -> None:
    paths = [
        f"/ui/versions/{pools.id}{page}" for page in ("", "/edit", "/copy", "/merge", "/trash", "/use", "/history")
    ]
    paths += ["/ui/proposals?project=rock-pools", "/ui/webhooks?project=rock-pools", "/ui/projects/rock-pools"]
    paths += ["/ui/edit-project/rock-pools", f"/ui/team?name={TEAM}", "/ui/trash", "/ui/admin/users"]
    phone, plain = open_window(viewport=PHONE, color_scheme="dark"), open_window(java_script_enabled=False)
    for path in paths:
        phone.go(path)
        phone.accessible()
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], f"{path} scrolls sideways"
        name = path.removeprefix("/ui/").partition("?")[0].replace(pools.id, "one").replace("/", "-")
        phone.shoot(f"phone-{name}")
        plain.go(path)
        expect(plain.page.get_by_role("main").get_by_role("heading").first).to_be_visible()
