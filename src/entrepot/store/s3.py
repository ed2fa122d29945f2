"""Objects in a bucket of S3, or of anything that speaks its protocol.

    BUCKET/PREFIX/
      3f/3f0c…(32 digits)       one object: exactly its bytes
      arriving/3f0c…            what a client sent by a signed address, until it is copied and checked

Small objects are made by one conditional request (`If-None-Match: *`), larger ones by a multipart upload, which shows
nothing before its last request. That last request is not conditional, so it is preceded by a look: a key is only ever
used by the one upload whose row names it, and two at once would be two finishes of the same bytes. Parts of an upload
whose process died are invisible and cost space until the bucket's own rule removes them; docs/how-to/use-s3.md has it.

Every request carries the SHA-256 of its body in its signature, so a server that checks signatures also checks bytes.
Reading asks for ranges: exactly what was asked at first, then ever larger blocks ahead while somebody reads in order.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

import obstore
from obstore import exceptions as failures
from obstore.store import S3Store as Bucket

from entrepot.model.digests import Digests
from entrepot.model.errors import Conflict, Corrupt, EntrepotError, Invalid, NotFound, Unavailable, WrongState
from entrepot.store.base import Block, ObjectReader, check_key
from entrepot.store.hashing import Hasher, digests_of
from entrepot.store.verifying import blocks_of

__all__ = ["S3Address", "S3Store"]

_MIB: Final = 1 << 20
#: What is made by one request, and the size of a part. Those under way are held in memory.
PART: Final = 8 * _MIB
_PARTS_AT_ONCE: Final = 3
#: Ten thousand are allowed; parts of objects whose size is known grow to keep to it.
_MOST_PARTS: Final = 9_000
#: Bytes fetched ahead for somebody who reads in order.
_AHEAD: Final = 8 * _MIB
_SIZES: Final = 4096
#: Of one PUT, and of one copy inside the bucket.
_LARGEST_ARRIVAL: Final = 5 << 30


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where a bucket is and how to get in. What is None is taken from the surroundings, as other S3 programs do.

    Args:
        url: `s3://BUCKET/PREFIX`.
        endpoint: The server's address, where it is not Amazon's.
        path_style: Whether the bucket stands in the path instead of the host name.
        timeout: Of one request.
        patience: How long a request that fails for no fault of ours is tried again.
        public_endpoint: The server's address as clients have to write it, where that is another.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    path_style: bool = True
    timeout: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(seconds=90)
    public_endpoint: str | None = None

    def open(self) -> Bucket:
        """The bucket; nothing is asked of it yet.

        Raises:
            Invalid: The address is none.
        """
        parts = urlsplit(self.url)
        prefix = parts.path.strip("/")
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise Invalid(f"{self.url!r} is no address of a bucket. Write s3://BUCKET or s3://BUCKET/PREFIX.")
        given: Any = {
            "endpoint": self.endpoint,
            "region": self.region or ("us-east-1" if self.endpoint else None),
            "access_key_id": self.key_id,
            "secret_access_key": self.secret,
        }
        try:
            return Bucket(
                parts.netloc,
                prefix=prefix or None,
                virtual_hosted_style_request=not self.path_style,
                client_options={
                    "allow_http": (self.endpoint or "").startswith("http://"),
                    "timeout": self.timeout,
                    "connect_timeout": timedelta(seconds=10),
                },
                retry_config={
                    "max_retries": 5,
                    "retry_timeout": self.patience,
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=10),
                        "base": 2,
                    },
                },
                **{name: value for name, value in given.items() if value is not None},
            )
        except failures.BaseError as error:
            raise Invalid(f"The bucket {self.url!r} cannot be used: {_said(error)}.") from error


class S3Store:
    """`ObjectStore` in a bucket.

    Args:
        name: What the catalogue and messages call the store.
        part: Bytes of a part, and of the largest object made by one request; tests give less.
    """

    def __init__(self, address: S3Address, *, name: str = "s3", part: int = PART) -> None:
        self.name = name
        self._bucket = address.open()
        # Only signs: the address is part of what is signed.
        self._shown = (
            self._bucket
            if address.public_endpoint is None
            else replace(address, endpoint=address.public_endpoint).open()
        )
        self._part = part
        self._sizes = _Sizes(_SIZES)

    def open(self, key: str) -> ObjectReader:
        size = self._sizes.get(check_key(key))
        if size is None:
            size = self.stat(key)
        if size is None:
            raise NotFound(f"Store {self.name!r} has no object {key}.")
        self._sizes.set(key, size)
        return _Reader(self, key, size)

    def put(self, key: str, blocks: Iterable[Block]) -> Digests:
        return self.put_sized(key, blocks, 0)

    def put_sized(self, key: str, blocks: Iterable[Block], size: int) -> Digests:
        """As `put`, of so many bytes: parts are made large enough for all of them."""
        check_key(key)
        hasher = Hasher()
        part = max(self._part, -(-size // _MOST_PARTS))
        parts = _Parts(self._hashed(blocks, hasher), part)
        first = parts.next()
        small = not parts.has_more()
        # Looked at also before a conditional request: not every server that speaks the protocol knows conditions.
        self._refuse_taken(key)
        try:
            if small:
                obstore.put(self._bucket, _path(key), first, mode="create", use_multipart=False)
            else:
                self._upload(key, itertools.chain([first], iter(parts.next, b"")), part)
        except (failures.BaseError, FileNotFoundError) as error:
            if not self._arrived(key, hasher.digests()):
                if isinstance(error, failures.AlreadyExistsError | failures.PreconditionError):
                    raise self._taken(key) from None
                raise self._translated(error, f"put object {key}") from error
        digests = hasher.digests()
        self._sizes.set(key, digests.size)
        return digests

    def delete(self, key: str) -> None:
        check_key(key)
        self._sizes.drop(key)
        self._remove(_path(key), f"remove object {key}")

    def _remove(self, path: str, doing: str) -> None:
        try:
            obstore.delete(self._bucket, path)
        except FileNotFoundError:
            return
        except failures.BaseError as error:
            raise self._translated(error, doing) from error

    def stat(self, key: str) -> int | None:
        return self._size(_path(check_key(key)), f"look at object {key}")

    def _size(self, path: str, doing: str) -> int | None:
        try:
            return int(obstore.head(self._bucket, path)["size"])
        except FileNotFoundError:
            return None
        except failures.BaseError as error:
            raise self._translated(error, doing) from error

    def keys(self) -> Iterator[str]:
        try:
            for rows in obstore.list(self._bucket):
                for row in rows:
                    folder, _, key = row["path"].rpartition("/")
                    if len(key) == 32 and folder == key[:2]:
                        yield key
        except failures.BaseError as error:
            raise self._translated(error, "list the objects") from error

    def probe(self) -> None:
        path = "probe"
        try:
            obstore.put(self._bucket, path, b"probe")
            found = bytes(obstore.get(self._bucket, path).bytes())
            obstore.delete(self._bucket, path)
        except FileNotFoundError as error:
            raise Unavailable(
                f"Store {self.name!r}: there is no such bucket, or what is written to it is not there. Make the "
                "bucket, or correct the setting `store`."
            ) from error
        except failures.BaseError as error:
            raise self._translated(error, "write and read a probe") from error
        if found != b"probe":
            raise Unavailable(f"Store {self.name!r} gave back other bytes than were written a moment ago.")

    def close(self) -> None:
        """Nothing is held."""

    @property
    def largest_arrival(self) -> int:
        return _LARGEST_ARRIVAL

    def sign_read(self, key: str, lifetime: timedelta) -> str:
        return self._signed("GET", _path(check_key(key)), lifetime)

    def sign_arrival(self, key: str, lifetime: timedelta) -> str:
        return self._signed("PUT", _arrival(check_key(key)), lifetime)

    def _signed(self, method: Literal["GET", "PUT"], path: str, lifetime: timedelta) -> str:
        try:
            return obstore.sign(self._shown, method, path, lifetime)
        except failures.BaseError as error:
            raise self._translated(error, "sign an address") from error

    def arrived(self, key: str) -> int | None:
        return self._size(_arrival(check_key(key)), f"look at arrival {key}")

    def take(self, arrival: str, key: str) -> None:
        self._refuse_taken(check_key(key))
        try:
            obstore.copy(self._bucket, _arrival(check_key(arrival)), _path(key))
        except FileNotFoundError:
            raise NotFound(f"Nothing arrived in store {self.name!r} as {arrival}. Send it again.") from None
        except failures.BaseError as error:
            raise self._translated(error, f"take arrival {arrival}") from error

    def forget_arrival(self, key: str) -> None:
        self._remove(_arrival(check_key(key)), f"remove arrival {key}")

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Bytes inside of an object; for its readers.

        Raises:
            NotFound: It was deleted.
            Corrupt: There came others than were asked for.
        """
        try:
            found = bytes(obstore.get_range(self._bucket, _path(key), start=offset, length=length))
        except FileNotFoundError:
            self._sizes.drop(key)
            raise NotFound(f"Store {self.name!r} has no object {key} any more.") from None
        except failures.BaseError as error:
            raise self._translated(error, f"read object {key}") from error
        if len(found) != length:
            raise Corrupt(
                f"Store {self.name!r} gave {len(found)} bytes of object {key} from {offset}, not {length}. "
                "Run `entrepot verify`."
            )
        return found

    def _hashed(self, blocks: Iterable[Block], hasher: Hasher) -> Iterator[Block]:
        for block in blocks:
            hasher.update(block)
            yield block

    def _upload(self, key: str, parts: Iterator[bytes], part: int) -> None:
        obstore.put(
            self._bucket, _path(key), parts, use_multipart=True, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
        )

    def _arrived(self, key: str, digests: Digests) -> bool:
        """Whether the object is there although a request for it failed.

        An answer was lost then, and the library, which asked again, was told that the object exists already, or that
        there is no such upload any more.
        """
        try:
            if self.stat(key) != digests.size:
                return False
            with self.open(key) as reader:
                return digests_of(blocks_of(reader)) == digests
        except EntrepotError:
            return False

    def _refuse_taken(self, key: str) -> None:
        if self.stat(key) is not None:
            raise self._taken(key)

    def _taken(self, key: str) -> EntrepotError:
        return Conflict(f"Store {self.name!r} already has an object {key}. It was not changed; take a new key.")

    def _translated(self, error: Exception, doing: str) -> EntrepotError:
        if isinstance(error, FileNotFoundError):
            return Unavailable(f"Store {self.name!r} could not {doing}: there is no such bucket.")
        # Listing has no error of its own for it.
        refused = isinstance(error, failures.PermissionDeniedError | failures.UnauthenticatedError)
        if refused or "403 Forbidden" in str(error):
            return Unavailable(
                f"Store {self.name!r} could not {doing}: the bucket refuses our key. Correct the settings s3_key_id "
                "and s3_secret, or what the key may do."
            )
        return Unavailable(f"Store {self.name!r} could not {doing}: {_said(error)}. Try again later.")


