"""A real PostgreSQL for tests: one server per test process, and for each test a database that is as new.

The distribution's binaries are used (Debian keeps them outside PATH). PostgreSQL refuses to run as root, so
under root the server runs as `postgres` or `nobody` in a temporary folder of theirs. One server per xdist
worker rather than one for all: its life is then a fixture's life, and nobody has to find out who is last.

fsync is off, because what these tests ask is what SQL does, not what a power cut does to PostgreSQL. The
default collation is an ICU one that does not sort by bytes: a query that needs byte order and forgets to say
so fails here instead of on somebody's server.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from tests.support import connections

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
PORT_ATTEMPTS = 5


class PostgresUnavailable(Exception):
    """PostgreSQL cannot be started here; the message says what is missing."""


class _PortTaken(Exception):
    """Somebody else took the port between asking for a free one and using it."""


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: that of ENTREPOT_TEST_POSTGRES, else of PATH, else Debian's newest."""
    named = os.environ.get("ENTREPOT_TEST_POSTGRES")
    if named:
        if not (Path(named) / "initdb").exists():
            raise PostgresUnavailable(f"ENTREPOT_TEST_POSTGRES names {named}, which has no initdb in it")
        return Path(named)
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "postgres").exists():
        return Path(on_path).resolve().parent

    def release(folder: Path) -> float:
        match = re.search(r"postgresql/(\d+(?:\.\d+)?)/", str(folder))
        return float(match[1]) if match else 0.0

    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=release)
    found = [folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not found:
        raise PostgresUnavailable(
            "there is no PostgreSQL server here (Debian: apt-get install postgresql; "
            "elsewhere put initdb on PATH or name its folder in ENTREPOT_TEST_POSTGRES)"
        )
    return found[-1]


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as: nobody else unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailable("PostgreSQL refuses to run as root and there is neither a user postgres nor nobody")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


#: What tells that the schema is untouched: every row of the system's catalogues that is not the system's own, with the
#: transaction that wrote it; and settings of the database.
_SCHEMA = """
    select md5(coalesce(string_agg(said, ' ' order by said), '')) from (
        select 'class ' || oid || ' ' || xmin as said from pg_class where oid >= 16384
        union all select 'column ' || attrelid || ' ' || attnum || ' ' || xmin from pg_attribute where attrelid >= 16384
        union all select 'constraint ' || oid || ' ' || xmin from pg_constraint where oid >= 16384
        union all select 'trigger ' || oid || ' ' || xmin from pg_trigger where oid >= 16384
        union all select 'function ' || oid || ' ' || xmin from pg_proc where oid >= 16384
        union all select 'type ' || oid || ' ' || xmin from pg_type where oid >= 16384
        union all select 'namespace ' || oid || ' ' || xmin from pg_namespace where oid >= 16384
        union all select 'extension ' || oid || ' ' || xmin from pg_extension
        union all select 'setting ' || s.setconfig::text from pg_db_role_setting s join pg_database d
            on d.oid = s.setdatabase where d.datname = current_database()
    ) everything
"""
_TABLES = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
_SEQUENCES = "select sequencename, start_value, last_value from pg_sequences where schemaname = 'public'"
#: A database that grew beyond this since it was made is dropped: what was deleted still lies in its files.
_GROWTH_BYTES = 8 << 20


class _Lent:
    """A database that is lent to one test after the other."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.schema = ""
        self.size = 0
        self.empty = ""
        self.digests = ""
        #: By table that has rows: their digest, and they themselves as `copy` writes them.
        self.rows: dict[str, tuple[str, bytes]] = {}
        #: Stays from one test to the next: a new one has to learn of 300 relations before it can empty them.
        self._connection: Any = None

    @classmethod
    def look(cls, server: PostgresServer, name: str) -> _Lent:
        """Remember how it is while it is new."""
        found = cls(server, name)
        with found._connected() as connection:
            found.schema = _value(connection, _SCHEMA)
            found.size = _value(connection, "select pg_database_size(current_database())")
            tables = [row[0] for row in connection.execute(_TABLES)]
            full = [table for table in tables if _value(connection, f'select count(*) from "{table}"')]
            asked = (
                f"""select '{table}', md5(string_agg(t::text, ' ' order by t::text)) from "{table}" t"""
                for table in full
            )
            found.digests = " union all ".join(asked) or "select where false"
            for table, digest in connection.execute(found.digests).fetchall():
                with connection.cursor().copy(f'copy "{table}" to stdout') as copy:
                    found.rows[table] = (digest, b"".join(bytes(block) for block in copy))
            empty = [f'delete from "{table}"' for table in tables if table not in full]
            # A sequence that was never asked has no last value.
            restart = [
                f"""select setval('"{sequence}"', {start if last is None else last}, {str(last is not None).lower()})"""
                for sequence, start, last in connection.execute(_SEQUENCES)
            ]
            found.empty = "; ".join(empty + restart)
        return found

    def wash(self) -> bool:
        """Make it as new; False where that cannot be done."""
        import psycopg

        try:
            with self._connected() as connection:
                if not _alone(connection) or (
                    _value(connection, _SCHEMA) != self.schema
                    or _value(connection, "select pg_database_size(current_database())") > self.size + _GROWTH_BYTES
                ):
                    return False
                connection.execute(self.empty)
                for table, digest in connection.execute(self.digests).fetchall():
                    was, rows = self.rows[table]
                    if digest != was:
                        connection.execute(f'delete from "{table}"')
                        with connection.cursor().copy(f'copy "{table}" from stdin') as copy:
                            copy.write(rows)
                return True
        except psycopg.Error:
            return False

    def close(self) -> None:
        """End its own connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """Its own connection, which is a new one after anything went wrong."""
        import psycopg

        try:
            if self._connection is not None:
                # The server may have been stopped meanwhile.
                with contextlib.suppress(psycopg.OperationalError):
                    self._connection.execute("select 1")
                if self._connection.closed:
                    self.close()
            if self._connection is None:
                self._connection = self._connect()
            yield self._connection
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Any:
        import psycopg

        # The rules between tables are not asked: everything goes. A forgotten prepared transaction holds locks forever.
        options = "-c session_replication_role=replica -c lock_timeout=5s -c synchronous_commit=off"
        address = self.server.url(self.name, driver="postgresql")
        return psycopg.connect(address, autocommit=True, options=options, cursor_factory=psycopg.ClientCursor)


def _alone(connection: Any) -> bool:
    """End all other connections to the database, as a drop by force would, but for those that are kept as new."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    left = ["pg_backend_pid()", *map(str, connections.kept(connection.info.dbname))]
    others = f"datname = current_database() and pid not in ({', '.join(left)})"
    while _value(connection, f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {others}"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def _value(connection: Any, question: str) -> Any:
    return connection.execute(question).fetchone()[0]


class PostgresServer:
    """A running server on a loopback port and a Unix socket. Close it; a `with` block does.

    Raises:
        PostgresUnavailable: There are no binaries, or the server did not come up; its log is in the message.
    """

    settings: ClassVar[dict[str, str]] = {
        "listen_addresses": "127.0.0.1",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "shared_buffers": "32MB",
        "logging_collector": "off",
        "autovacuum_naptime": "10min",
    }

    def __init__(self) -> None:
        self.binaries = find_binaries()
        self._account = _unprivileged()
        # Not pytest's temporary folder: under root that one is closed to other users, and a Unix socket's path
        # may have 107 bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix="entrepot-pg-", dir="/tmp"))
        self.log = self.folder / "log"
        self._templates: dict[str, str] = {}
        self._washed: dict[str, list[_Lent]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if self._account is not None:
                os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
            self._initialise()
            self.port = self._start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: str, *, driver: str = "postgresql+psycopg") -> str:
        """The address of a database for SQLAlchemy; with `driver="postgresql"` for libpq."""
        return f"{driver}://entrepot@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A new database that is dropped at the end, also when connections to it are still open. Gives its name."""
        name = f"t_{uuid.uuid4().hex}"
        self.execute(f'create database "{name}" template "{template}"')
        try:
            yield name
        finally:
            connections.forget(name)
            self.execute(f'drop database if exists "{name}" with (force)')

    def template(self, key: str, prepare: Callable[[str], None]) -> str:
        """The name of a database that `prepare(url)` filled; it runs once per key, later calls only copy.

        `prepare` must close its connections: PostgreSQL does not copy a database in use.
        """
        if key not in self._templates:
            name = f"template_{uuid.uuid4().hex}"
            self.execute(f'create database "{name}" template template0')
            prepare(self.url(name))
            connections.forget(name)
            self._templates[key] = name
        return self._templates[key]

    @contextlib.contextmanager
    def lent_new(self, key: str, prepare: Callable[[str], None]) -> Iterator[str]:
        """A copy of a template that nobody had before. Gives its name."""
        with self.database(self.template(key, prepare)) as name:
            yield name

    @contextlib.contextmanager
    def lent(self, key: str, prepare: Callable[[str], None]) -> Iterator[str]:
        """A copy of a template, whose rows are emptied afterwards for the next who asks. Gives its name.

        To make and drop a database costs most small tests more than what they do with it: the files of 300 relations,
        and caches that are cold. Whoever asks gets one in which nothing shows that somebody was there before: no rows
        but those of the template, sequences at their start, no connections. One whose schema was changed, or that grew,
        is dropped instead.
        """
        template = self.template(key, prepare)
        free = self._washed.setdefault(template, [])
        if not free:
            name = f"t_{uuid.uuid4().hex}"
            self.execute(f'create database "{name}" template "{template}"')
            free.append(_Lent.look(self, name))
        database = free.pop()
        try:
            yield database.name
        finally:
            if database.wash():
                free.append(database)
            else:
                database.close()
                connections.forget(database.name)
                self.execute(f'drop database if exists "{database.name}" with (force)')

    def execute(self, statement: str) -> None:
        """Run one administrative statement outside any transaction."""
        import psycopg

        with psycopg.connect(self.url("postgres", driver="postgresql"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """The server is stopped, connections and all, and started again on its port at the end."""
        self._stop()
        try:
            yield
        finally:
            self._start_on(self.port)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            # INT is PostgreSQL's fast shutdown, QUIT the immediate one.
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT_S)
                    break

    def close(self) -> None:
        """Stop the server by its pid and remove its folder. May be called again."""
        for free in self._washed.values():
            for database in free:
                database.close()
                connections.forget(database.name)
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def _as_account(self, command: list[str | Path]) -> tuple[list[str | Path], dict[str, Any]]:
        """What to run, and how, so that it runs as the account that PostgreSQL has here."""
        # The working folder matters: PostgreSQL's programs complain if they may not enter the current one.
        arguments: dict[str, Any] = {"cwd": self.folder, "stdin": subprocess.DEVNULL}
        if self._account is not None:
            arguments |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return command, arguments

    def _initdb(self) -> list[str | Path]:
        command = [self.binaries / "initdb", "--pgdata", self.data, "--username", "entrepot"]
        return [*command, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]

    def _initialise(self) -> None:
        for collation in (["--locale-provider", "icu", "--icu-locale", "en"], []):
            # Servers before 15, and builds without ICU, know no provider: byte order is then all there is.
            command, how = self._as_account([*self._initdb(), *collation])
            done = subprocess.run(command, capture_output=True, text=True, **how)
            if done.returncode == 0:
                return
        raise PostgresUnavailable(f"initdb failed: {done.stderr.strip()}")

    def _start(self) -> int:
        for _ in range(PORT_ATTEMPTS):
            port = _free_port()
            with contextlib.suppress(_PortTaken):
                self._start_on(port)
                return port
        raise PostgresUnavailable(f"no free loopback port in {PORT_ATTEMPTS} attempts")

    def _start_on(self, port: int) -> None:
        command: list[str | Path] = [self.binaries / "postgres", "-D", self.data]
        places = {"port": str(port), "unix_socket_directories": str(self.folder)}
        for name, value in {**self.settings, **places}.items():
            command += ["-c", f"{name}={value}"]
        setpriv = shutil.which("setpriv")
        if setpriv:
            # If this process is killed no fixture ends the server; the kernel then does.
            command = [setpriv, "--pdeathsig", "QUIT", *command]
        command, how = self._as_account(command)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **how)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers(port):
            if self._process.poll() is not None:
                text = self.log.read_text(errors="replace")
                if "Address already in use" in text:
                    raise _PortTaken
                raise PostgresUnavailable(f"postgres ended with {self._process.returncode}: {text[-2000:]}")
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"postgres did not answer within {START_TIMEOUT_S:.0f} s")
            time.sleep(0.02)

    def _answers(self, port: int) -> bool:
        import psycopg

        try:
            with psycopg.connect(f"postgresql://entrepot@127.0.0.1:{port}/postgres", connect_timeout=5):
                # Somebody else's server on that port would not have our user, nor let it in by trust alone.
                return True
        except psycopg.OperationalError:
            return False
