"""Run a program under what a unit of systemd demands, where there is no systemd to ask.

    python confined.py UNIT FOLDER -- COMMAND…

FOLDER is what the unit may write to, instead of the places that it names. What belongs to the manager (when to start,
when to start again) is left to it; a demand that is not known here is refused, so that no sample makes one that nobody
tried. The system calls of a set are asked of `systemd-analyze`, the filter is built by libseccomp, as systemd does it.

Own mounts take root, and a machine on which root may mount. Without them the rest is imposed, and said on standard
error. The user stays who they are, without any capability: that of root too is then somebody with files of their own.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Of <linux/prctl.h>, <sched.h>, <sys/mount.h>, <linux/mount.h>, <sys/mman.h>.
_NO_NEW_PRIVS, _CAPBSET_DROP = 38, 24
_NEW_NAMESPACE = 0x20000
_ANY_NAMESPACE = 0x7E020080
_BIND, _RECURSIVE, _PRIVATE, _NOEXEC, _NOSUID = 0x1000, 0x4000, 0x40000, 0x8, 0x2
_MOUNT_SETATTR, _READ_ONLY, _AT_RECURSIVE = 442, 0x1, 0x8000
_WRITE, _EXEC = 2, 4
# Of <seccomp.h>.
_ALLOW, _ERRNO, _EQUAL, _MASKED = 0x7FFF0000, 0x00050000, 4, 7
_EPERM, _ENOSYS = 1, 38


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What the manager does itself.
_MANAGERS = _names(
    "Type User ExecStart Restart RestartSec KillMode TimeoutStopSec OOMPolicy RemoveIPC IOSchedulingClass"
)
_MOUNTED = _names(
    "ProtectSystem ReadWritePaths ProtectHome PrivateTmp PrivateDevices ProtectProc ProtectKernelTunables "
    "ProtectControlGroups"
)
#: Capabilities and system calls that these take away are gone with all capabilities and with the filter.
_IMPLIED = _names(
    "ProtectKernelModules ProtectKernelLogs ProtectClock ProtectHostname RestrictRealtime RestrictSUIDSGID "
    "AmbientCapabilities SystemCallArchitectures"
)
_CALLS = _names(
    "RestrictAddressFamilies RestrictNamespaces LockPersonality MemoryDenyWriteExecute SystemCallFilter "
    "SystemCallErrorNumber"
)
_PLAIN = _names("NoNewPrivileges CapabilityBoundingSet LimitNOFILE UMask Nice")

_libc = ctypes.CDLL(None, use_errno=True)


class Unit:
    """A unit file: each name in the order of its lines, which may repeat."""

    def __init__(self, place: Path) -> None:
        self.demands: dict[str, list[str]] = {}
        section = ""
        for line in place.read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif section == "Service" and line and not line.startswith("#"):
                name, _, value = line.partition("=")
                self.demands.setdefault(name, []).append(value)
        unknown = self.demands.keys() - _MANAGERS - _MOUNTED - _IMPLIED - _CALLS - _PLAIN
        assert not unknown, f"{place.name} demands what nobody tried: {', '.join(sorted(unknown))}"

    def value(self, name: str, default: str = "") -> str:
        return self.demands.get(name, [default])[-1]

    def wants(self, name: str) -> bool:
        return self.value(name) in ("true", "yes", "1")

    def words(self, name: str) -> list[str]:
        return [word for value in self.demands.get(name, []) for word in value.split()]


def _asked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


# --- mounts -----------------------------------------------------------------------------------------------------------


def _mount(source: str, target: str, kind: str = "", flags: int = 0, told: str = "") -> None:
    words = [word.encode() if word else None for word in (source, target, kind)]
    _asked(_libc.mount(*words, ctypes.c_ulong(flags), told.encode() or None), f"mount {target}")


def _read_only(place: str, yes: bool, *, below: bool = False) -> None:
    attributes = (ctypes.c_uint64 * 4)(_READ_ONLY if yes else 0, 0 if yes else _READ_ONLY, 0, 0)
    flags = _AT_RECURSIVE if below else 0
    _asked(
        _libc.syscall(_MOUNT_SETATTR, -100, place.encode(), flags, ctypes.byref(attributes), ctypes.sizeof(attributes)),
        f"mount_setattr {place}",
    )


def _own_mounts(unit: Unit, folder: Path) -> None:
    _asked(_libc.unshare(_NEW_NAMESPACE), "unshare")
    _mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    # By descriptor: the way there may be hidden in a moment.
    here = os.open(folder, os.O_PATH)
    nodes = {name: os.open(f"/dev/{name}", os.O_PATH) for name in ("null", "zero", "full", "random", "urandom")}
    if unit.value("ProtectSystem") == "strict":
        _read_only("/", True, below=True)
    ours = [os.path.realpath(one) for one in (sys.prefix, sys.base_prefix, Path(__file__).parents[2])]
    if unit.wants("PrivateTmp"):
        for place in ("/tmp", "/var/tmp"):
            # A checkout in there is not where a server is installed either: it is put back, to be read.
            hidden = {one: os.open(one, os.O_PATH) for one in sorted(set(ours)) if one.startswith(f"{place}/")}
            _mount("tmpfs", place, "tmpfs", _NOSUID)
            for one, node in hidden.items():
                if not os.path.isdir(one):
                    os.makedirs(one)
                    _mount(f"/proc/self/fd/{node}", one, flags=_BIND)
                    _read_only(one, True)
                os.close(node)
    if unit.wants("ProtectHome"):
        for place in ("/home", "/root", "/run/user"):
            # A checkout in somebody's home is not where a server is installed.
            if os.path.isdir(place) and not any(one.startswith(f"{place}/") for one in ours):
                _mount("tmpfs", place, "tmpfs", 0, "mode=000")
    if unit.value("ProtectProc") == "invisible":
        _mount("proc", "/proc", "proc", 0, "hidepid=invisible")
    if unit.wants("ProtectKernelTunables"):
        _mount("/proc/sys", "/proc/sys", flags=_BIND)
        _read_only("/proc/sys", True)
    if unit.wants("PrivateDevices"):
        _mount("tmpfs", "/dev", "tmpfs", _NOEXEC | _NOSUID)
        for name, node in nodes.items():
            Path("/dev", name).touch()
            _mount(f"/proc/self/fd/{node}", f"/dev/{name}", flags=_BIND)
        Path("/dev/shm").mkdir()
        _mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID)
        for name, end in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
            Path("/dev", name).symlink_to(f"/proc/self/fd{end}")
    folder.mkdir(parents=True, exist_ok=True)
    _mount(f"/proc/self/fd/{here}", str(folder), flags=_BIND)
    _read_only(str(folder), False)
    for one in (here, *nodes.values()):
        os.close(one)


# --- system calls -----------------------------------------------------------------------------------------------------


def _sets() -> dict[str, list[str]]:
    """What systemd calls a set, and the calls and sets in it."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = {}
    current = ""
    for line in told.stdout.splitlines():
        if line.startswith("@"):
            current = line.strip()
        elif (word := line.strip()) and not word.startswith("#"):
            found.setdefault(current, []).append(word)
    return found


