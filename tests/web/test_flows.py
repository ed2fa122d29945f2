"""What people do in a day: signing in, a project, a dataset in it, finding it, throwing it away and taking it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from entrepot.client.client import Client
from entrepot.model.errors import EntrepotError
from tests.e2e.conftest import make_tree
from tests.web.browser import Watched
from tests.web.conftest import Open, sign_in


def test_a_dataset_from_a_folder_to_the_trash_and_back(client: Client, window: Watched, tmp_path: Path) -> None:
    page = window.page
    place = make_tree(
        tmp_path / "cruise",
        {"README.md": b"# Second cruise\n\nKept *cold*.\n", "a/one.txt": b"1\n", "two.csv": b"k\n2\n"},
    )
    window.go("/ui/new-project")
    window.accessible()
    page.get_by_label("Name", exact=True).fill("Flows of a day")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/ui/projects/flows-of-a-day")
    window.accessible()

    page.get_by_role("link", name="New dataset").click()
    expect(page.get_by_label("In the project")).to_have_value("flows-of-a-day")
    page.get_by_label("Name", exact=True).fill("Second cruise")
    page.get_by_label("What it is").fill("Measured by hand.")
    page.get_by_label("Tags").fill("cold, sea")
    page.locator("#upload-folder").set_input_files(place)
    window.accessible()
    window.shoot("new-dataset")
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("link", name="Look at the dataset").click()
    expect(page.get_by_role("heading", name="Second cruise", level=1)).to_be_visible()
    expect(page.get_by_text("Kept cold.")).to_be_visible()
    window.accessible()
    window.shoot("dataset")
    (made,) = client.versions.list(project="flows-of-a-day")
    assert (made.description, sorted(made.tags), made.revision) == ("Measured by hand.", ["cold", "sea"], 1)

    for tab in ("Files", "History", "Provenance", "Use it"):
        page.get_by_role("navigation", name="About this version").get_by_role("link", name=tab).click()
        expect(page.get_by_role("heading", name="Second cruise", level=1)).to_be_visible()
        window.accessible()

    window.go("/ui/search")
    page.get_by_label("Words in names").press_sequentially("measured by ha", delay=5)
    expect(page.locator("main .columns .row-name", has_text="Second cruise")).to_be_visible()
    window.accessible()
    window.shoot("search")

    window.go(f"/ui/versions/{made.id}/trash")
    page.get_by_label("Why").fill("a mistake")
    page.get_by_role("button", name="Move to the trash").click()
    window.go("/ui/trash")
    expect(page.get_by_text("a mistake")).to_be_visible()
    window.accessible()
    page.get_by_role("listitem").filter(has_text="Second cruise").get_by_role("button", name="Put back").click()
    expect(page.get_by_text("Taken out of the trash")).to_be_visible()
    assert client.versions.get(made.id).trash is None


def test_a_token_is_shown_once_and_works_until_it_is_revoked(window: Watched) -> None:
    page = window.page
    window.go("/ui/me")
    window.accessible()
    fold = page.get_by_text("Make a token")
    if not page.get_by_label("What it is for").is_visible():
        fold.click()
    page.get_by_label("What it is for").fill("Flows of a day")
    page.get_by_label("It may").select_option("read")
    page.get_by_role("region", name="API tokens").get_by_role("button", name="Make it").click()
    text = page.locator(".secret").inner_text().strip()
    window.accessible()
    with Client(window.url, text) as program:
        assert program.whoami().user is not None
    page.get_by_role("link", name="I have it").click()
    expect(page.locator(".secret")).to_have_count(0)
    page.get_by_role("button", name="Revoke Flows of a day").click()
    expect(page.get_by_text("Revoked:")).to_be_visible()
    with Client(window.url, text) as program, pytest.raises(EntrepotError):
        program.whoami()


def test_a_wrong_password_is_told_and_signing_out_ends_it(open_window: Open) -> None:
    watched = open_window(stranger=True)
    page = watched.page
    watched.expected.append("Failed to load resource")
    watched.go("/ui/sign-in")
    watched.accessible()
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("not it")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    watched.accessible()
    sign_in(watched)
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    watched.page.goto(f"{watched.url}/ui/projects")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_pages_are_there_for_everybody(open_window: Open) -> None:
    """With scripts and without, in the dark and on a phone; nothing in them would stop anybody."""
    window = open_window(viewport={"width": 390, "height": 800}, color_scheme="dark")
    plain = open_window(java_script_enabled=False)
    for path in ("/ui/", "/ui/projects", "/ui/search", "/ui/activity", "/ui/tasks", "/ui/teams", "/ui/me"):
        window.go(path)
        window.accessible()
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 390, f"{path} scrolls sideways"
        window.shoot(f"phone{path.rstrip('/').replace('/', '-')}")
        plain.go(path)
        expect(plain.page.get_by_role("main").get_by_role("heading").first).to_be_visible()
