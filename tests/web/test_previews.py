"""What a file looks like without being downloaded, kind by kind, and work that shows how far it is."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from entrepot.client.client import Client
from entrepot.wire.messages.versions import Version
from tests.e2e.conftest import make_tree
from tests.web.browser import Watched

#: Four pixels, three of them coloured.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAABytg0kAAAAFklEQVR4nGP8z8Dwn4GBgYGJAQoYGRkBAB4kAgMbyeZqAAAAAElFTkSuQmCC"
)


def pdf(*pages: str, locked: bool = False) -> bytes:
    """A document with a line of text on each page, in a font that readers must bring along."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] /MediaBox [0 0 300 200] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, text in enumerate(pages):
        drawn = f"0 0 1 rg 0 0 150 40 re f BT /F1 24 Tf 20 120 Td ({text}) Tj ET"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * at} 0 R >>",
            f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{one}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    # A check that no password passes is all that it takes to be locked.
    check = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'5a' * 32}> /U <{'a5' * 32}> >> /ID [<01> <01>]"
    size = len(objects) + 1
    end = f"trailer << /Size {size} /Root 1 0 R {check if locked else ''} >>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


FILES = {
    "notes.txt": b"Cold <b>and</b> wet.\n",
    "README.md": b"# Notes of a cruise\n\n- [x] *cold*\n",
    "photo.png": PNG,
    "birds.csv": b"name;weight\nAda;40\nBo;39\n",
    "boxes.ndjson": b'{"label": "cat", "box": {"x": 1}}\nnot json\n',
    "damaged.pdf": b"%PDF-1.4\n%%EOF\n",
    "locked.pdf": pdf("Nobody reads this", locked=True),
    "paper.pdf": pdf("Cold currents", "Warm currents"),
    "reads.fastq.gz": gzip.compress(b"@read 1\nACGT\n+\nIIII\n@read 2\nTTTT\n+\n!!!!\n"),
    "calls.vcf": b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t100\t.\tA\tG\n",
    "page.html": b"<script>document.title = 'taken over'</script><h1>Big</h1>",
    "blob.bin": bytes(range(256)),
}


@pytest.fixture(scope="module")
def kinds(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Version:
    client.projects.create("Looked into")
    pushed = client.data.push(make_tree(tmp_path_factory.mktemp("kinds"), FILES), "looked-into/kinds", name="Kinds")
    assert pushed.version is not None
    return pushed.version


def test_files_are_looked_into_by_their_kind(window: Watched, kinds: Version) -> None:
    page = window.page

    def open_(name: str) -> None:
        window.go(f"/ui/versions/{kinds.id}/files")
        page.get_by_role("region", name="Files").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()

    open_("notes.txt")
    expect(page.locator("pre.preview")).to_have_text("Cold <b>and</b> wet.")
    open_("README.md")
    expect(page.locator(".prose").get_by_role("heading", name="Notes of a cruise")).to_be_visible()
    open_("photo.png")
    picture = page.get_by_role("img", name="photo.png")
    expect(picture).to_be_visible()
    assert picture.evaluate("(one) => one.complete && one.naturalWidth") == 2
    open_("birds.csv")
    rows = page.get_by_role("region", name="The first rows")
    expect(rows.get_by_role("columnheader", name="weight")).to_be_visible()
    expect(rows.get_by_role("cell", name="Ada")).to_be_visible()
    window.accessible()
    open_("boxes.ndjson")
    expect(page.get_by_role("heading", name="Line 2")).to_be_visible()
    expect(page.locator("pre", has_text='"label": "cat"')).to_be_visible()
    open_("reads.fastq.gz")
    expect(page.get_by_role("columnheader", name="Sequence")).to_be_visible()
    expect(page.get_by_role("cell", name="TTTT")).to_be_visible()
    expect(page.get_by_text("It is compressed; this is what is inside.")).to_be_visible()
    open_("calls.vcf")
    expect(page.get_by_role("columnheader", name="CHROM")).to_be_visible()
    page.get_by_text("What the file says of itself").click()
    expect(page.get_by_text("fileformat=VCFv4.2")).to_be_visible()
    window.accessible()
    window.shoot("file-vcf")
    open_("page.html")
    expect(page.locator("pre.preview")).to_contain_text("<script>")
    assert "taken over" not in page.title()
    open_("blob.bin")
    expect(page.get_by_text("There is no preview of this kind of file")).to_be_visible()
    with page.expect_download() as found:
        page.get_by_role("link", name="Download (256 B)").click()
    assert found.value.path().read_bytes() == FILES["blob.bin"]


def test_the_pages_of_a_pdf_are_turned_in_the_page(
    window: Watched, open_window: Callable[..., Watched], kinds: Version
) -> None:
    page, where = window.page, f"/ui/versions/{kinds.id}/file?path="
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    window.go(where + "notes.txt")
    assert not [url for url in asked if "/pdf" in url], "the reader burdens other pages"

    window.go(where + "paper.pdf")
    first = page.get_by_role("img", name="Page 1 of paper.pdf")
    expect(first).to_be_visible()
    expect(page.get_by_text("Page 1 of 2", exact=True)).to_be_visible()
    # The lower left corner is blue, the upper right one paper, and the letters between them have ink.
    look = """(canvas) => {
        const {width, height} = canvas, pen = canvas.getContext("2d");
        const at = (x, y) => [...pen.getImageData(x * width, y * height, 1, 1).data];
        const letters = pen.getImageData(0.05 * width, 0.25 * height, 0.6 * width, 0.2 * height).data;
        return [at(0.1, 0.95), at(0.9, 0.1), letters.filter((one, i) => i % 4 === 0 && one < 128).length > 100];
    }"""
    assert first.evaluate(look) == [[0, 0, 255, 255], [255, 255, 255, 255], True]
    assert any("/pdf/fonts/" in url for url in asked), "the letters are not those of the machine"
    page.get_by_text("Text of this page").click()
    expect(page.get_by_label("Text of this page")).to_have_text("Cold currents")
    window.accessible()
    window.shoot("file-pdf")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("img", name="Page 2 of paper.pdf")).to_be_visible()
    expect(page.get_by_text("Page 2 of 2", exact=True)).to_be_visible()
    expect(page.get_by_label("Text of this page")).to_have_text("Warm currents")
    expect(page.get_by_role("button", name="Next page")).to_be_disabled()
    page.get_by_role("region", name="Page, turned by the arrow keys").press("ArrowLeft")
    expect(page.get_by_label("Text of this page")).to_have_text("Cold currents")

    window.go(where + "damaged.pdf")
    expect(page.get_by_role("alert")).to_contain_text("is damaged, or is no PDF")
    expect(page.get_by_role("link", name="Download (15 B)")).to_be_visible()
    window.accessible()
    window.go(where + "locked.pdf")
    expect(page.get_by_role("alert")).to_contain_text("protected by a password")

    plain = open_window(java_script_enabled=False)
    plain.go(where + "paper.pdf")
    expect(plain.page.get_by_text("A PDF document. Download it to read it")).to_be_visible()


