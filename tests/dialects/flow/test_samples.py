"""Samples, sheets of annotation and reads of many samples at the Flow door."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import pytest
from python_calamine import load_workbook

from entrepot.depot import browse, entries, relationships, versions
from entrepot.depot.browse import Wanted
from tests.support.flow import Lab, error_of

FIELDS = {"sample_name": "liver 1", "sample_type": "RNA-Seq", "strandedness": "reverse", "source": "liver"}


def reads(lab: Lab, *names: str, **fields: str) -> Any:
    """A sample of these files, as the client sends it; the last answer."""
    before: list[str] = []
    answer: Any = None
    for name in names:
        last = name == names[-1]
        told: dict[str, Any] = {**FIELDS, **fields, "is_last_sample": "true" if last else "false"}
        if before:
            told["previous_data"] = before
        first = lab.writer.chunk(name.encode(), filename=name, last=False, to="/upload/sample", **told)
        assert first.status_code == 200, first.text
        data = first.json()["data_id"]
        answer = lab.writer.chunk(
            b"!", filename=name, offset=len(name.encode()), data=data, to="/upload/sample", **told
        )
        assert answer.status_code == 200, answer.text
        before.append(answer.json()["data_id"])
    return answer.json()


def test_one_file_of_reads_is_a_sample(lab: Lab) -> None:
    made = reads(lab, "r1.fastq.gz", organism="Hs", project=str(lab.project))
    shown = lab.reader.ok("GET", f"/samples/{made['sample_id']}")
    assert (shown["name"], shown["sample_type"], shown["organism"]) == ("liver 1", "rna-seq", "9606")
    assert shown["metadata"] == {"strandedness": "reverse", "source": "liver"}
    assert [one["filename"] for one in shown["data"]] == ["r1.fastq.gz"]
    version = versions.get(lab.depot, lab.site.world.login("writer"), int(made["sample_id"])).version
    assert version.custom["sample_type"] == "rna-seq"
    assert version.custom["source"] == "liver"


def test_two_files_are_one_version_in_their_order(lab: Lab) -> None:
    made = reads(lab, "z_R1.fastq.gz", "a_R2.fastq.gz")
    n = int(made["sample_id"])
    found = list(entries.iterate(lab.depot, lab.site.world.login("writer"), n, by_position=True)[2])
    assert [one.path for one in found] == ["z_R1.fastq.gz", "a_R2.fastq.gz"]
    listed = lab.reader.ok("GET", "/data/search", params={"filename": "_R", "count": "100"})["data"]
    mine = {one["id"]: one for one in listed if one["id"].startswith(f"{n}-")}
    assert set(mine) == {f"{n}-0", f"{n}-1"}
    assert mine[f"{n}-0"]["sample_name"] == "liver 1"
    assert lab.reader.bytes_of(f"{n}-1", "a_R2.fastq.gz") == b"a_R2.fastq.gz!"
    assert lab.reader.ok("GET", f"/data/{n}")["sample"] == {"id": str(n), "name": "liver 1"}
    assert lab.reader.ok("GET", f"/projects/{lab.project}/samples")["samples"][0]["id"] == str(n)
    assert lab.writer.ok("GET", "/samples/owned")["count"] >= 1
    assert lab.reader.ok("GET", "/samples/search", params={"name": "LIVER"})["count"] >= 1
    assert lab.outsider.ok("GET", "/samples/search")["count"] == 0
    assert lab.outsider("GET", f"/samples/{n}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"sample_type": "nothing"}, {"sample_type"}),
        ({"sample_type": ""}, {"sample_type"}),
        ({"sample_name": ""}, {"sample_name"}),
        ({"strandedness": "sideways"}, {"strandedness"}),
        ({"sample_type": "chip-seq", "organism": "Unicorn"}, {"purification_target", "organism"}),
        ({"project": "999999"}, {"project"}),
        ({"project": "x"}, {"project"}),
    ],
)
def test_what_is_wrong_with_a_sample_is_said_with_the_first_chunk(
    lab: Lab, fields: dict[str, str], names: set[str]
) -> None:
    refused = lab.writer.chunk(b"x", last=False, to="/upload/sample", **{**FIELDS, **fields})
    assert refused.status_code == 400
    assert set(error_of(refused)) == names


def test_a_sample_is_made_whole_or_not_at_all(lab: Lab) -> None:
    told = {**FIELDS, "is_last_sample": "true"}
    for previous in ("up_" + "0" * 32, "17"):
        refused = lab.writer.chunk(b"x", to="/upload/sample", previous_data=previous, **told)
        assert refused.status_code == 404
    unfinished = lab.writer.chunk(b"x", last=False, to="/upload/sample", **FIELDS).json()["data_id"]
    assert lab.writer.chunk(b"x", to="/upload/sample", previous_data=unfinished, **told).status_code == 400
    # Two files of one name cannot lie beside each other.
    first = lab.writer.chunk(b"x", to="/upload/sample", is_last_sample="false", **FIELDS).json()["data_id"]
    assert lab.writer.chunk(b"y", to="/upload/sample", previous_data=first, **told).status_code == 400
    wanted = Wanted(project=lab.project)
    assert browse.list_versions(lab.depot, lab.site.world.login("writer"), wanted).rows == ()


def test_a_project_of_others_takes_no_sample(lab: Lab) -> None:
    refused = lab.reader.chunk(b"x", to="/upload/sample", project=str(lab.project), **FIELDS)
    assert refused.status_code == 403


# Sheets


def sheet(*rows: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


GOOD = sheet(["Sample Name", "sample_type", "barcode"], ["one", "rna-seq", "ACGT"], ["two", "RNA-Seq", "TTTT"])


def annotate(lab: Lab, content: bytes, filename: str = "sheet.csv", **fields: str) -> Any:
    return lab.writer.chunk(content, filename=filename, to="/upload/annotation", **fields)


def test_a_good_sheet_is_kept_as_annotation(lab: Lab) -> None:
    made = annotate(lab, GOOD).json()["id"]
    assert lab.reader.ok("GET", f"/data/{made}")["category"] == 2
    assert lab.reader.bytes_of(made, "sheet.csv") == GOOD


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (sheet(["a", "b"], ["1", "2"]), "no column `name`"),
        (sheet(["name"]), "no samples"),
        (sheet(["name", "name"], ["a", "b"]), "two columns"),
        (sheet(["name", "source"], ["", "liver"]), "no name"),
        (sheet(["name"], ["a"], ["a"]), "row 2 already"),
        (sheet(["name", "sample_type"], ["a", "nothing"]), "no sample type"),
        (sheet(["name", "sample_type"], ["a", "chip-seq"]), "required"),
        (sheet(["name", "strandedness"], ["a", "up"]), "none of"),
        (b"name\n\xff\xfe", "UTF-8"),
        (b'name\n"a', "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_sheet(lab: Lab, content: bytes, says: str) -> None:
    refused = annotate(lab, content, ignore_warnings="true")
    assert refused.status_code == 400
    found = error_of(refused)["validation"]
    assert all(set(one) == {"row", "column", "message"} for one in found)
    assert any(says in one["message"] for one in found), found


def test_warnings_are_told_once_and_can_be_sent_over(lab: Lab) -> None:
    content = sheet(["name", "colour", "organism"], ["a b", "red", "Unicorn"])
    refused = annotate(lab, content)
    assert refused.status_code == 400
    assert {one["column"] for one in error_of(refused)["warnings"]} == {"name", "colour", "organism"}
    assert annotate(lab, content, ignore_warnings="true").status_code == 200


@pytest.mark.parametrize("body", [b"", b"hello", b"PK\3\4" + bytes(100)])
def test_a_workbook_that_is_none(lab: Lab, body: bytes) -> None:
    assert "validation" in error_of(annotate(lab, body, "sheet.xlsx"))
    assert "validation" in error_of(annotate(lab, body, "sheet.docx"))


def test_a_template_is_a_workbook_that_is_understood(lab: Lab) -> None:
    made = lab.anonymous("GET", "/annotation/rna_seq")
    assert made.headers["content-type"].endswith("spreadsheetml.sheet")
    (header,) = load_workbook(io.BytesIO(made.content)).get_sheet_by_index(0).to_python()
    assert {"name", "organism", "strandedness", "source"} <= set(header)
    assert "purification_target" not in header
    assert "strandedness" not in lab.anonymous("GET", "/annotation/generic").text
    assert lab.anonymous("GET", "/annotation/nothing").status_code == 404
    # As it is it has no samples, and that is all that is wrong with it.
    (wrong,) = error_of(annotate(lab, made.content, "sheet.xlsx"))["validation"]
    assert "no samples" in wrong["message"]
    row = '<row r="2"><c r="A2" t="inlineStr"><is><t>one</t></is></c></row></sheetData>'
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made.content)) as packed, zipfile.ZipFile(out, "w") as filled:
        for name in packed.namelist():
            filled.writestr(name, packed.read(name).decode().replace("</sheetData>", row))
    assert annotate(lab, out.getvalue(), "sheet.xlsx").status_code == 200


def test_reads_of_many_samples_are_bound_to_their_sheet(lab: Lab) -> None:
    writer = lab.site.world.login("writer")
    annotation = int(annotate(lab, GOOD).json()["id"])
    one = lab.writer.upload(b"1", "m_R1.fastq.gz", to="/upload/multiplexed")
    two = lab.writer.upload(b"2", "m_R2.fastq.gz", to="/upload/multiplexed", reads1=one)
    assert lab.reader.ok("GET", f"/data/{two}")["category"] == 3
    edges = relationships.list_relationships(lab.depot, writer, int(two)).rows
    assert {(edge.verb, edge.target.n if edge.target else None) for edge in edges} == {
        ("annotated_by", annotation),
        ("paired_with", int(one)),
    }
