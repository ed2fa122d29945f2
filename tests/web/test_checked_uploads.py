"""Tables and records sent in a browser: what they would be, the check, what it refused, and sending it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from entrepot.client.client import Client
from tests.e2e.conftest import make_tree
from tests.web.browser import Watched
from tests.web.conftest import Open

GOOD = b"id,site,weight\n1,Dream,40.5\n2,Biscoe,NA\n3,Torgersen,39.1\n"
BAD = b"id,site\n1,Dream\n2\n3,Biscoe\n"


@pytest.fixture(scope="module")
def project(client: Client) -> str:
    return client.projects.create("Checked on arrival").slug


def begin(window: Watched, project: str, kind: str, name: str, file: Path) -> Page:
    window.go(f"/ui/upload?project={project}")
    page = window.page
    page.get_by_label(kind).check()
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("#upload-files").set_input_files(file)
    return page


def test_a_table_is_looked_at_sent_checked_and_read(
    client: Client, window: Watched, project: str, tmp_path: Path
) -> None:
    make_tree(tmp_path, {"weights.csv": GOOD})
    page = begin(window, project, "A table", "Weights of birds", tmp_path / "weights.csv")
    look = page.get_by_role("region", name="What weights.csv would be")
    expect(look.get_by_role("columnheader", name="weight")).to_contain_text("text")
    expect(look.get_by_text("is a number, but not all are")).to_have_count(1)
    page.get_by_label("Words that mean that there is no value").fill("NA")
    page.get_by_label("Words that mean that there is no value").blur()
    expect(look.get_by_role("columnheader", name="weight")).to_contain_text("number, may be empty")
    expect(look.get_by_role("cell", name="Dream")).to_be_visible()
    window.accessible()
    window.shoot("upload-table-look")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Done: 3 rows")).to_be_visible()
    window.accessible()
    page.get_by_role("link", name="Look at the rows").click()
    expect(page.get_by_role("grid").get_by_text("Torgersen")).to_be_visible()
    (made,) = client.versions.list(project=project, name="Weights of birds")
    assert [one.type for one in client.tables.schema(made.id).columns] == ["Int", "String", "Float"]


def test_a_table_that_is_refused_says_which_rows_and_is_sent_again(
    client: Client, window: Watched, project: str, tmp_path: Path
) -> None:
    make_tree(tmp_path, {"bad.csv": BAD})
    page = begin(window, project, "A table", "Bad rows", tmp_path / "bad.csv")
    expect(page.get_by_text("1 row would be refused")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Not published")).to_be_visible()
    row = page.get_by_role("region", name="What was refused").get_by_role("row").nth(1)
    expect(row.get_by_role("cell").nth(1)).to_have_text("2")
    expect(row).to_contain_text("the whole row")
    window.accessible()
    window.shoot("upload-table-refused")
    page.get_by_role("button", name="Change something").click()
    page.get_by_label("Leave bad rows out").check()
    sent = window.sends()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Done: 2 rows")).to_be_visible()
    assert sent == [], "the file is there; how it is read has changed"
    expect(page.get_by_text("1 row was left out, as you asked")).to_be_visible()
    page.get_by_role("link", name="What was left out").click()
    expect(page.get_by_role("region", name="Refused rows").get_by_role("row")).to_have_count(2)
    (made,) = client.versions.list(project=project, name="Bad rows")
    assert (made.items, made.number) == (2, 1)


def test_records_show_bad_lines_before_and_after_they_are_sent(
    client: Client, window: Watched, project: str, tmp_path: Path
) -> None:
    make_tree(tmp_path, {"bad.ndjson": b'{"id": 1}\n{"id": \n', "good.ndjson": b'{"id": 1}\n{"id": 2}\n'})
    page = begin(window, project, "Records", "Boxes of birds", tmp_path / "bad.ndjson")
    expect(page.get_by_role("region", name="What bad.ndjson would be").get_by_text("Line 2:")).to_be_visible()
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Not published")).to_be_visible()
    expect(
        page.get_by_role("region", name="What was refused").get_by_role("cell", name="2", exact=True)
    ).to_be_visible()
    window.accessible()
    page.get_by_role("button", name="Change something").click()
    page.get_by_role("button", name="Choose something else").click()
    page.locator("#upload-files").set_input_files(tmp_path / "good.ndjson")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Done: 2 items")).to_be_visible()
    page.get_by_role("link", name="Look at the items").click()
    expect(page.locator(".item")).to_have_count(2)
    (made,) = client.versions.list(project=project, name="Boxes of birds")
    assert made.items == 2


def test_without_scripts_a_table_is_checked_too(
    open_window: Open, client: Client, project: str, tmp_path: Path
) -> None:
    make_tree(tmp_path, {"plain.csv": GOOD})
    watched = open_window(java_script_enabled=False)
    watched.go(f"/ui/upload?project={project}")
    page = watched.page
    page.get_by_label("A table").check()
    page.get_by_label("Name", exact=True).fill("Without scripts")
    page.get_by_label("Files", exact=True).set_input_files(tmp_path / "plain.csv")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Your files are here and are being checked")).to_be_visible()
    (made,) = client.versions.list(project=project, name="Without scripts")
    client.tables.wait_until_done(made, timeout_s=120)
    watched.go(f"/ui/versions/{made.id}/table")
    expect(page.get_by_role("cell", name="Torgersen")).to_be_visible()
