"""Looking after people and datasets: members of a team, copies, earlier revisions, freezing, and pages of operators."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from entrepot.client.client import Client
from entrepot.wire.messages.versions import Version
from tests.e2e.conftest import make_tree
from tests.web.browser import Watched


@pytest.fixture(scope="module")
def nests(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Three revisions: a file is changed, then another one is gone."""
    client.projects.create("Kept in order")
    place = make_tree(tmp_path_factory.mktemp("nests"), {"a.txt": b"kept-in-order 1\n", "b.txt": b"kept-in-order b\n"})
    client.data.push(place, "kept-in-order/nests", name="Nests")
    (place / "a.txt").write_bytes(b"kept-in-order 2, longer\n")
    client.data.push(place, "kept-in-order/nests")
    (place / "b.txt").unlink()
    pushed = client.data.push(place, "kept-in-order/nests")
    assert pushed.version is not None
    return pushed.version


def test_members_of_a_team_come_change_and_go(client: Client, window: Watched) -> None:
    page = window.page
    client.users.create("marge", password="correct horse")
    window.go("/ui/teams")
    window.accessible()
    page.get_by_label("Name", exact=True).fill("Keepers of order")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="Keepers of order", level=1)).to_be_visible()
    page.get_by_label("User name").fill("marge")
    page.get_by_label("May", exact=True).select_option("read")
    page.get_by_role("button", name="Add", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="marge", exact=True))
    expect(row.get_by_role("cell", name="read", exact=True)).to_be_visible()
    window.accessible()
    window.shoot("team")
    page.get_by_label("What marge may do").select_option("write")
    row.get_by_role("button", name="Change").click()
    expect(row.get_by_role("cell", name="write", exact=True)).to_be_visible()
    page.get_by_label("What marge may do").select_option("remove")
    row.get_by_role("button", name="Change").click()
    expect(row).to_have_count(0)


def test_what_changed_is_shown_and_an_earlier_revision_brought_back(
    client: Client, window: Watched, nests: Version
) -> None:
    page = window.page
    window.go(f"/ui/versions/{nests.id}/history")
    window.accessible()
    first = page.get_by_role("listitem").filter(has_text="Revision 1")
    first.get_by_role("link", name="Compare with now").click()
    changes = page.get_by_role("region", name="Changes")
    expect(changes.get_by_role("row").filter(has_text="a.txt")).to_contain_text("changed")
    expect(changes.get_by_role("row").filter(has_text="b.txt")).to_contain_text("removed")
    window.accessible()
    window.shoot("diff")
    page.get_by_role("link", name="Back to the history").click()
    first.get_by_role("link", name="Bring back").click()
    page.get_by_text("What changes: 2 files").click()
    window.accessible()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_text("nothing in between is lost")).to_be_visible()
    now = client.versions.get(nests.id)
    assert now.revision == nests.revision + 1
    assert list(client.versions.diff(now.id, 1, now.revision)) == []


def test_a_copy_is_the_next_version_and_a_frozen_one_takes_no_files(
    client: Client, window: Watched, nests: Version
) -> None:
    page = window.page
    window.go(f"/ui/versions/{nests.id}")
    page.get_by_role("link", name="Copy", exact=True).click()
    window.accessible()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    expect(page.get_by_text("version 2", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_text("do not change any more")).to_be_visible()
    expect(page.get_by_role("link", name="Add files")).to_have_count(0)
    window.accessible()
    window.shoot("frozen")
    page.get_by_role("button", name="Unfreeze").click()
    expect(page.get_by_role("link", name="Add files").first).to_be_visible()
    versions = client.versions.list(project="kept-in-order")
    assert sorted((one.number, one.frozen_at is None) for one in versions) == [(1, True), (2, True)]


def test_an_operator_finds_the_way_through_administration(window: Watched) -> None:
    page = window.page
    window.go("/ui/admin")
    for tab in ("Overview", "Users", "Storage", "Jobs", "Log"):
        page.get_by_role("navigation", name="Administration").get_by_role("link", name=tab).click()
        expect(page.locator("nav.tabs [aria-current=page]")).to_have_text(tab)
        window.accessible()
        window.shoot(f"admin-{tab.lower()}")
