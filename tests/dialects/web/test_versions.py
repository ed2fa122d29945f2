"""Pages of a dataset: what is on them, what never becomes markup, and who may see them."""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from urllib.parse import quote

import pytest

from entrepot.catalog import comparison, contents
from entrepot.depot import uploads
from entrepot.web import words
from entrepot.web.routes import versions as routes
from tests.support.browsing import Premises, Visitor, plain

HOSTILE = "<img src=x onerror=alert(1)> \"q\" 's' & {{7*7}}"
README = b"""# Read me

<script>alert(1)</script> <b>bold</b>

[good](https://example.org/a) [bad](javascript:alert(1)) [worse](data:text/html,x) [mine](/ui/sign-out)
![picture](https://evil.example/x.png)

| a | b |
|---|--:|
| 1 | 2 |
"""


def url(version: str, page: str = "", **query: object) -> str:
    more = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return f"/ui/versions/{version}" + (f"/{page}" if page else "") + (f"?{more}" if more else "")


def test_the_page_says_what_it_is(premises: Premises) -> None:
    made = premises.version(
        {"README.md": README, "deep/er/data.csv": b"a,b\n1,2\n"},
        name="Field notes",
        tags=["spring"],
        description="*Why*",
    )
    page = premises.reader.page(url(made))
    for expected in ("Field notes", "Proprietary", "spring", "<em>Why</em>", "deep/", "birds/field-notes@1"):
        assert expected in page
    assert "Describe" not in premises.reader.text(url(made))
    assert "Describe" in premises.writer.text(url(made))


def test_a_readme_is_text_and_safe_links(premises: Premises) -> None:
    page = premises.reader.page(url(premises.version({"README.md": README})))
    assert "<h3>Read me</h3>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;b&gt;" in page
    assert 'href="https://example.org/a" rel="nofollow noopener noreferrer"' in page
    for never in ('href="javascript:', 'href="data:', 'href="/ui/sign-out"', "<img", "style="):
        assert never not in page
    assert '<td class="align-right">2</td>' in page


def test_a_damaged_readme_takes_nothing_else_of_the_page_along(premises: Premises) -> None:
    body = b"what is on the plates, told once"
    made = premises.version({"README.md": body, "plate.csv": b"well,1\n"})
    depot = premises.site.depot
    with depot.catalog.read() as conn:
        n = contents.find(conn, hashlib.sha256(body).digest())
        assert n is not None
        (extent,) = contents.extents(conn, n)
    depot.store.delete(extent.key)
    depot.store.put(extent.key, [body.upper()])
    page = premises.reader.text(url(made))
    assert "The stored bytes of this file are damaged" in page
    assert "plate.csv" in page
    assert "PLATES" not in page


def test_what_people_write_never_becomes_markup(premises: Premises) -> None:
    made = premises.version(name=HOSTILE, description=HOSTILE, tags=[HOSTILE], custom={HOSTILE: HOSTILE})
    path = HOSTILE.replace("/", "") + ".txt"
    put = premises.api.put(f"/versions/{made}/files/{quote(path)}", params={"message": HOSTILE}, content=b"x")
    assert put.status_code == 201
    for address in (
        url(made),
        url(made, "files"),
        url(made, "file", path=path),
        url(made, "history"),
        url(made, "diff"),
        url(made, "use"),
        "/ui/",
        "/ui/projects/birds",
    ):
        page = premises.writer.page(address)
        assert "<img src=x" not in page, address
        assert "onerror=alert(1)&gt;" in page, address
        assert "49" not in page.partition("onerror")[2][:60], address


@pytest.mark.parametrize(
    "page", ["", "files", "file?path=a.txt", "raw?path=a.txt", "history", "diff", "use", "archive"]
)
def test_what_one_may_not_see_is_not_there(premises: Premises, page: str) -> None:
    made = premises.version({"a.txt": b"secret"})
    answer = premises.outsider.get(f"/ui/versions/{made}/{page}" if page else url(made))
    missing = premises.outsider.get(f"/ui/versions/ver_{'0' * 32}/{page}" if page else url("ver_" + "0" * 32))
    assert (answer.status_code, missing.status_code) == (404, 404)
    assert "secret" not in answer.text
    assert (
        answer.text.replace(made, "X").split("</h1>")[0]
        == missing.text.replace("ver_" + "0" * 32, "X").split("</h1>")[0]
    )


