"""The limit on guessing passwords: failures only, for an account and an address together.

Rows, not memory: several servers may share the accounts. The account is kept as a keyed digest, because people type
their password where the name belongs, and that must not be readable in a table.

    before the password is looked at   refuse, if there were too many failures lately
    after                              look again, in the transaction that notes the outcome: guesses sent side by
                                       side all pass the first look

A right password clears the account's failures from that address, unless the limit was reached meanwhile.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from datetime import datetime

from entrepot.catalog import sessions as rows
from entrepot.catalog.connection import Connection
from entrepot.depot.context import Depot
from entrepot.model.errors import RateLimited


def account_key(depot: Depot, name: str) -> str:
    """What failures of this account are filed under, whether or not there is such an account."""
    key = hmac.new(depot.secret, b"entrepot login failures", hashlib.sha256).digest()
    return hmac.new(key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def require_room(depot: Depot, conn: Connection, account: str, address: str | None) -> None:
    """Raise when the limit is reached.

    Raises:
        RateLimited: `details["retry_after_s"]` says in how many seconds the next attempt will be looked at.
    """
    limit, window, now = depot.policy.login_failures, depot.policy.login_window, depot.now()
    failures = rows.failures(conn, account, address or "", now - window)
    if len(failures) < limit:
        return
    wait = max(1, math.ceil((failures[-limit] + window - now).total_seconds()))
    raise RateLimited(
        f"Too many failed logins for this account from this address. Try again in {wait} s.",
        details={"retry_after_s": wait},
    )


def failed(conn: Connection, account: str, address: str | None, at: datetime) -> None:
    rows.add_failure(conn, account, address or "", at)


def succeeded(conn: Connection, account: str, address: str | None) -> None:
    rows.clear_failures(conn, account, address or "")
