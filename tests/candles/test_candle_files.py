"""Files of candles as exchanges and collections distribute them, and what no file may pass as."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import json
import lzma
import random
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyupc.candles import compression
from pyupc.candles.columns.header import parse_columns
from pyupc.candles.columns.values import minute_of
from pyupc.candles.rows import Reading, copy_blocks
from pyupc.cli import main
from pyupc.database.connect import connect
from pyupc.errors import PyupcError

START = 1_735_700_400
COUNT = 60

Row = dict[str, float]
Text = Callable[[Row], str]


@pytest.fixture
def shared(shared_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database for tests that load nothing, and leave no candle if they do."""
    monkeypatch.setenv("PYUPC_DSN", shared_database)
    yield shared_database
    with connect(shared_database) as conn:
        conn.execute("TRUNCATE upc_data.candle, upc_data.candle_change, upc_data.counted_day")


def load(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["candles", "load", str(path), "--symbol", "BTC", *options])


def stored(dsn: str) -> list[tuple[Any, ...]]:
    query = """
        SELECT extract(epoch FROM opened_at)::bigint, open, high, low, close, volume
        FROM upc_data.candle ORDER BY opened_at
    """
    with connect(dsn) as conn:
        found = conn.execute(query).fetchall()
        conn.execute("TRUNCATE upc_data.candle")
    return found


def staged(path: Path, columns: str | None = None) -> list[tuple[float, ...]]:
    """The rows that would be copied, sorted: seconds since 1970 and five numbers."""
    reading = Reading("BTC", None if columns is None else parse_columns(columns))
    lines = b"".join(copy_blocks(0, path, reading, lambda count: None)).decode().splitlines()
    found = []
    for line in lines:
        _, _, problem, time, *values = line.split("\t")
        assert problem == r"\N"
        minute = minute_of(time)
        assert minute is not None
        found.append((60.0 * minute, *map(float, values)))
    return sorted(found)


def walk(seed: int, count: int = COUNT) -> list[Row]:
    """Candles of a random walk, each opening where the one before has closed or next to it."""
    rng = random.Random(seed)
    price = rng.choice([0.08, 3.1, 94_000.0])
    gap = rng.choice([0.0, 1e-5])
    rows = []
    for minute in range(count):
        path = [price * (1 + gap * rng.gauss(0, 1))]
        for _ in range(8):
            path.append(path[-1] * (1 + 4e-4 * rng.gauss(0, 1)))
        price = path[-1]
        volume = rng.lognormvariate(0, 1)
        bought = volume * rng.random()
        average = sum(path) / len(path)
        rows.append(
            {
                "time": START + 60.0 * minute,
                "open": path[0],
                "high": max(path),
                "low": min(path),
                "close": price,
                "volume": volume,
                "turnover": volume * average,
                "bought": bought,
                "bought_turnover": bought * average,
                "trades": float(rng.randint(1, 400)),
            }
        )
    return rows


def values(rows: Sequence[Row]) -> list[tuple[float, ...]]:
    names = ("time", "open", "high", "low", "close", "volume")
    return [tuple(row[name] for name in names) for row in rows]


NAMES = {
    "time": ["timestamp", "Open time", "unix", "Timestamp", "date", "TIME", "open_time", "t"],
    "open": ["open", "Open", "OPEN", "o", "<OPEN>", "open_usd", "1. open", "Open (USDT)"],
    "high": ["high", "High", "h", "highPrice", "2. high"],
    "low": ["low", "Low", "l", "low (USD)", " low "],
    "close": ["close", "Close", "c", "close_price", "4. close"],
    "volume": ["volume", "Volume BTC", "Volume_(BTC)", "vol", "Volume XBT", "base_volume"],
    "turnover": ["Volume USD", "quote_asset_volume", "Volume_(Currency)", "turnover"],
    "trades": ["trades", "count", "tradecount"],
    "bought": ["taker_buy_volume", "Taker buy base asset volume"],
    "bought_turnover": ["taker_buy_quote_volume", "Taker buy quote asset volume"],
}
TIMES: dict[str, Callable[[float], str]] = {
    "s": lambda at: str(int(at)),
    "s.0": lambda at: str(float(at)),
    "ms": lambda at: str(int(at * 1e3)),
    "us": lambda at: str(int(at) * 10**6),
    "ns": lambda at: str(int(at) * 10**9),
    "iso": lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "blank": lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
}


def zipped(data: bytes, *names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names or ("candles.csv",):
            file.writestr(name, data)
    return archive.getvalue()


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data[:100]) + bytes(4) + lzma.compress(data[100:]),
    "zip": zipped,
}


