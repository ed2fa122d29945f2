"""Proposals and merges as pages: who is offered what, what is shown before anything is done, and what then is done."""

from __future__ import annotations

import html
import re

import pytest

from tests.support.browsing import Premises, Visitor, plain

#: To anything but what is only read: files, comparisons, other datasets and searches.
LINK = re.compile(r'href="(/ui/(?!static|search|activity|versions/\w+/(?:file|raw|archive|diff|graph|use))[^"#]*)"')
HOSTILE = "<script>alert(1)</script>\"'"


def proposed(premises: Premises, by: Visitor | None = None, **copied: str) -> tuple[str, str]:
    """A version with two revisions, and the address of what a reader proposes beside it: its first revision."""
    made = premises.version({"a.txt": b"one"}, description="As it was")
    premises.api.file(made, "b.txt", b"two")
    led = (by or premises.reader).done(f"/ui/versions/{made}/copy", project="birds", revision="1", **copied)
    assert led.endswith("/proposal")
    return made, led.removesuffix("/proposal")


# Proposals


def test_a_reader_proposes_and_a_writer_sees_what_changes_and_accepts(premises: Premises) -> None:
    made, at = proposed(premises)
    form = premises.reader.text(f"/ui/versions/{made}/copy?revision=1")
    assert "You may not write in birds. A copy there is a proposal" in form
    page = premises.writer.text(f"{at}/proposal")
    assert "reader made this" in page
    assert "out of version 1" in page
    assert "removed b.txt" in page
    assert "From then on the name" in page
    assert "1 proposal to this dataset waits to be decided: version 2 by reader" in premises.writer.text(
        f"/ui/versions/{made}"
    )
    assert at in premises.writer.page("/ui/proposals?project=birds")
    assert "reader proposed" in premises.writer.text("/ui/activity?project=birds")
    assert premises.writer.done(f"{at}/accept") == at
    assert "it is a version like any other now" in premises.writer.text(at)
    assert at not in premises.writer.page("/ui/proposals?project=birds")
    assert "writer accepted" in premises.writer.text("/ui/activity?project=birds")
    late = premises.writer.send(f"{at}/refuse", reason="too late")
    assert (late.status_code, "it was accepted" in plain(late.text)) == (422, True)


def test_a_refusal_has_a_reason_that_the_proposer_reads(premises: Premises) -> None:
    _, at = proposed(premises)
    assert premises.writer.send(f"{at}/refuse", reason=" ").status_code == 422
    assert premises.writer.done(f"{at}/refuse", reason=HOSTILE) == "/ui/proposals?project=birds"
    page = premises.reader.page(f"{at}/proposal")
    assert HOSTILE not in page
    assert f"Refused by writer, just now : {HOSTILE}" in plain(page)
    assert "Accept" not in plain(page)
    listed = premises.reader.text("/ui/proposals?project=birds&state=closed")
    assert f"refused: {HOSTILE}" in listed


def test_a_proposal_is_withdrawn_by_whoever_made_it(premises: Premises) -> None:
    _, at = proposed(premises)
    assert "Withdraw" in premises.reader.text(f"{at}/proposal")
    assert "Accept it" not in premises.reader.text(f"{at}/proposal")
    assert "Withdraw" not in premises.writer.text(f"{at}/proposal")
    premises.site.world.user("another-reader")
    another = Visitor(premises.site).sign_in("another-reader")
    premises.chief.done("/ui/team/member", team="ornithology", user="another-reader", role="read")
    page = another.text(f"{at}/proposal")
    assert "Somebody who may write here accepts or refuses it" in page
    for deed in ("withdraw", "refuse", "accept"):
        assert another.send(f"{at}/{deed}", reason="x").status_code == 403
    assert premises.reader.send(f"{at}/accept").status_code == 403
    premises.reader.done(f"{at}/withdraw", reason="")
    assert "Withdrawn by reader" in premises.reader.text(f"{at}/proposal")


def test_a_proposal_below_the_newest_version_does_not_become_the_newest(premises: Premises) -> None:
    made, at = proposed(premises)
    premises.writer.done(f"/ui/versions/{made}/copy", project="birds")
    page = premises.writer.text(f"{at}/proposal")
    assert "Version 3 stays the newest" in page
    assert "It holds the same files" not in page


def test_proposals_are_the_projects_own_business(premises: Premises) -> None:
    _, at = proposed(premises)
    assert premises.outsider.get(f"{at}/proposal").status_code == 404
    assert premises.outsider.get("/ui/proposals?project=birds").status_code == 404
    assert premises.writer.get("/ui/proposals").status_code == 404
    assert premises.stranger.get("/ui/proposals?project=birds").headers["location"].startswith("/ui/sign-in")
    for deed in ("withdraw", "refuse"):
        assert premises.outsider.send(f"{at}/{deed}", reason="x").status_code == 404
        assert premises.writer.request("POST", f"{at}/{deed}", data={"reason": "x"}).status_code == 403
    assert "Nothing that was proposed here was refused" not in premises.writer.text("/ui/proposals?project=birds")


