"""Rows, columns, SQL, items and provenance: as pages that anybody can read, and as windows over all there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from entrepot.client.client import Client
from entrepot.model.errors import EntrepotError
from entrepot.wire.messages.versions import Version
from tests.web.browser import Watched
from tests.web.conftest import Open

ROWS = 5000
CSV = b"id,site,weight,when,note\n" + b"".join(
    b"%d,%s,%.1f,2024-%02d-11,%s\n"
    % (i, (b"Dream", b"Biscoe")[i % 2], 40 + i % 17 + 0.5, i % 12 + 1, b"<script>x</script>" if i == 3 else b"")
    for i in range(ROWS)
)
ITEMS = [
    {"id": i, "label": ("cat", "dog")[i % 2], "score": i / 50, "box": {"x": i, "y": [1, 2]}, "note": None}
    for i in range(50)
]


@pytest.fixture(scope="module")
def project(client: Client) -> str:
    return client.projects.create("Contents of versions").slug


@pytest.fixture(scope="module")
def table(client: Client, project: str) -> Version:
    return client.tables.create_from_bytes("Weights", CSV, project=project, timeout_s=120)


@pytest.fixture(scope="module")
def items(client: Client, project: str, tmp_path_factory: pytest.TempPathFactory) -> Version:
    place = tmp_path_factory.mktemp("items") / "items.ndjson"
    place.write_text("".join(json.dumps(one) + "\n" for one in ITEMS), encoding="utf-8")
    made = client.records.create("Boxes", place, project=project)
    return client.records.wait_until_done(made, interval=0.2, timeout=120)


def test_rows_are_a_window_over_all_of_them(window: Watched, table: Version) -> None:
    page = window.page
    window.go(f"/ui/versions/{table.id}/table")
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", str(ROWS + 1))
    expect(grid.get_by_role("gridcell", name="Dream").first).to_be_visible()
    assert grid.get_by_role("row").count() < 100, "only what can be seen is there"
    page.get_by_role("region", name="All rows").focus()
    page.keyboard.press("Control+End")
    expect(grid.get_by_role("rowheader", name=str(ROWS - 1), exact=True)).to_be_visible()
    page.keyboard.press("Home")
    expect(page.get_by_role("region", name="The chosen cell")).to_have_text(f"id, row {ROWS - 1}: {ROWS - 1}")
    page.locator(".grid-view").evaluate("(view) => { view.scrollTop = 100 * 32; }")
    expect(grid.get_by_role("rowheader", name="100", exact=True)).to_be_visible()
    window.accessible()
    window.shoot("table")


def test_rows_that_fit_and_rows_in_an_order(window: Watched, table: Version) -> None:
    page = window.page
    window.go(f"/ui/versions/{table.id}/table")
    page.get_by_label("Only rows where").fill('site == "Biscoe" and id < 100')
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("50 rows fit of 5\u00a0000")).to_be_visible()
    window.expected.append("Failed to load resource")
    page.get_by_label("Only rows where").fill("")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("columnheader", name="id").get_by_role("button").click()
    page.get_by_role("columnheader", name="id").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="id")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("rowheader", name=str(ROWS - 1), exact=True)).to_be_visible()
    page.goto(f"{window.url}/ui/versions/{table.id}/table?where=nonsense+%3D%3D")
    expect(page.locator(".box.bad")).to_be_visible()


def test_a_cell_that_is_changed_is_a_new_revision(client: Client, window: Watched, project: str) -> None:
    made = client.tables.create_from_bytes("Edited", b"k,word\n1,one\n2,to\n3,three\n", project=project, timeout_s=120)
    page = window.page
    window.go(f"/ui/versions/{made.id}/table")
    page.get_by_role("gridcell", name="to", exact=True).dblclick()
    page.get_by_label("word, row 1").fill("two")
    page.get_by_role("button", name="Set", exact=True).click()
    window.accessible()
    page.get_by_role("button", name="Save 1 cell as a new revision").click()
    expect(page.get_by_text("All rows of revision 2 as")).to_be_visible()
    assert [tuple(row.values()) for row in client.tables.rows(made.id)] == [(1, "one"), (2, "two"), (3, "three")]
    assert [one.type for one in client.tables.schema(made.id).columns] == ["Int", "String"]


def test_columns_are_told_in_bars_and_in_words(window: Watched, table: Version) -> None:
    window.go(f"/ui/versions/{table.id}/table/columns")
    weight = window.page.get_by_role("region", name="weight")
    expect(weight.get_by_role("img")).to_be_visible()
    expect(weight.locator("figcaption")).to_contain_text("% lie between")
    expect(window.page.get_by_role("region", name="site").get_by_role("row", name="Biscoe")).to_contain_text(
        "2\u00a0500"
    )
    window.accessible()
    window.shoot("table-columns")


def test_sql_is_asked_and_answered(window: Watched, table: Version) -> None:
    page = window.page
    window.go(f"/ui/versions/{table.id}/table/sql")
    page.get_by_label("One SELECT").fill("SELECT site, count(*) AS n FROM t GROUP BY 1 ORDER BY 1")
    page.get_by_label("One SELECT").press("Control+Enter")
    expect(page.get_by_role("heading", name="2 rows")).to_be_visible()
    expect(page.get_by_role("row", name="Biscoe 2500")).to_be_visible()
    window.accessible()
    page.get_by_label("One SELECT").fill("DROP TABLE t")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="No answer")).to_be_visible()


def test_exports_are_downloads(window: Watched, table: Version) -> None:
    window.go(f"/ui/versions/{table.id}/table")
    with window.page.expect_download() as found:
        window.page.get_by_role("link", name="CSV").click()
    assert found.value.suggested_filename == "weights.csv"
    assert Path(found.value.path()).read_bytes().count(b"\n") == ROWS + 1


def test_rows_that_were_refused_are_told(client: Client, window: Watched, project: str) -> None:
    columns = [{"name": "k", "type": "Int"}]
    with pytest.raises(EntrepotError):
        client.tables.create_from_bytes("Refused", b"k\n1\nx\n", project=project, columns=columns, timeout_s=120)
    (made,) = client.versions.list(project=project, name="Refused")
    window.go(f"/ui/versions/{made.id}/table/rejects")
    expect(window.page.get_by_role("row", name="x").first).to_be_visible()
    window.accessible()
    window.shoot("table-refused")


def test_items_are_trees_and_a_table(window: Watched, items: Version) -> None:
    page = window.page
    window.go(f"/ui/versions/{items.id}/records")
    expect(page.get_by_role("listitem").filter(has_text="Item 0").first).to_contain_text("cat")
    page.get_by_role("button", name="Close all").click()
    expect(page.locator(".tree details[open]")).to_have_count(0)
    window.accessible()
    window.shoot("records")
    page.get_by_label("From item").fill("49")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".item")).to_have_count(1)
    page.get_by_label("From item").fill("")
    page.get_by_label("Shown as").select_option("a table")
    page.get_by_label("Only items where").fill('label == "dog"')
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(26)
    window.go(f"/ui/versions/{items.id}/records/keys")
    expect(page.get_by_role("row", name="score")).to_be_visible()
    window.accessible()


def test_provenance_is_a_drawing_and_a_table(client: Client, window: Watched, table: Version, items: Version) -> None:
    client.relationships.create(items.id, table.id, "derived_from", qualifiers={"tool": "R 4.4"})
    page = window.page
    window.go(f"/ui/versions/{table.id}/graph")
    row = page.get_by_role("table").get_by_role("row", name="Boxes")
    expect(row).to_contain_text("R 4.4")
    window.accessible()
    window.shoot("provenance")
    page.locator(".graph a", has_text="Boxes").click()
    page.wait_for_url(f"**/ui/versions/{items.id}/graph")


def test_all_of_it_can_be_read_without_scripts(open_window: Open, table: Version, items: Version) -> None:
    watched = open_window(java_script_enabled=False)
    page = watched.page
    watched.go(f"/ui/versions/{table.id}/table?first=4990")
    expect(page.get_by_role("rowheader", name="4999", exact=True)).to_be_visible()
    watched.go(f"/ui/versions/{table.id}/table?where=id+%3D%3D+3")
    expect(page.get_by_role("cell", name="<script>x</script>")).to_be_visible()
    watched.go(f"/ui/versions/{items.id}/records?as=table&first=48")
    expect(page.get_by_role("rowheader", name="49")).to_be_visible()
    watched.go(f"/ui/versions/{items.id}/graph")
    expect(page.get_by_role("main")).to_be_visible()


def test_it_fits_a_phone_in_the_dark(open_window: Open, table: Version) -> None:
    watched = open_window(viewport={"width": 390, "height": 800}, color_scheme="dark")
    watched.go(f"/ui/versions/{table.id}/table")
    expect(watched.page.get_by_role("grid")).to_be_visible()
    watched.accessible()
    watched.shoot("table-phone-dark")
    wide = watched.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, "nothing but the rows scrolls sideways"