@st.composite
def files(draw: st.DrawFn, *, has_header: bool) -> tuple[list[Row], bytes]:
    rows = walk(draw(st.integers(0, 10**6)))
    extra = draw(st.sets(st.sampled_from(["turnover", "trades", "bought"])))
    if "bought" in extra:
        extra.add("bought_turnover")
    columns = draw(st.permutations(["time", "open", "high", "low", "close", "volume", *extra]))
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    is_decimal_comma = delimiter != "," and draw(st.booleans())
    units = draw(st.lists(st.sampled_from(sorted(TIMES)), min_size=1, max_size=2))
    lines = []
    if has_header:
        lines = draw(st.sampled_from([[], ["https://example.com/data"]]))
        lines = [*lines, delimiter.join(draw(st.sampled_from(NAMES[name])) for name in columns)]
    for number, row in enumerate(rows):
        texts = {name: repr(value) for name, value in row.items()}
        texts["trades"] = str(int(row["trades"]))
        if is_decimal_comma:
            texts = {name: text.replace(".", ",") for name, text in texts.items()}
        texts["time"] = TIMES[units[number % len(units)]](row["time"])
        lines.append(delimiter.join(texts[name] for name in columns))
    head = len(lines) - len(rows)
    if draw(st.booleans()):
        lines[head:] = lines[: head - 1 if head else None : -1]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    pack = PACKS[draw(st.sampled_from(sorted(PACKS)))]
    return rows, pack("".join(line + end for line in lines).encode())


RELAXED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@RELAXED
@given(files(has_header=True))
def test_named_columns_in_any_form(tmp_path: Path, drawn: tuple[list[Row], bytes]) -> None:
    rows, data = drawn
    path = tmp_path / "candles"
    path.write_bytes(data)
    assert staged(path) == values(rows)


@RELAXED
@given(files(has_header=False))
def test_columns_without_names_are_right_or_refused(
    tmp_path: Path, drawn: tuple[list[Row], bytes]
) -> None:
    rows, data = drawn
    path = tmp_path / "candles"
    path.write_bytes(data)
    with contextlib.suppress(PyupcError):
        assert staged(path) == values(rows)


@settings(RELAXED, max_examples=300)
@given(
    st.lists(
        st.tuples(*[st.integers(1, 4)] * 4, st.integers(0, 3)).map(
            lambda c: (sorted(c[:4])[1], max(c[:4]), min(c[:4]), sorted(c[:4])[2], c[4] + 0.5)
        ),
        min_size=1,
        max_size=12,
    ),
    st.permutations(range(6)),
)
def test_few_and_coarse_numbers_never_pass_as_others(
    tmp_path: Path, candles: list[tuple[float, ...]], columns: list[int]
) -> None:
    rows = [(float(START + 60 * i), *map(float, candle)) for i, candle in enumerate(candles)]
    path = tmp_path / "candles.csv"
    path.write_text(
        "".join(
            ",".join(str(int(row[0])) if c == 0 else repr(row[c]) for c in columns) + "\n"
            for row in rows
        )
    )
    with contextlib.suppress(PyupcError):
        assert staged(path) == rows


# Files as distributed


def exactly(row: Row, *names: str) -> str:
    return ",".join(f"{row[name]:.8f}" for name in names)


def binance(row: Row) -> str:
    at = int(row["time"])
    return (
        f"{at}000000,{exactly(row, 'open', 'high', 'low', 'close', 'volume')},{at + 59}999999,"
        f"{exactly(row, 'turnover')},{int(row['trades'])},{row['volume'] / 2:.8f},"
        f"{row['turnover'] / 2:.8f},0"
    )


