"""The terms under which data may be used."""

from __future__ import annotations

from entrepot.wire.messages.base import Answer, Changes, Request


class NewLicence(Request):
    name: str
    url: str = ""
    permissions: list[str] = []
    conditions: list[str] = []
    limitations: list[str] = []
    domains: list[str] = []


class LicenceChanges(Changes):
    name: str = ""
    url: str = ""
    permissions: list[str] = []
    conditions: list[str] = []
    limitations: list[str] = []
    domains: list[str] = []


class Licence(Answer):
    id: str
    name: str
    url: str
    permissions: list[str]
    conditions: list[str]
    limitations: list[str]
    domains: list[str]
    standard: bool


class LicencePage(Answer):
    rows: list[Licence]
    next: str | None = None
