"""Signing in by somebody else's word: whose word counts, and what they said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Identity", "Oidc", "Proven"]


@dataclass(frozen=True, slots=True)
class Oidc:
    """A provider of OpenID Connect that this server believes, as its operator set it up.

    Args:
        issuer: None: there is none.
        label: What its button says.
        name_claim: Which claim new accounts are named after.
        allowed_domains: Only people whose verified address is in one of these; empty allows all.
        allowed_groups: Only people who are in one of these; empty allows all.
        create_accounts: Whether whoever may sign in and has no account gets one.
    """

    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    label: str = "your organisation"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    allowed_domains: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    create_accounts: bool = False


@dataclass(frozen=True, slots=True)
class Proven:
    """Who somebody is, after everything that a provider said was checked.

    Args:
        subject: What the provider calls them, for ever and for nobody else.
        name: What a new account would be named after.
        email: Only an address that the provider says it verified.
    """

    issuer: str
    subject: str
    name: str
    email: str | None = None
    first_name: str = ""
    last_name: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """One way in of an account: what a provider calls its person, and in `shown` what it calls them for people."""

    issuer: str
    subject: str
    shown: str
    created_at: datetime
    last_used_at: datetime | None