DISTRIBUTED: dict[str, tuple[str, Text]] = {
    "binance": ("", binance),
    "kraken": (
        "",
        lambda row: (
            f"{int(row['time'])},{exactly(row, 'open', 'high', 'low', 'close', 'volume')},"
            f"{int(row['trades'])}"
        ),
    ),
    "ccxt": (
        "",
        lambda row: (
            f"{int(row['time'])}000,{exactly(row, 'open', 'high', 'low', 'close', 'volume')}"
        ),
    ),
    "coinbase": (
        "",
        lambda row: f"{int(row['time'])},{exactly(row, 'low', 'high', 'open', 'close', 'volume')}",
    ),
    "bitfinex": (
        "",
        lambda row: (
            f"{int(row['time'])}000,{exactly(row, 'open', 'close', 'high', 'low', 'volume')}"
        ),
    ),
    "cryptodatadownload": (
        "https://www.CryptoDataDownload.com\n"
        "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n",
        lambda row: (
            f"{int(row['time'])}{'000' if row['time'] % 120 else ''},"
            f"{TIMES['blank'](row['time'])},BTC/USD,"
            f"{exactly(row, 'open', 'high', 'low', 'close', 'volume', 'turnover')}"
        ),
    ),
    "coinapi": (
        "time_period_start;time_period_end;time_open;time_close;price_open;price_high;price_low;"
        "price_close;volume_traded;trades_count\n",
        lambda row: (
            f"{TIMES['iso'](row['time'])[:-1]}.0000000Z;x;x;x;"
            f"{exactly(row, 'open', 'high', 'low', 'close', 'volume').replace(',', ';')};7"
        ),
    ),
    "polygon": (
        "ticker,volume,open,close,high,low,window_start,transactions\n",
        lambda row: (
            f"X:BTC-USD,{exactly(row, 'volume', 'open', 'close', 'high', 'low')},"
            f"{int(row['time'])}000000000,{int(row['trades'])}"
        ),
    ),
    "kaggle": (
        "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price\n",
        lambda row: (
            f"{int(row['time'])},"
            f"{exactly(row, 'open', 'high', 'low', 'close', 'volume', 'turnover', 'close')}\n"
            f"{int(row['time']) + 60 * COUNT},NaN,NaN,NaN,NaN,NaN,NaN,NaN"
        ),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_distributed(shared: str, tmp_path: Path, name: str) -> None:
    header, text = DISTRIBUTED[name]
    rows = walk(3)
    path = tmp_path / f"{name}.csv"
    path.write_text(header + "".join(f"{text(row)}\n" for row in rows))
    result = load(path, "--json")
    assert result.exit_code == 0, result.stderr
    found = stored(shared)
    assert found == [
        (int(row[0]), *(float(f"{value:.8f}") for value in row[1:])) for row in values(rows)
    ]
    assert json.loads(result.stdout)["total"]["rejected"] == 0


CASES = ("01", "03", "04", "09", "11", "12", "90")


@pytest.mark.parametrize("number", CASES)
def test_cases(shared: str, shared_data: Path, number: str) -> None:
    (folder,) = (shared_data.parent / "cases").glob(f"{number}-*")
    inputs = [f for f in sorted(folder.iterdir()) if f.name not in ("README", "expected.csv")]
    lines = (folder / "expected.csv").read_text().split()[1:]
    expected = [
        (int(datetime.fromisoformat(at).timestamp()), *map(float, numbers))
        for at, *numbers in (line.split(",") for line in lines)
    ]
    for path in inputs:
        result = load(path)
        assert result.exit_code == 0, result.stderr
        assert stored(shared) == expected


# Refused files


def test_a_header_that_the_numbers_contradict(shared: str, tmp_path: Path) -> None:
    """Coinbase's order under ours: nothing is taken, not even lines that fit by chance."""
    rows = walk(1)
    rows[7] |= {"open": rows[7]["low"]}
    path = tmp_path / "candles.csv"
    names = ("low", "high", "open", "close", "volume")
    lines = [f"{int(row['time'])},{exactly(row, *names)}" for row in rows]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]))
    fitting = {
        number for number, row in enumerate(rows) if f"{row['open']:.8f}" == f"{row['low']:.8f}"
    }
    result = load(path)
    assert result.exit_code == 1
    assert f"{COUNT - len(fitting)} bad lines" in result.stderr
    assert load(path, "--skip-bad").exit_code == 1
    assert stored(shared) == []


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("time,open,high,low,close,volume", ("close", "high", "low", "open", "volume")),
        (
            "time,open,high,low,close,Volume BTC,Volume USD",
            ("open", "high", "low", "close", "turnover", "volume"),
        ),
        ("time,open,high,low,close,Volume USD", ("open", "high", "low", "close", "turnover")),
        ("time,open,high,low,close,Volume ETH", ("open", "high", "low", "close", "volume")),
        ("time,open (EUR),high,low,close,volume", ("open", "high", "low", "close", "volume")),
        ("time,open,high,low,last,volume", ("open", "high", "low", "close", "volume")),
        ("time,open,high,low,close,close,volume", ("open", "high", "low", "close", "close")),
        ("a,b,c,d,e,f", ("open", "high", "low", "close", "volume")),
        ("", ("open", "high", "low", "close", "trades")),
        ("", ("open", "high", "low", "close")),
        ("", ("open", "high", "low", "close", "trades", "volume")),
        ("", ("volume", "high", "low", "open", "close")),
    ],
)
def test_columns_that_are_not_what_is_needed(
    tmp_path: Path, header: str, names: tuple[str, ...]
) -> None:
    path = tmp_path / "candles.csv"
    lines = [f"{int(row['time'])},{exactly(row, *names)}" for row in walk(2)]
    path.write_text("\n".join([header, *lines] if header else lines).replace(".00000000", ""))
    with pytest.raises(PyupcError):
        staged(path)