def test_public_is_for_strangers_and_listed_is_its_record(premises: Premises) -> None:
    public = premises.version({"a.txt": b"for all"}, visibility="public")
    listed = premises.version({"a.txt": b"for some"}, visibility="listed")
    assert "a.txt" in premises.stranger.page(url(public))
    assert "for all" in premises.stranger.page(url(public, "file", path="a.txt"))
    assert "keep its content to themselves" in premises.stranger.text(url(listed))
    assert premises.stranger.get(url(listed, "raw", path="a.txt")).status_code in (303, 404)
    assert "Use it" not in premises.stranger.text(url(listed))


def test_uploaded_pages_and_drawings_are_only_ever_saved(premises: Premises) -> None:
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    made = premises.version({"x.svg": script, "x.html": script, "x.png": b"\x89PNG\r\n\x1a\n" + script})
    for path, kind in (("x.svg", "attachment"), ("x.html", "attachment"), ("x.png", "inline")):
        answer = premises.reader.get(url(made, "raw", path=path))
        assert answer.headers["content-disposition"].startswith(kind)
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "image/png"
    assert premises.reader.get(url(made, "raw", path="x.png", save=1)).headers["content-disposition"].startswith("att")
    assert "<script>" not in premises.reader.page(url(made, "file", path="x.svg"))


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("a.txt", b"line one\n<b>two</b>\n", "&lt;b&gt;two&lt;/b&gt;"),
        ("a.csv", b"name;n\nada;1\n", '<th scope="col">name</th><th scope="col">n</th>'),
        ("a.tsv", b"x\ty\n1\t2\n", "<td>1</td><td>2</td>"),
        ("a.ndjson", b'{"a":{"b":1}}\nnot json\n', "&#34;b&#34;: 1"),
        ("a.fastq.gz", gzip.compress(b"@r1\nACGT\n+\nIIII\n"), "ACGT"),
        ("a.fq", b"@r1 x\nACGT\n+\nII<I\n", "<td>r1 x</td><td>ACGT</td><td>II&lt;I</td>"),
        ("b.fastq", b"@r1\nACGT\nno\nreads\n", "ACGT\nno\nreads"),
        ("a.vcf", b"##fileformat=VCFv4.2\n#CHROM\tPOS\n", "fileformat=VCFv4.2"),
        ("b.vcf", b"##x=<y>\n#CHROM\tPOS\n1\t5\n", '<th scope="col">CHROM</th><th scope="col">POS</th>'),
        ("c.vcf", b"no header\n", "no header"),
        ("a.md", b"# Title\n", "<h3>Title</h3>"),
        ("a.bin", b"\0\1\2", "There is no preview"),
        ("a.gz", b"\x1f\x8bnothing", "There is no preview"),
        ("a.pdf", b"%PDF-1.4", "A PDF document"),
        ("a.png", b"\x89PNG", "<img "),
        ("empty", b"", "This file is empty"),
        ("latin.txt", b"caf\xe9\n", "café"),
        ("long.json", b"[" * 5000, "[[["),
    ],
)
def test_a_preview(premises: Premises, path: str, body: bytes, expected: str) -> None:
    made = premises.version({path: body})
    assert expected in premises.reader.page(url(made, "file", path=path))


def test_a_preview_reads_only_the_beginning(premises: Premises) -> None:
    body = b"".join(b"%d\n" % n for n in range(300_000))
    made = premises.version({"big.txt": body, "bomb.gz": gzip.compress(bytes(50 << 20), 1)})
    assert "There is no preview" in premises.reader.page(url(made, "file", path="bomb.gz"))
    page = premises.reader.page(url(made, "file", path="big.txt"))
    assert "This is the beginning of the file." in page
    assert len(page) < 60_000


def test_folders_are_paged(premises: Premises) -> None:
    made = premises.version({f"many/{n:03}.txt": b"x" for n in range(3)})
    page = premises.reader.page(url(made, "files", path="many"))
    assert "000.txt" in page
    assert "Nothing" not in page
    assert "nothing in this folder" in premises.reader.text(url(made, "files", path="none"))
    assert premises.reader.get(url(made, "file", path="none")).status_code == 404
    assert premises.reader.get(url(made, "files", revision="x")).status_code == 400
    assert premises.reader.get(url(made, "files", revision=99)).status_code == 404


