"""SQL that `alembic upgrade --sql` prints beside the migrations: the rebuild, with refusals."""

from __future__ import annotations

from collections.abc import Callable

from pyupc.database import encoding, foreign_objects, rebuild, rights, search_path, session

Write = Callable[[str], None]

_REFUSE_FOREIGN_SCHEMAS = """
DO $do$
DECLARE
    v_schema text;
BEGIN
    SELECT n.nspname
    INTO v_schema
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
        AND pg_catalog.obj_description(n.oid, 'pg_namespace') !~ '\\[pyupc [^]]+\\]$' IS NOT FALSE;

    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" was not created by pyupc', v_schema
            USING ERRCODE = 'duplicate_schema', HINT = 'Rename it.';
    END IF;
END;
$do$;
"""

_REFUSE_OTHER_ENCODINGS = f"""
DO $do$
BEGIN
    IF pg_catalog.getdatabaseencoding() NOT IN ('{encoding.NEEDED}', '{encoding.TOLERATED}') THEN
        RAISE EXCEPTION 'the database has to be UTF-8, and its encoding is %',
            pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported', HINT = '{encoding.HINT.replace("'", "''")}';
    END IF;
END;
$do$;
"""

_REFUSE_STRANGERS = f"""
DO $do$
DECLARE
    v_names text;
BEGIN
    SELECT pg_catalog.string_agg(stranger.name, ', ')
    INTO v_names
    FROM ({foreign_objects.STRANGERS}) AS stranger (name);

    IF v_names IS NOT NULL THEN
        RAISE EXCEPTION 'objects that pyupc did not create depend on its schemas: %', v_names
            USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Move or drop them.';
    END IF;
END;
$do$;
"""


def begin(write: Write, *, create_data_schema: bool) -> None:
    settings = "".join(f"SET LOCAL {name} = {value};\n" for name, value in session.SETTINGS.items())
    write(
        f"{settings}SET LOCAL search_path = pg_catalog, pg_temp;\n\n"
        f"SELECT pg_catalog.pg_advisory_xact_lock({rebuild.UPGRADE_LOCK});\n\n"
        f"SET LOCAL lock_timeout = '2s';\n{_REFUSE_FOREIGN_SCHEMAS}"
    )
    if create_data_schema:
        write(_REFUSE_OTHER_ENCODINGS.strip())
        write(rebuild.CREATE_DATA_SCHEMA.strip())


def drop_code(write: Write, *, is_fresh: bool) -> None:
    if is_fresh:
        return
    write(_REFUSE_STRANGERS.strip())
    write(rights.KEEP_DEFAULTS.strip() + ";")
    write("DROP SCHEMA IF EXISTS upc, analytics CASCADE;")
    write("DELETE FROM upc_data.engine_object;")


def build_code(write: Write) -> None:
    for script in rebuild.code_scripts():
        text = script.text.strip()
        write(text if text.endswith(";") else f"{text};")
    write(search_path.ADD.strip() + ";")
    write(rights.SET_UP + ";")


def drop_data_schema(write: Write) -> None:
    write(rights.GIVE_BACK.strip() + ";")
    write("DROP TABLE IF EXISTS upc_data.alembic_version;\nDROP SCHEMA upc_data;")
    write(search_path.REMOVE.strip() + ";")
