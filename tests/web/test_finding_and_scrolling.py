"""Far more rows than a browser can scroll over, and datasets that are found while somebody types."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route, expect

from entrepot.client.client import Client
from entrepot.wire.messages.versions import Version
from tests.web.browser import Watched
from tests.web.conftest import Open

#: Of 32 pixels each they would be higher than any element may be.
ROWS = 10_000_000


@pytest.fixture(scope="module")
def project(client: Client) -> str:
    return client.projects.create("Finding and scrolling").slug


@pytest.fixture(scope="module")
def table(client: Client, project: str) -> Version:
    return client.tables.create_from_bytes("Sparrow weights", b"id,twice\n0,0\n1,2\n", project=project, timeout_s=120)


@pytest.fixture
def endless(window: Watched, table: Version) -> Watched:
    """The table's page, on which it has ten million rows: the server's answers are made up here."""

    def page(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r'data-total="\d+"', f'data-total="{ROWS}"', answer.text()))

    def rows(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        first, limit = int(asked["first"][0]), int(asked["limit"][0])
        some = [{"n": n, "values": [n, 2 * n]} for n in range(first, min(ROWS, first + limit))]
        columns = [{"name": name, "type": "Int", "nullable": False, "list": False} for name in ("id", "twice")]
        body = {"columns": columns, "total": ROWS, "rows": some, "next": None}
        route.fulfill(body=json.dumps(body), content_type="application/json")

    window.page.route(f"**/ui/versions/{table.id}/table*", page)
    window.page.route("**/api/v1/versions/*/rows*", rows)
    window.go(f"/ui/versions/{table.id}/table")
    expect(window.page.get_by_role("grid")).to_have_attribute("aria-rowcount", str(ROWS + 1))
    return window


def test_every_one_of_ten_million_rows_can_be_reached(endless: Watched) -> None:
    page = endless.page
    grid, view = page.get_by_role("grid"), page.locator(".grid-view")

    def shows(row: int) -> None:
        expect(grid.get_by_role("rowheader", name=str(row), exact=True)).to_be_visible()
        expect(grid.get_by_role("row").filter(has_text=str(row)).get_by_role("gridcell").nth(1)).to_have_text(
            str(2 * row)
        )

    # By its number, without loading the page again.
    page.evaluate("window.same = true")
    page.get_by_label("Go to row").fill("7654321")
    page.get_by_label("Go to row").press("Enter")
    shows(7_654_321)
    expect(page.get_by_role("region", name="The chosen cell")).to_have_text("id, row 7654321: 7654321")
    assert page.evaluate("window.same")
    assert page.url.endswith("first=7654321")
    # By the keys and by the wheel: each row, and not only every hundredth.
    page.keyboard.press("ArrowDown")
    shows(7_654_322)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("region", name="The chosen cell")).to_have_text("twice, row 7654322: 15308644")
    before = int(grid.get_by_role("rowheader").first.inner_text())
    view.hover()
    page.mouse.wheel(0, 96)
    expect(grid.get_by_role("rowheader").first).to_have_text(str(before + 3))
    page.mouse.wheel(0, -160)
    expect(grid.get_by_role("rowheader").first).to_have_text(str(before - 2))
    # By the scroll bar: its end is the last row, its middle the middle.
    view.evaluate("(view) => { view.scrollTop = view.scrollHeight; }")
    shows(ROWS - 1)
    view.evaluate("(view) => { view.scrollTop = (view.scrollHeight - view.clientHeight) / 2; }")
    expect(grid.get_by_role("rowheader").first).to_have_text(re.compile(r"^(4999|5000)\d{3}$"))
    view.focus()
    page.keyboard.press("Control+End")
    shows(ROWS - 1)
    page.keyboard.press("Control+Home")
    shows(0)
    assert view.evaluate("(view) => view.scrollHeight") < 10_000_000, "no browser takes more"
    assert grid.get_by_role("row").count() < 100
    endless.accessible()


def test_dragging_over_millions_of_rows_fetches_where_the_hand_rests(endless: Watched) -> None:
    page = endless.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/rows?" in request.url else None)
    page.locator(".grid-view").evaluate(
        """async (view) => {
          for (let i = 1; i <= 60; i++) {
            view.scrollTop = i * 100000;
            await new Promise((resolve) => requestAnimationFrame(resolve));
          }
        }"""
    )
    rested = page.locator(".grid-view").evaluate("(view) => view.scrollTop")
    expect(page.locator(".grid-view td.wait")).to_have_count(0)
    assert rested == 6_000_000
    assert 1 <= len(asked) <= 2, "only the pages under the hand, however quickly the others could have come"


def test_datasets_are_suggested_while_somebody_types(window: Watched, table: Version) -> None:
    page = window.page
    window.go("/ui/projects")
    field = page.get_by_role("combobox", name="Search datasets")
    options = page.get_by_role("listbox", name="Datasets").get_by_role("option")
    field.press_sequentially("sparrow wei", delay=5)
    expect(options.first).to_contain_text("Sparrow weights")
    expect(options.first).to_contain_text("finding-and-scrolling · 2 rows")
    expect(field).to_have_attribute("aria-expanded", "true")
    window.accessible()
    window.shoot("suggestions")
    field.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    field.press("ArrowUp")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(0)
    field.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    field.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(field).to_have_value("sparrow wei")
    field.press("ArrowDown")
    expect(options.first).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    page.wait_for_url(f"**/ui/versions/{table.id}")
    # Enter without a choice searches, as the form does by itself.
    field.fill("sparrow")
    expect(options.first).to_be_visible()
    field.press("Enter")
    page.wait_for_url("**/ui/search?q=sparrow")
    expect(page.get_by_role("heading", name="Datasets with “sparrow”")).to_be_visible()


def test_the_field_searches_without_scripts_and_when_nothing_is_suggested(open_window: Open, table: Version) -> None:
    plain = open_window(java_script_enabled=False)
    plain.go("/ui/projects")
    plain.page.get_by_label("Search datasets").fill("sparrow")
    plain.page.get_by_label("Search datasets").press("Enter")
    plain.page.wait_for_url("**/ui/search?q=sparrow")
    expect(plain.page.get_by_role("link", name="Sparrow weights")).to_be_visible()
    window = open_window()
    window.expected.append("Failed to load resource")
    window.page.route("**/ui/suggest*", lambda route: route.fulfill(status=503, body=""))
    window.go("/ui/projects")
    window.page.get_by_label("Search datasets").press_sequentially("sparrow")
    window.page.get_by_label("Search datasets").press("Enter")
    window.page.wait_for_url("**/ui/search?q=sparrow")


def test_suggestions_fit_a_phone_in_the_dark(open_window: Open, table: Version) -> None:
    window = open_window(viewport={"width": 390, "height": 800}, color_scheme="dark")
    window.go("/ui/")
    window.page.get_by_label("Search datasets").press_sequentially("sparrow")
    expect(window.page.get_by_role("option").first).to_be_visible()
    window.accessible()
    window.shoot("suggestions-phone-dark")
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 390