def test_the_users_columns(tmp_path: Path) -> None:
    rows = walk(4, count=2)
    path = tmp_path / "candles.csv"
    names = ("trades", "close", "open", "low", "high", "turnover", "volume")
    lines = [f"{int(row['time'])},{','.join(repr(row[n]) for n in names)},x" for row in rows]
    for header in ([], ["Zeit,Anzahl,Schluss,Anfang,Tief,Hoch,Umsatz,Menge,Rest"]):
        path.write_text("\n".join([*header, *lines]))
        with pytest.raises(PyupcError):
            staged(path)
        assert staged(path, "time,-,close,open,low,high,turnover,volume") == values(rows)
    assert staged(path, "t,x,c,o,l,h,-,v,-".replace("-", "rest")) == values(rows)
    with pytest.raises(PyupcError):
        staged(path, "time,-,close,open,low,high,-,-,-,volume")
    for wrong in ("", "open", "time,open,high,low,close", "time,time,open,high,low,close,volume"):
        result = load(path, "--columns", wrong)
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("step", "count"), [(60, 4), (15, 6), (5, 8), (2, 17)])
@pytest.mark.parametrize("has_header", [True, False])
def test_candles_of_more_than_a_minute(
    tmp_path: Path, step: int, count: int, has_header: bool
) -> None:
    path = tmp_path / "candles.csv"
    names = ("open", "high", "low", "close", "volume")
    lines = [
        f"{int(START + step * (row['time'] - START))},{exactly(row, *names)}"
        for row in walk(5, count)
    ]
    header = ["time,open,high,low,close,volume"] if has_header else []
    path.write_text("\n".join([*header, *lines]))
    with pytest.raises(PyupcError):
        staged(path)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["94,000", "94,010", "93,990", "94,005", "1,500"], None),
        (["94,000", "94,010", "93,990", "94,005", "1,5"], [94.0, 94.01, 93.99, 94.005, 1.5]),
        (["94.000,5", "94.010,5", "93.990,5", "94.005,5", "1,5"], ["94,000.5"]),
        (["1e3", "1e3", "1e3", "1e3", "15,5e-1"], [1000.0, 1000.0, 1000.0, 1000.0, 1.55]),
    ],
)
def test_decimal_commas(tmp_path: Path, cells: list[str], expected: Any) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(f"time;open;high;low;close;volume\n{START};{';'.join(cells)}\n")
    if expected is None:
        with pytest.raises(PyupcError):
            staged(path)
    elif isinstance(expected[0], str):
        (line,) = copy_blocks(0, path, Reading("BTC"), lambda count: None)
        assert line.decode().split("\t")[4] == expected[0]
    else:
        assert staged(path) == [(float(START), *expected)]


