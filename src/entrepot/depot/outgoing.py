"""What leaves the house: the seam between those who know what to send and the one who can.

The use cases know nothing of sockets. The composition root puts a courier into the depot; tests put one there that
keeps what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from entrepot.model.endpoints import Endpoint

__all__ = ["Answered", "Courier", "Fetcher"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one attempt.

    Args:
        status: What the receiver answered with; None when it did not.
        error: Why not, for people; None when it did. Holds no address beyond the host, and nothing of the query.
        excerpt: The beginning of the answer's body, as text that any database can hold.
        took_s: From the first step to the status or the error.
    """

    status: int | None
    error: str | None = None
    excerpt: str = ""
    took_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver has it: a status of 2xx, nothing else."""
        return self.status is not None and 200 <= self.status < 300


class Courier(Protocol):
    """Carries requests to places outside."""

    def check(self, endpoint: Endpoint) -> None:
        """Whether the operator allows what the endpoint leads to at this moment. A name that cannot be resolved now is
        not held against it: each attempt looks again.

        Raises:
            Invalid: It does not.
        """
        ...

    def post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Answered:
        """One POST, within the time that the settings give. Never raises: what goes wrong is the answer."""
        ...


class Fetcher(Protocol):
    """Gets files from places outside."""

    def fetch(self, endpoint: Endpoint, write: Callable[[bytes], object], *, limit: int | None = None) -> None:
        """Hand on what is at an address, block by block.

        Raises:
            Invalid: It may not be gone to, or there is nothing at it: asking again changes nothing.
            TooLarge: There is more than `limit` bytes.
            Unavailable: Not now.
        """
        ...
