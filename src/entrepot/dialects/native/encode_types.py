"""Data types and what was found out about entries, as the API tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from entrepot.depot.reports import EntryReport
from entrepot.dialects.native.encode import entry
from entrepot.model import data_types as values
from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Version
from entrepot.wire.messages import data_types as m


def data_type(one: values.DataType) -> m.DataType:
    return m.DataType(
        identifier=one.identifier,
        name=one.name,
        description=one.description,
        suffixes=list(one.suffixes),
        media_type=one.media_type,
        is_text=one.is_text,
        is_own=one.is_own,
    )


def type_list(listed: Sequence[values.DataType], counts: Mapping[str, int]) -> m.DataTypeList:
    return m.DataTypeList(rows=[data_type(one) for one in listed], versions=dict(counts))


def _report(one: values.Report, at: datetime) -> m.Report:
    return m.Report(
        standing=one.standing.value,
        recognised=one.recognised,
        examined_as=one.examined_as,
        compression=one.compression,
        found=one.found,
        findings=[m.Finding(**asdict(finding)) for finding in one.findings],
        facts=dict(one.facts),
        checked_with=list(one.checked_with),
        examined_at=at,
    )


def _parts(one: EntryReport) -> dict[str, Any]:
    found = None if one.report is None or one.examined_at is None else _report(one.report, one.examined_at)
    return {"entry": entry(one.entry), "report": found}


def entry_report(of: Version, revision: int, one: EntryReport) -> m.EntryReportDetail:
    return m.EntryReportDetail(version=ids.encode(Noun.VERSION, of.uid), revision=revision, **_parts(one))


def report_page(of: Version, revision: int, page: Page[EntryReport]) -> m.EntryReportPage:
    rows = [m.EntryReport(**_parts(one)) for one in page.rows]
    return m.EntryReportPage(version=ids.encode(Noun.VERSION, of.uid), revision=revision, rows=rows, next=page.cursor)