def test_names_that_people_write_lead_to_the_page(premises: Premises) -> None:
    made = premises.version({"a.txt": b"1"}, name="Well known")
    premises.api.file(made, "a.txt", b"2")
    assert premises.reader.get("/ui/projects/birds/well-known").headers["location"] == url(made)
    assert premises.reader.get("/ui/projects/birds/well-known@1.1").headers["location"] == url(
        made, "files", revision=1
    )
    assert premises.outsider.get("/ui/projects/birds/well-known").status_code == 404


def test_the_history_shows_compares_and_brings_back(premises: Premises) -> None:
    made = premises.version({"a.txt": b"one"})
    premises.api.file(made, "a.txt", b"three")
    premises.api.file(made, "b.txt", b"new")
    writer = premises.writer
    assert "Revision 3" in writer.text(url(made, "history"))
    assert "added b.txt" in " ".join(writer.text(url(made, "diff", **{"from": 2, "to": 3})).split())
    assert "one" in writer.page(url(made, "file", path="a.txt", revision=1))
    assert "Bring back revision 1" in writer.text(url(made, "restore", to=1))
    assert writer.done(url(made, "restore"), to="1", expected="3", message="again") == url(made)
    assert "new revision" in writer.text(url(made))
    assert "one" in writer.page(url(made, "file", path="a.txt"))
    stale = writer.send(url(made, "restore"), to="2", expected="3", message="late")
    assert stale.status_code == 409


def test_describing(premises: Premises) -> None:
    made = premises.version({"a.txt": b"1"}, name="To describe")
    form = {"name": "Described", "description": "a\r\nb", "tags": "x, y,", "licence": "CC0-1.0", "visibility": "public"}
    licences = premises.writer.page(url(made, "edit"))
    form["licence"] = "MIT" if 'value="MIT"' in licences else "Proprietary"
    assert premises.writer.done(url(made, "edit"), **form) == url(made)
    told = premises.api.read(f"/versions/{made}")
    assert (told["name"], told["description"], told["tags"], told["visibility"]) == (
        "Described",
        "a\nb",
        ["x", "y"],
        "public",
    )
    assert premises.writer.send(url(made, "edit"), **form, edit="0").status_code == 422
    assert premises.reader.send(url(made, "edit"), **form).status_code == 403


def test_freezing_copying_and_throwing_away(premises: Premises) -> None:
    made = premises.version({"a.txt": b"unlike any other file"}, name="Passing")
    writer, chief = premises.writer, premises.chief
    writer.done(url(made, "freeze"))
    assert writer.send(url(made, "unfreeze")).status_code == 403
    chief.done(url(made, "unfreeze"))
    copied = writer.done(url(made, "copy"), project="birds", name="Passing")
    assert "version 2" in writer.text(copied)
    proposed = premises.reader.done(url(made, "copy"), project="birds", name="Passing").removesuffix("/proposal")
    assert "proposal" in premises.reader.text(proposed)
    writer.done(f"{proposed}/accept")
    for one in (copied, proposed):
        writer.done(f"{one}/trash", reason="not needed")
    assert writer.done(url(made, "trash"), reason="superseded by <b>2</b>") == url(made)
    assert "superseded by &lt;b&gt;2&lt;/b&gt;" in writer.page(url(made))
    writer.done(url(made, "reinstate"))
    writer.done(url(made, "trash"))
    assert "Remove it for good" not in writer.text(url(made))
    assert "It frees" in chief.text(url(made, "purge"))
    assert chief.send(url(made, "purge"), sure="passing").status_code == 422
    assert chief.done(url(made, "purge"), sure="Passing") == "/ui/projects/birds"
    assert chief.get(url(made)).status_code == 404


def multipart(
    visitor: Visitor, path: str, fields: dict[str, str], files: dict[str, bytes], token: str | None = None
) -> int:
    form = {"csrf": visitor.token() if token is None else token, **fields}
    sent = [("files", (name, body, "application/octet-stream")) for name, body in files.items()]
    answer = visitor.request("POST", path, data=form, files=sent)
    visitor.led = answer.headers.get("location", "")
    return answer.status_code