def _calls(sets: dict[str, list[str]], name: str) -> Iterator[str]:
    if not name.startswith("@"):
        yield name
    for one in sets.get(name, ()):
        yield from _calls(sets, one)


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def _filter(unit: Unit) -> Callable[[], None]:
    """Build the filter; what is returned puts it in force."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison)),
    )
    seccomp.seccomp_load.argtypes = (ctypes.c_void_p,)
    sets = _sets()
    allowed: set[str] = set()
    for value in unit.demands.get("SystemCallFilter", []):
        for word in value.removeprefix("~").split():
            (allowed.difference_update if value.startswith("~") else allowed.update)(_calls(sets, word))
    assert allowed, "the unit has no SystemCallFilter"
    # Calls that nobody knew when the filter was made are not there; the others are refused.
    context = seccomp.seccomp_init(ctypes.c_uint32(_ERRNO | _ENOSYS))

    def rule(action: int, call: str, *conditions: tuple[int, int, int, int]) -> None:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # Another architecture's.
        compared = (_Comparison * max(1, len(conditions)))(*(_Comparison(*one) for one in conditions))
        failed = seccomp.seccomp_rule_add_array(context, action, number, len(conditions), compared)
        assert failed == 0, f"{call}: {os.strerror(-failed)}"

    judged: dict[str, list[tuple[tuple[int, int, int, int], ...]]] = {}
    if unit.wants("RestrictNamespaces"):
        allowed -= {"unshare", "setns"}
        judged["clone"] = [((0, _MASKED, _ANY_NAMESPACE, 0),)]
        # What it is to do lies in memory, where no filter sees it; the C library then takes the other one.
        allowed.discard("clone3")
    if unit.wants("LockPersonality"):
        judged["personality"] = [((0, _EQUAL, 0, 0),)]
    if unit.wants("MemoryDenyWriteExecute"):
        judged["mmap"] = [((2, _MASKED, _WRITE | _EXEC, some),) for some in (0, _WRITE, _EXEC)]
        for call in ("mprotect", "pkey_mprotect"):
            judged[call] = [((2, _MASKED, _EXEC, 0),)]
        judged["shmat"] = [((2, _MASKED, 0o100000, 0),)]
    if families := unit.words("RestrictAddressFamilies"):
        import socket

        judged["socket"] = [((0, _EQUAL, int(getattr(socket, family)), 0),) for family in families]
    known = {*_calls(sets, "@known"), *allowed}
    for call in sorted(known):
        if call == "clone3" and call not in allowed:
            continue
        if call not in allowed:
            rule(_ERRNO | _EPERM, call)
        for conditions in judged.get(call, [()]) if call in allowed else ():
            rule(_ALLOW, call, *conditions)

    def load() -> None:
        failed = seccomp.seccomp_load(context)
        assert failed == 0, os.strerror(-failed)

    return load


def main(unit: Unit, folder: Path, command: list[str]) -> None:
    load = _filter(unit)
    try:
        _own_mounts(unit, folder)
    except PermissionError as error:
        print(f"without mounts of its own: {error}", file=sys.stderr, flush=True)
    if limit := unit.value("LimitNOFILE"):
        most = min(int(limit), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.umask(int(unit.value("UMask", "022"), 8))
    if "CapabilityBoundingSet" in unit.demands:
        assert unit.words("CapabilityBoundingSet") == [], "only none at all is known"
        number = 0
        while _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0) == 0:
            number += 1
    if unit.wants("NoNewPrivileges"):
        _asked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    load()
    os.chdir("/")
    os.execv(command[0], command)


if __name__ == "__main__":
    where = sys.argv.index("--")
    main(Unit(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[where + 1 :])