def test_minutes_without_values_are_gaps(shared: str, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    blanks = ["NaN,nan,NAN,null,None", ",,,,", " , ,,N/A,"]
    lines = [f"{START},2,3,1,2,5.5", *(f"{START + 60 * i},{b}" for i, b in enumerate(blanks, 1))]
    path.write_text("\n".join(["time,open,high,low,close,volume", *lines]) + "\n")
    result = load(path, "--json")
    assert result.exit_code == 0, result.stderr
    total = json.loads(result.stdout)["total"]
    assert (total["new"], total["rejected"]) == (1, 0)
    # One value makes it a line that is wrong; so does a time that is left out.
    for bad in (f"{START + 300},,,,,0", ",,,,,"):
        path.write_text("\n".join(["time,open,high,low,close,volume", *lines, bad]))
        assert load(path).exit_code == 1
    stored(shared)


def test_a_file_without_any_value_among_others(shared: str, tmp_path: Path) -> None:
    blank, full = tmp_path / "blank.csv", tmp_path / "full.csv"
    blank.write_text(f"time,open,high,low,close,volume\n{START + 60},NaN,NaN,NaN,NaN,NaN\n")
    full.write_text(f"time,open,high,low,close,volume\n{START},2,3,1,2,5.5\n")
    for paths, new in (([blank], 0), ([blank, full], 1)):
        result = load(paths[0], *map(str, paths[1:]), "--json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert [each["new"] for each in document["files"]] == [0, 1][: len(paths)]
        assert (document["total"]["new"], document["total"]["rejected"]) == (new, 0)
    assert stored(shared) == [(START, 2, 3, 1, 2, 5.5)]


# Compression


DATA = "\n".join(
    ["time,open,high,low,close,volume", *(f"{START + 60 * i},2,3,1,2,5.5" for i in range(3000))]
).encode()
ENCRYPTED = bytearray(zipped(DATA))
ENCRYPTED[6] |= 1
ENCRYPTED[ENCRYPTED.index(b"PK\x01\x02") + 8] |= 1


@pytest.mark.parametrize(
    "data",
    [
        lzma.compress(DATA)[:-20],
        lzma.compress(DATA)[:200],
        lzma.compress(DATA)[:100] + b"\xff\xff\xff" + lzma.compress(DATA)[103:],
        lzma.compress(DATA) + b"garbage",
        # It asks for a dictionary of 1.5 GB.
        lzma.compress(DATA, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 3 << 29}]),
        bz2.compress(DATA)[:-5],
        bz2.compress(DATA)[:100] + b"\xff\xff\xff" + bz2.compress(DATA)[103:],
        zipped(DATA)[:-30],
        zipped(DATA)[:300],
        zipped(DATA)[:100] + b"\xff\xff\xff" + zipped(DATA)[103:],
        zipped(DATA, "a.csv", "b.csv"),
        zipped(DATA, "a.json"),
        zipped(DATA, "folder.csv/"),
        zipped(gzip.compress(DATA, mtime=0)),
        bytes(ENCRYPTED),
        b"PK\x05\x06" + bytes(18),
        b"7z\xbc\xaf\x27\x1c" + bytes(100),
        b"\x28\xb5\x2f\xfd" + bytes(100),
    ],
)
def test_archives_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "candles.csv"
    path.write_bytes(data)
    with pytest.raises(PyupcError) as caught:
        staged(path)
    assert caught.value.hint


def test_an_archive_with_one_text_among_others(tmp_path: Path) -> None:
    path = tmp_path / "candles"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("README.md", "__MACOSX/._a.csv", "folder/", "folder/a.CSV", "a.csv.CHECKSUM"):
            file.writestr(name, DATA if name.endswith("CSV") else b"")
    path.write_bytes(archive.getvalue())
    assert len(staged(path)) == 3000


def test_what_unpacks_to_much_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of 1 GB: it is refused after a few blocks."""
    path = tmp_path / "candles"
    taken = 0
    read = compression.read

    def counted(path: Path, stream: compression.Stream, size: int) -> bytes:
        nonlocal taken
        block = read(path, stream, size)
        taken += len(block)
        return block

    monkeypatch.setattr("pyupc.candles.files.read", counted)
    nines = [b"9" * (1 << 20)] * 64
    compressor = lzma.LZMACompressor()
    path.write_bytes(b"".join([*map(compressor.compress, nines), compressor.flush()]))
    with pytest.raises(PyupcError):
        staged(path)
    assert 0 < taken <= 2 << 20
    path.write_bytes(zipped(b"".join(nines)))
    with pytest.raises(PyupcError):
        staged(path)
    assert taken <= 4 << 20


@pytest.mark.skipif(
    sys.version_info < (3, 14),
    reason="Python reads zstd from 3.14 on",
)
def test_zstd(tmp_path: Path) -> None:
    zstd = importlib.import_module("compression.zstd")
    path = tmp_path / "candles"
    path.write_bytes(zstd.compress(DATA))
    assert len(staged(path)) == 3000


# Real candles


def test_real_candles_without_header(shared_data: Path, tmp_path: Path) -> None:
    """Every order of columns of a day of real candles: the same candles, or none."""
    with gzip.open(shared_data / "btc_1m_2022_2024.csv.gz", "rt") as file:
        header, *lines = [next(file).strip() for _ in range(1441)]
    assert header == "timestamp,open,high,low,close,volume"
    cells = [line.split(",") for line in lines]
    path = tmp_path / "candles.csv"
    path.write_text("\n".join(lines))
    expected = staged(path)
    assert len(expected) == 1440
    assert expected[0][1:] == tuple(map(float, cells[0][1:]))
    rng = random.Random(8)
    orders = [[0, 1, 4, 2, 3, 5], [0, 3, 2, 1, 4, 5]]
    refused = 0
    for columns in [*orders, *(rng.sample(range(6), 6) for _ in range(30))]:
        path.write_text("\n".join(",".join(row[c] for c in columns) for row in cells))
        try:
            assert staged(path) == expected
        except PyupcError:
            refused += 1
            assert columns not in orders
    assert refused > 0
