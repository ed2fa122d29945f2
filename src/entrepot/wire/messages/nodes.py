"""Worker machines that people act for."""

from __future__ import annotations

from entrepot.wire.messages.base import Answer, Instant, Request


class NewNode(Request):
    name: str


class NodeChanges(Request):
    active: bool


class Node(Answer):
    id: str
    name: str
    active: bool
    created_at: Instant


class NodePage(Answer):
    rows: list[Node]
    next: str | None = None
