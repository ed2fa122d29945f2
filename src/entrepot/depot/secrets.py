"""Texts that open doors: how they are made, and what is kept of them."""

from __future__ import annotations

import base64
import hashlib

from entrepot.depot.context import Depot

#: In front of each token: whoever finds one in a file or a log can tell whose it is, and no command line takes it for
#: an option, as it would a text that begins with `-`.
TOKEN_PREFIX = "ent_"  # noqa: S105
#: 32 letters and digits without 0, 1, l and o.
_TYPED = "abcdefghijkmnpqrstuvwxyz23456789"


def new_token(depot: Depot) -> str:
    """47 characters of `[A-Za-z0-9_-]`: the prefix and 32 random bytes."""
    return TOKEN_PREFIX + new_cookie(depot)


def new_cookie(depot: Depot) -> str:
    """43 characters of `[A-Za-z0-9_-]`: 32 random bytes."""
    return base64.urlsafe_b64encode(depot.entropy(32)).rstrip(b"=").decode()


def new_password(depot: Depot) -> str:
    """20 characters that people can type: no two of them look alike. 100 random bits."""
    return "".join(_TYPED[byte & 31] for byte in depot.entropy(20))


def digest(text: str) -> bytes:
    """What is stored instead of the text, and looked up by.

    A plain hash is enough: nobody guesses 256 random bits, so there is nothing to slow down.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