def test_a_new_dataset_from_a_form(premises: Premises) -> None:
    fields = {"project": "birds", "name": "From a form", "tags": "a, b", "message": "First"}
    files = {"one.txt": b"1" * 200_000, "two words.csv": b"a,b\n"}
    assert multipart(premises.writer, "/ui/upload", fields, files) == 303
    page = premises.writer.text(premises.writer.led)
    assert "From a form" in page
    assert "two words.csv" in page
    assert multipart(premises.writer, "/ui/upload", fields, files) == 409
    assert multipart(premises.reader, "/ui/upload", {**fields, "name": "Other"}, files) == 403
    assert multipart(premises.writer, "/ui/upload", {**fields, "name": "Other"}, {}) in (415, 422)
    assert multipart(premises.writer, "/ui/upload", {**fields, "name": "Other"}, files, token="0" * 64) == 403


def test_files_of_a_form_become_one_revision(premises: Premises) -> None:
    made = premises.version({"a.txt": b"1"})
    files = {"b.txt": b"2", "c.txt": b"3", "../evil": b"4"}
    assert multipart(premises.writer, url(made, "upload"), {"path": "in/side"}, files) == 422
    assert premises.api.read(f"/versions/{made}")["revision"] == 1
    del files["../evil"]
    assert multipart(premises.writer, url(made, "upload"), {"path": "in/side"}, files) == 303
    assert premises.writer.led == url(made, "files", path="in/side")
    assert premises.api.read(f"/versions/{made}")["revision"] == 2
    assert "c.txt" in premises.writer.page(premises.writer.led)
    assert multipart(premises.reader, url(made, "upload"), {}, files) == 403
    assert multipart(premises.outsider, url(made, "upload"), {}, files) == 404


def test_who_may_not_write_is_told_before_a_byte_is_kept(premises: Premises) -> None:
    made = premises.version({"a.txt": b"1"})
    for visitor in (premises.reader, premises.stranger, premises.outsider):
        assert "Add files" not in visitor.get(url(made)).text
    refused = premises.reader.get(url(made, "upload"))
    assert refused.status_code == 403
    assert "You may read thing" in plain(refused.text)
    assert 'type="file"' not in refused.text
    assert premises.outsider.get(url(made, "upload")).status_code == 404
    assert multipart(premises.reader, url(made, "upload"), {}, {"b.txt": b"2" * 100_000}) == 403
    assert multipart(premises.reader, "/ui/upload", {"project": "birds", "name": "Mine"}, {"b.txt": b"2"}) == 403
    reader = premises.site.world.login("reader")
    assert uploads.list_uploads(premises.depot, reader).rows == ()

    premises.chief.done(url(made, "freeze"))
    frozen = premises.writer.get(url(made, "upload"))
    assert (frozen.status_code, "is frozen. Copy it" in plain(frozen.text)) == (409, True)
    assert multipart(premises.writer, url(made, "upload"), {}, {"b.txt": b"2"}) == 409


def test_pages_of_changes_follow_each_other_to_the_end(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST", 3)
    monkeypatch.setattr(routes, "_CHANGES", 4)
    made = premises.version()
    for n in range(9):
        premises.api.file(made, f"f{n}.txt", b"%d" % n)
    seen: list[str] = []
    address = url(made, "diff", **{"from": 0, "to": 9})
    while address:
        page = premises.reader.page(address)
        seen += re.findall(r"file\?path=(f\d\.txt)", page)
        more = re.search(r'rel="next" href="([^"]+)"', page)
        address = html.unescape(more[1]) if more else ""
    assert seen == [f"f{n}.txt" for n in range(9)]


def test_snippets_are_quoted_for_their_shell(premises: Premises) -> None:
    made = premises.version({"it's; rm -rf.csv": b"a\n"}, name="Quoted")
    page = premises.reader.text(url(made, "use"))
    assert """'birds/quoted@1/it'"'"'s; rm -rf.csv'""" in page
    for named in ("Flow", "UFDL", "pandas.read_csv", "flow/api/downloads", "dataset_"):
        assert named in page


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["liver", "heart"], "liver, heart"),
        ({"read_length": 100, "gaps": []}, "read length: 100; gaps: –"),
        ([{"length": 1}, {"length": 2}], "length: 1 | length: 2"),
        (False, "no"),
        (None, "–"),
        (0, "0"),
    ],
)
def test_what_a_program_noted_is_written_for_people(value: object, said: str) -> None:
    assert words.fact(value) == said
