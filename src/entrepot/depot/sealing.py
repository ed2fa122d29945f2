"""Keeping secrets that must be used again: sealed with a key that is not in the database.

What only has to be compared is stored as a digest. What the server must be able to say again, such as the key that
signs what is sent to a webhook, is stored encrypted (AES-256-GCM, as a compact JWE of RFC 7516). The key is derived
from the installation's secret, which lies in the data folder or in a setting and in no catalogue, and from what the
sealed text belongs to: a copy of the database alone opens nothing, and one row's text does not open in another.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from entrepot.depot.context import Depot
from entrepot.model.errors import Corrupt

if TYPE_CHECKING:
    # A whole library of ciphers: loaded by those who need it.
    from joserfc.jwk import OctKey

__all__ = ["seal", "unseal"]

_HEADER = {"alg": "dir", "enc": "A256GCM"}


def seal(depot: Depot, owner: str, plain: bytes) -> str:
    """A text that only this installation can open.

    Args:
        owner: The id of what it belongs to.
    """
    from joserfc import jwe

    return jwe.encrypt_compact(_HEADER, plain, _key(depot, owner), algorithms=[*_HEADER.values()])


def unseal(depot: Depot, owner: str, text: str) -> bytes:
    """What `seal` was given.

    Raises:
        Corrupt: It is of another installation, another key or another owner, or was changed.
    """
    from joserfc import jwe
    from joserfc.errors import JoseError

    try:
        found = jwe.decrypt_compact(text, _key(depot, owner), algorithms=[*_HEADER.values()])
    except (JoseError, ValueError) as unread:
        raise Corrupt(
            f"The secret of {owner} cannot be opened with this server's key. Put the key back, or give it a new secret."
        ) from unread
    if found.plaintext is None:
        raise Corrupt(f"The secret of {owner} is empty. Give it a new one.")
    return found.plaintext


def _key(depot: Depot, owner: str) -> OctKey:
    from joserfc.jwk import OctKey

    purpose = b"entrepot sealed secret of " + owner.encode()
    return OctKey.import_key(hmac.new(depot.secret, purpose, hashlib.sha256).digest())