class _Parts:
    """Blocks of any size as parts of one size, the last one shorter."""

    def __init__(self, blocks: Iterator[Block], size: int) -> None:
        self._blocks = blocks
        self._size = size
        self._held = bytearray()
        self._ended = False

    def next(self) -> bytes:
        """The next part; empty when there is none."""
        self._fill(self._size)
        part = bytes(self._held[: self._size])
        del self._held[: self._size]
        return part

    def has_more(self) -> bool:
        self._fill(1)
        return bool(self._held)

    def _fill(self, wanted: int) -> None:
        while len(self._held) < wanted and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                self._held += block


class _Sizes:
    """Sizes of objects that were there a moment ago, the least recently used forgotten. Objects never change."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, int] = OrderedDict()

    def get(self, key: str) -> int | None:
        with self._lock:
            return self._known.get(key)

    def set(self, key: str, size: int) -> None:
        with self._lock:
            self._known[key] = size
            self._known.move_to_end(key)
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def drop(self, key: str) -> None:
        with self._lock:
            self._known.pop(key, None)


class _Reader:
    """`ObjectReader` by ranges, with one block ahead."""

    def __init__(self, store: S3Store, key: str, size: int) -> None:
        self.size = size
        self._store = store
        self._key = key
        self._lock = threading.Lock()
        self._start = 0
        self._block = b""
        #: Where the last read ended, and how much is fetched when the next one begins there.
        self._next = -1
        self._ahead = 0
        self._closed = False

    def read_at(self, offset: int, length: int) -> bytes:
        if self._closed:
            raise WrongState(f"The reader of object {self._key} was closed. Open the object again.")
        if offset < 0 or length < 0:
            raise Invalid(f"Offset {offset} and length {length} must not be negative.")
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        with self._lock:
            held = self._held(offset, length)
            if held is not None:
                self._next = offset + length
                return held
            # Twice as much each time, so that a whole read of a large object asks seldom and a short one asks for
            # little more than it wanted.
            self._ahead = min(_AHEAD, max(length, self._ahead) * 2) if offset == self._next else 0
            self._next = offset + length
            wanted = min(max(length, self._ahead), self.size - offset)
            if wanted > length:
                self._block = self._store.read(self._key, offset, wanted)
                self._start = offset
                return self._block[:length]
        return self._store.read(self._key, offset, length)

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytes | None:  # noqa: ARG002
        if self._closed or offset < 0 or length <= 0 or offset + length > self.size:
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            found = self._held(offset, length)
            if found is not None:
                self._next = offset + length
            return found
        finally:
            self._lock.release()

    def close(self) -> None:
        self._closed = True
        self._block = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _held(self, offset: int, length: int) -> bytes | None:
        at = offset - self._start
        return self._block[at : at + length] if at >= 0 and at + length <= len(self._block) else None


def _path(key: str) -> str:
    return f"{key[:2]}/{key}"


def _arrival(key: str) -> str:
    return f"arriving/{key}"


def _said(error: Exception) -> str:
    """What the library says, without the address and headers that it adds."""
    text: Any = str(error).partition("Debug source")[0].strip().rstrip(".")
    return " ".join(text.split())[:300]