def test_a_task_is_followed_to_its_end_without_loading_the_page(
    client: Client, window: Watched, kinds: Version
) -> None:
    """The server's own page, on which the task is as far as the test wants it: real ones are over at once."""
    table = client.tables.create_from_bytes("Followed", b"n\n2\n1\n", project="looked-into", timeout_s=120)
    page = window.page
    # The order is being made when it is asked for first.
    window.expected.append("Failed to load resource")
    window.go(f"/ui/versions/{table.id}/table?sort=n")
    expect(page.get_by_role("rowheader", name="1", exact=True)).to_be_visible()
    task = next(one for one in client.tasks.list() if one.kind == "table.sort")
    window.go(f"/ui/tasks/{task.id}")
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    body = page.content()
    far = [1]

    def live(route: Route) -> None:
        if not far:
            route.continue_()
            return
        started = body.replace(
            'id="live"',
            f'id="live" hx-get="{route.request.url}" hx-trigger="every 100ms" hx-select="#live" hx-swap="outerHTML"',
        )
        bar = f'<progress max="4" value="{far[0]}">{far[0]} of 4</progress>'
        route.fulfill(
            body=started.replace('<div role="status">', f'<div role="status">{bar}', 1), content_type="text/html"
        )

    page.route(f"**/ui/tasks/{task.id}", live)
    window.go(f"/ui/tasks/{task.id}")
    page.evaluate("window.same = true")
    expect(page.locator("#live progress")).to_have_js_property("value", 1)
    far[0] = 2
    expect(page.locator("#live progress")).to_have_js_property("value", 2)
    far.clear()
    expect(page.locator("#live progress")).to_have_count(0)
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    assert page.evaluate("window.same"), "nothing was loaded anew"


def test_columns_that_are_being_counted_appear_by_themselves(client: Client, window: Watched, kinds: Version) -> None:
    rows = b"".join(b"%d,%d\n" % (n, n % 3) for n in range(200_000))
    columns = ",".join(f"c{i}" for i in range(12))
    wide = b"".join(b"%d,0,0,0,0,0,0,0,0,0,0,1\n" % n for n in range(len(rows.splitlines())))
    made = client.tables.create_from_bytes(
        "Counted", columns.encode() + b"\n" + wide, project="looked-into", timeout_s=120
    )
    window.go(f"/ui/versions/{made.id}/table/columns")
    expect(
        window.page.get_by_text("12 columns are being counted").or_(window.page.get_by_role("region", name="c0")).first
    ).to_be_visible()
    expect(
        window.page.get_by_role("region", name="c0").get_by_role("definition").filter(has_text="199 999")
    ).to_be_visible()
    window.accessible()
