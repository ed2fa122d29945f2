"""Whose process is at the other end of a socket: asked of the system, never of the peer."""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["peer_uid"]

#: `struct ucred` of Linux: pid, uid, gid.
_UCRED = struct.Struct("3i")
#: The head of `struct xucred` of macOS and the BSDs: version, uid, number of groups.
_XUCRED = struct.Struct("IIh")
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 0x001


def peer_uid(connection: socket.socket) -> int | None:
    """The uid of the process that made the connection; None where the system does not tell.

    Where it does not, the mode of the socket and of its folder decide alone.
    """
    # Asked of a text, so that every platform's half is checked on any.
    if str(sys.platform) == "linux":
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(found)[1])
    try:
        found = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 128)
        version, uid, _ = _XUCRED.unpack_from(found)
    except (OSError, struct.error):
        return None
    return int(uid) if version == 0 else None