def test_what_is_public_is_copied_into_ones_own_project(premises: Premises) -> None:
    made = premises.version({"a.txt": b"for all"}, name="For all", visibility="public")
    assert "Copy" in premises.outsider.text(f"/ui/versions/{made}")
    page = premises.outsider.page(f"/ui/versions/{made}/copy")
    assert "birds (here" not in plain(page)
    led = premises.outsider.done(f"/ui/versions/{made}/copy", project="outsider", name="For all")
    assert "For all" in premises.outsider.text(led)
    assert "Copied." not in premises.stranger.text(f"/ui/versions/{made}")
    assert f"/ui/versions/{made}/copy" not in premises.stranger.page(f"/ui/versions/{made}")


# Merges


def test_a_merge_is_shown_and_then_done(premises: Premises) -> None:
    into = premises.version({"a.txt": b"mine", "same.txt": b"s"})
    other = premises.version({"a.txt": b"theirs", "b/new.txt": b"n", "same.txt": b"s"}, name="Other nest")
    writer = premises.writer
    assert f"/ui/versions/{into}/merge" in writer.page(f"/ui/versions/{into}")
    assert "other-nest@1" in writer.page(f"/ui/versions/{into}/merge")
    page = writer.page(f"/ui/versions/{into}/merge?other=other-nest")
    said = plain(page)
    for expected in ("1 file would be added", "1 file would come under another name", "1 file is here already"):
        assert expected in said
    assert "a-0001.txt" in said
    assert "b/new.txt" in said
    hidden = dict(re.findall(r'type="hidden" name="(other|\w+_revision)" value="([^"]*)"', html.unescape(page)))
    assert hidden["other"] == other
    led = writer.done(f"/ui/versions/{into}/merge", **hidden, trash="1")
    assert "Merged" in writer.text(led)
    assert "a-0001.txt" in writer.page(f"{led}/files")
    assert "was moved to the trash" in writer.text(f"/ui/versions/{other}")


def test_a_merge_of_what_has_changed_meanwhile_is_not_done(premises: Premises) -> None:
    into, other = premises.version({"a.txt": b"1"}), premises.version({"b.txt": b"2"})
    late = {"other": other, "target_revision": "1", "source_revision": "0"}
    answer = premises.writer.send(f"/ui/versions/{into}/merge", **late)
    assert (answer.status_code, "has changed since" in plain(answer.text)) == (409, True)
    assert premises.api.read(f"/versions/{into}")["revision"] == 1


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("nothing-there", "There is no birds/nothing-there"),
        (HOSTILE, "<script>"),
        ("ver_0190b2c4e1f27d3a9c55d2a1b7e8f905", "There is no"),
    ],
)
def test_what_cannot_be_merged_is_told_on_the_form(premises: Premises, other: str, said: str) -> None:
    into = premises.version({"a.txt": b"1"})
    answer = premises.writer.get(f"/ui/versions/{into}/merge", params={"other": other})
    assert answer.status_code == 200
    assert said in plain(answer.text)
    assert "<script>alert" not in answer.text


def test_a_version_is_not_merged_into_itself_nor_a_file_into_a_folder(premises: Premises) -> None:
    into, other = premises.version({"a/b.txt": b"1"}), premises.version({"a": b"2"})
    assert "That is this very version" in premises.writer.text(f"/ui/versions/{into}/merge?other={into}")
    page = premises.writer.page(f"/ui/versions/{into}/merge?other={other}")
    assert "a file and a folder at once" in plain(page)
    assert 'name="target_revision"' not in page


def test_who_may_not_change_it_is_offered_no_merge(premises: Premises) -> None:
    into, other = premises.version({"a.txt": b"1"}), premises.version({"b.txt": b"2"})
    assert f"/ui/versions/{into}/merge" not in premises.reader.page(f"/ui/versions/{into}")
    assert premises.reader.get(f"/ui/versions/{into}/merge").status_code == 403
    assert premises.outsider.get(f"/ui/versions/{into}/merge").status_code == 404
    form = {"other": other, "target_revision": "1", "source_revision": "1"}
    assert premises.reader.send(f"/ui/versions/{into}/merge", **form).status_code == 403
    assert premises.writer.request("POST", f"/ui/versions/{into}/merge", data=form).status_code == 403
    premises.writer.done(f"/ui/versions/{into}/freeze")
    assert f"/ui/versions/{into}/merge" not in premises.writer.page(f"/ui/versions/{into}")


def test_no_page_leads_where_its_reader_is_refused(premises: Premises) -> None:
    made, at = proposed(premises)
    gone = premises.version({"a.txt": b"1"}, name="Gone astray")
    premises.writer.done(f"/ui/versions/{gone}/trash")
    pages = [f"/ui/versions/{made}", f"/ui/versions/{made}/history", f"{at}/proposal", f"/ui/versions/{gone}"]
    pages += ["/ui/projects/birds", "/ui/team?name=ornithology", "/ui/trash", "/ui/"]
    for name in ("reader", "writer", "chief"):
        visitor, followed = premises.people[name], set(pages)
        for page in pages:
            answer = visitor.get(page)
            assert answer.status_code in (200, 404), (name, page)
            for link in set(re.findall(LINK, answer.text)) - followed:
                followed.add(link)
                assert visitor.get(html.unescape(link)).status_code in (200, 303), (name, page, link)
    assert "Put back Gone astray" in premises.writer.page("/ui/trash")
    assert "Put back Gone astray" not in premises.reader.page("/ui/trash")
