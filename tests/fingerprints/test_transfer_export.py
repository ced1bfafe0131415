"""`pyupc fingerprints export`: which files it writes, leaves, replaces, and where it refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.legacy_files import (
    ABOVE,
    BASELINE,
    BELOW,
    BUCKETS,
    Cell,
    contents,
    document,
    done,
    dump,
    file_name,
    numbers,
    refused,
    run,
    shifted,
    state,
    write,
)
from tests.support.market import rows

NAMES = sorted(map(file_name, BUCKETS))
VICTIM = file_name(1)


@pytest.fixture(scope="module")
def module_db(databases: Databases, legacy: Path) -> Iterator[str]:
    """A database with an imported set of BTC, which no test changes."""
    with databases.clone("empty") as dsn:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", dsn)
            done("import", legacy)
        yield dsn


@pytest.fixture
def imported(module_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYUPC_DSN", module_db)
    before = dump(module_db)
    yield module_db
    assert dump(module_db) == before


def test_into_a_folder_that_is_not_there(imported: str, legacy: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "c"
    found = document("export", out)
    assert found == {
        "symbol": "BTC",
        "origin": "imported",
        "folder": str(out),
        "fingerprints": len(BUCKETS),
        "written": len(BUCKETS),
    }
    assert contents(out) == contents(legacy)
    assert sorted(os.listdir(out)) == NAMES
    assert sorted(os.listdir(tmp_path)) == ["a"]


@pytest.mark.parametrize("options", [[], ["--origin", "imported"], ["--symbol", "btc"]])
def test_into_an_empty_folder(
    imported: str, legacy: Path, tmp_path: Path, options: list[str]
) -> None:
    result = run("export", tmp_path, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert contents(tmp_path) == contents(legacy)
    assert sorted(os.listdir(tmp_path)) == NAMES


def test_others_may_read_the_files_as_the_umask_allows(imported: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        done("export", tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o644}


def test_other_files_are_kept(imported: str, legacy: Path, tmp_path: Path) -> None:
    others = ["README.md", ".hidden", file_name(30), file_name(0, "ETH")]
    for name in others:
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    before = state(tmp_path)
    assert document("export", tmp_path)["written"] == len(BUCKETS)
    after = state(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(os.listdir(tmp_path)) == sorted([*NAMES, *others, "folder"])
    assert {name: path for name, path in contents(tmp_path).items() if name in NAMES} == contents(
        legacy
    )


def test_the_same_files_stay_as_they_are(imported: str, legacy: Path, tmp_path: Path) -> None:
    done("export", tmp_path)
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    before = state(tmp_path)
    for options in ([], ["--force"]):
        assert document("export", tmp_path, *options)["written"] == 0
        assert state(tmp_path) == before
    (tmp_path / VICTIM).unlink()
    (tmp_path / file_name(BASELINE)).unlink()
    assert document("export", tmp_path)["written"] == 2
    assert contents(tmp_path) == contents(legacy)
    after = state(tmp_path)
    for name in set(NAMES) - {VICTIM, file_name(BASELINE)}:
        assert after[name] == before[name]


# An obstacle in the place of a file.


def other_file(path: Path) -> None:
    path.write_text("other")


def same_size(path: Path) -> None:
    path.write_bytes(b"x" * len(write(path.parent / "x").joinpath(path.name).read_bytes()))
    for each in (path.parent / "x").iterdir():
        each.unlink()
    (path.parent / "x").rmdir()


def one_byte_more(path: Path) -> None:
    write(path.parent, buckets=[1])
    path.write_bytes(path.read_bytes() + b"\n")


def empty_file(path: Path) -> None:
    path.touch()


def dangling_link(path: Path) -> None:
    path.symlink_to("gone")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "make", [other_file, same_size, one_byte_more, empty_file, dangling_link, pipe]
)
def test_a_different_file_is_replaced_if_forced(
    imported: str, legacy: Path, tmp_path: Path, make: object
) -> None:
    assert callable(make)
    (tmp_path / "notes").write_text("words")
    make(tmp_path / VICTIM)
    before = state(tmp_path)
    refused(run("export", tmp_path), 1, VICTIM)
    assert state(tmp_path) == before

    assert document("export", tmp_path, "--force")["written"] == len(BUCKETS)
    assert contents(tmp_path) == {**contents(legacy), "notes": b"words"}
    assert sorted(os.listdir(tmp_path)) == sorted([*NAMES, "notes"])
    assert not (tmp_path / VICTIM).is_symlink()


def test_a_link_to_the_same_contents_is_left(imported: str, legacy: Path, tmp_path: Path) -> None:
    (tmp_path / VICTIM).symlink_to(legacy / VICTIM)
    assert document("export", tmp_path)["written"] == len(BUCKETS) - 1
    assert (tmp_path / VICTIM).is_symlink()


def test_a_folder_in_the_place_of_a_file(imported: str, tmp_path: Path) -> None:
    (tmp_path / VICTIM).mkdir()
    (tmp_path / file_name(0)).write_text("other")
    before = state(tmp_path)
    for options in ([], ["--force"]):
        refused(run("export", tmp_path, *options), 1, str(tmp_path))
        assert state(tmp_path) == before


@pytest.mark.parametrize("below", ["", "below", "below/that"])
def test_a_file_instead_of_a_folder(imported: str, tmp_path: Path, below: str) -> None:
    (tmp_path / "out").write_text("words")
    before = state(tmp_path)
    for options in ([], ["--force"]):
        refused(run("export", tmp_path / "out" / below, *options), 1, str(tmp_path / "out"))
        assert state(tmp_path) == before


def test_a_dangling_link_instead_of_a_folder(imported: str, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("gone")
    before = state(tmp_path)
    refused(run("export", tmp_path / "out"), 1, str(tmp_path / "out"))
    assert state(tmp_path) == before


def test_where_nobody_may_write(imported: str) -> None:
    refused(run("export", "/proc/fingerprints/btc"), 1, "/proc/fingerprints")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(imported: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    refused(run("export", tmp_path / "out"), 1, str(tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == []
    refused(run("export", tmp_path / "out" / "below"), 1, str(tmp_path / "out"))


# Choice of the set


def test_there_has_to_be_such_a_set(imported: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(run("export", out, "--origin", "built"), 1, "BTC")
    refused(run("export", out, "--symbol", "ETH"), 1, "ETH")
    refused(run("export", out, "--symbol", "ETH", "--origin", "imported"), 1, "ETH")
    refused(run("export", out, "--symbol", "DOGE"), 1, "DOGE")
    assert not out.exists()


def test_no_set_at_all(fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    out = tmp_path / "out"
    refused(run("export", out, "--symbol", "BTC"), 1, "BTC")
    refused(run("export", out), 2)
    assert not out.exists()


def test_the_symbol_may_be_left_out_if_one_only_was_imported(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    eth = write(tmp_path / "eth", symbol="ETH", spell=shifted)
    done("import", eth)
    done("export", tmp_path / "one")
    assert contents(tmp_path / "one") == contents(eth)
    btc = write(tmp_path / "btc")
    done("import", btc)
    refused(run("export", tmp_path / "two"), 2)
    assert not (tmp_path / "two").exists()
    # Files of two symbols do not get into each other's way.
    done("export", tmp_path / "one", "--symbol", "BTC")
    assert contents(tmp_path / "one") == {**contents(eth), **contents(btc)}


# Built ones


def shown(dsn: str, bucket: int) -> dict[Cell, str]:
    """The numbers that a named view shows, as pandas would write them."""
    thresholds = [f"{Decimal(k) / 20:.2f}" for k in range(60)]
    columns = ", ".join(
        f"{way}_{t.replace('.', '_')}" for t in thresholds for way in ("pos", "neg")
    )
    name = file_name(bucket).removesuffix(".csv")
    return {
        (bucket, minutes, direction, Decimal(threshold)): repr(float(value))
        for minutes, *values in rows(
            dsn, f'SELECT minutes_to_close, {columns} FROM analytics."{name}"'
        )
        for value, (threshold, direction) in zip(
            values, ((t, d) for t in thresholds for d in (ABOVE, BELOW)), strict=True
        )
        if value is not None
    }


@pytest.mark.slow
def test_built_ones_are_written_as_the_named_views_show_them(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with connect(fresh_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle"
            " SELECT * FROM upc.simulated_candles('BTC', '2024-03-01Z', '2024-03-08Z')"
        )
        conn.execute("SELECT upc.build_fingerprints('BTC')")
    built = [
        bucket
        for (bucket,) in rows(
            fresh_db, "SELECT DISTINCT bucket FROM upc.fingerprint_curve WHERE symbol = 'BTC'"
        )
    ]
    out = tmp_path / "built"
    found = document("export", out, "--symbol", "BTC")
    assert (found["origin"], found["fingerprints"]) == ("built", len(built))
    assert sorted(os.listdir(out)) == sorted(map(file_name, built))
    exported, written = contents(out), numbers(out)
    for bucket in (min(built), -7, 0, 3, BASELINE):
        assert {c: n for c, n in written.items() if c[0] == bucket} == shown(fresh_db, bucket)
    assert {"0.0", "100.0"} <= set(written.values())

    # Files with all minutes can be imported again.
    for name, content in exported.items():
        if content.count(b"\n") < 61:
            (out / name).unlink()
    complete = contents(out)
    assert len(complete) > 10
    done("import", out)
    done("export", tmp_path / "again")
    assert contents(tmp_path / "again") == complete
    # Now that there are both, the built ones have to be asked for.
    done("export", tmp_path / "built-again", "--symbol", "BTC", "--origin", "built")
    assert contents(tmp_path / "built-again") == exported
