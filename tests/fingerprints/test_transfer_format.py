"""The format of the files: reading and writing keep numbers and notation."""

from __future__ import annotations

import csv
import io
import random
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyupc.fingerprints.transfer.csv_file import parse, render
from pyupc.fingerprints.transfer.fingerprint import Fingerprint, Refused
from pyupc.fingerprints.transfer.names import NotAName, parse_stem, stem
from tests.support.legacy_files import ABOVE, BELOW, file_name

THRESHOLDS = st.one_of(
    st.integers(0, 100).map(str),
    st.decimals(0, 100, places=2).map(lambda number: f"{number:.2f}"),
    st.decimals(0, 100, places=5).map(lambda number: f"{number:.5f}"),
)

# Doubles in pandas' notation: with an exponent below 0.0001.
WRITTEN = st.one_of(
    st.integers(0, 10000).map(lambda number: repr(number / 100)),
    st.floats(0.0001, 100).map(repr),
    st.floats(1e-300, 0.0000999).map(repr),
    st.sampled_from(["5", "5.0", "5.00", "0", "0.0", "0.00", "100", "100.0", "3e-05", "1.50e-07"]),
    st.decimals(1, 99, places=30).map(str),
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """The text of any file in the format: columns and rows in any order."""
    thresholds = draw(st.lists(THRESHOLDS, min_size=1, max_size=6, unique_by=Decimal))
    columns = [f"{direction}{t}%" for t in thresholds for direction in (ABOVE, BELOW)]
    header = draw(st.permutations(columns))
    minutes = draw(st.lists(st.integers(0, 1440), min_size=1, max_size=6, unique=True))
    count = len(header) * len(minutes)
    if draw(st.booleans()):
        places = draw(st.integers(1, 9))
        fixed = st.integers(0, 100 * 10**places).map(lambda n: f"{Decimal(n).scaleb(-places):f}")
        cells = [f"{50:.{places}f}", *draw(st.lists(fixed, min_size=count, max_size=count))]
    else:
        # The first makes it plain that not all have the same decimals.
        cells = ["50.0", *draw(st.lists(WRITTEN, min_size=count, max_size=count))]
    lines = [["", *header]]
    for place, minute in enumerate(minutes):
        row = cells[place * len(header) : (place + 1) * len(header)]
        lines.append([f"{minute}m TTC", *row])
    return "".join(",".join(line) + "\n" for line in lines)


def through_the_database(found: Fingerprint) -> Fingerprint:
    """The fingerprint read back from numeric columns: the same digits without exponents."""

    def plain(rows: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(f"{Decimal(number):f}" for number in row) for row in rows)

    return Fingerprint(
        found.bucket,
        found.thresholds,
        found.header,
        found.minutes,
        plain(found.positive),
        plain(found.negative),
    )


def assert_same_numbers(found: Fingerprint, text: str) -> None:
    """The reading of the csv module beside ours."""
    header, *rows = csv.reader(io.StringIO(text))
    assert list(found.minutes) == [int(row[0].partition("m")[0]) for row in rows]
    assert list(found.header) == header[1:]
    assert list(found.thresholds) == sorted({Decimal(title[4:-1]) for title in header[1:]})
    for place, (_, *cells) in enumerate(rows):
        for title, cell in zip(header[1:], cells, strict=True):
            side = found.positive if title.startswith(">") else found.negative
            number = side[place][found.thresholds.index(Decimal(title[4:-1]))]
            assert float(number) == float(cell)
            assert Decimal(number) == Decimal(cell)


@settings(max_examples=150, deadline=None)
@given(files())
def test_any_file_comes_back_with_the_same_bytes(text: str) -> None:
    found = parse(text.encode(), "any.csv", 7)
    assert found.bucket == 7
    assert_same_numbers(found, text)
    assert render(found) == text.encode()
    assert render(through_the_database(found)) == text.encode()


@pytest.mark.parametrize(
    "cells",
    [
        ("0.0", "0.0"),
        ("5", "5.0"),
        ("5.00", "5.000"),
        ("100", "100.00"),
        ("3e-05", "3e-05"),
        ("3e-05", "1.2345678901234567e-05"),
        ("0.0001", "9.999999999999999e-05"),
        ("3.0e-05", "1.23456789012345678901e-12"),
        ("5e-324", "0.0"),
        ("0.1", "0.30000000000000004"),
        ("51.800000000000004", "0.000123"),
        ("50.00000", "0.00003"),
        ("0.000000", "0.000030"),
        ("0.00001", "0.00000"),
        ("0.0000", "0.00000"),
        ("0." + "0" * 3 + "1" * 37, "7"),
    ],
)
def test_spellings_that_are_kept(cells: tuple[str, str]) -> None:
    text = f",>= +0.05%,<= -0.05%\n7m TTC,{','.join(cells)}\n"
    found = parse(text.encode(), "any.csv", 0)
    assert_same_numbers(found, text)
    assert render(through_the_database(found)) == text.encode()


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (("0.00003", "5.0"), ">= +0.05%"),
        (("5.0", "0.000030"), "<= -0.05%"),
        (("30e-06", "5.0"), ">= +0.05%"),
        (("5.0", "3e-04"), "<= -0.05%"),
        (("5.0", "3e-005"), "<= -0.05%"),
        (("3.e-05", "5.0"), ">= +0.05%"),
        (("0.3e-04", "5.0"), ">= +0.05%"),
        (("5.0", "1e-400"), "<= -0.05%"),
        (("1e-999", "5.0"), ">= +0.05%"),
        (("100.00000000000000001", "5.0"), ">= +0.05%"),
        (("5.0", "100." + "0" * 39 + "1"), "<= -0.05%"),
        (("0." + "1" * 41, "5.0"), ">= +0.05%"),
        (("05.0", "5.0"), ">= +0.05%"),
        (("5.", "5.0"), ">= +0.05%"),
        ((".5", "5.0"), ">= +0.05%"),
        (("5.0", "-0.0"), "<= -0.05%"),
        (("5.0", "3E-05"), "<= -0.05%"),
    ],
)
def test_a_number_that_could_not_be_kept_is_refused(cells: tuple[str, str], column: str) -> None:
    text = f",>= +0.05%,<= -0.05%\n7m TTC,{','.join(cells)}\n"
    with pytest.raises(Refused) as caught:
        parse(text.encode(), "any.csv", 0)
    (problem,) = caught.value.problems
    assert (problem.where, problem.row, problem.column) == ("any.csv", "7m TTC", column)


def test_the_two_directions_may_spell_a_threshold_differently() -> None:
    text = ",<= -0.50%,>= +0.5%,>= +1%,<= -1.0%\n7m TTC,1.0,2.0,3.0,4.0\n"
    found = parse(text.encode(), "any.csv", 0)
    assert found.thresholds == (Decimal("0.5"), Decimal(1))
    assert (found.positive, found.negative) == ((("2.0", "3.0"),), (("1.0", "4.0"),))
    assert render(found) == text.encode()


def test_any_bytes_are_read_or_refused() -> None:
    """A file damaged anywhere is refused."""
    rng = random.Random(7)
    good = (
        b",>= +0.05%,<= -0.05%,>= +0.10%,<= -0.10%\n"
        b"1m TTC,9.2,9.35,2.34,3e-05\n2m TTC,14.96,14.59,5.0,5.1\n"
    )
    assert render(parse(good, "good.csv", 0)) == good
    read = 0
    for _ in range(3000):
        damaged = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(damaged))
            match rng.randrange(3):
                case 0:
                    damaged[place] = rng.choice([*b"0159.,-+%\n\r m>", rng.randrange(256)])
                case 1:
                    del damaged[place : place + rng.randint(1, 9)]
                case _:
                    damaged[place:place] = damaged[place : place + rng.randint(1, 9)]
            if not damaged:
                break
        try:
            found = parse(bytes(damaged), "damaged.csv", 0)
        except Refused:
            continue
        read += 1
        assert render(found) == damaged
        assert_same_numbers(found, damaged.decode())
    assert read > 0


def test_real_files_come_back_with_the_same_bytes(shared_data: Path) -> None:
    paths = sorted((shared_data / "legacy" / "btc").glob("*.csv"))
    assert len(paths) == 62
    for path in paths:
        content = path.read_bytes()
        found = parse(content, path.name, 0)
        assert found.cells == 60 * 80
        assert_same_numbers(found, content.decode())
        assert render(found) == content


@given(st.sampled_from(["BTC", "ETH", "1INCH", "X"]), st.integers(-98, 99))
def test_names(symbol: str, bucket: int) -> None:
    name = file_name(bucket, symbol)
    assert stem(symbol, bucket) == name.removesuffix(".csv")
    assert parse_stem(stem(symbol, bucket)) == (symbol, bucket)


@pytest.mark.parametrize(
    "name",
    [
        "btc_fingerprint_directional_momentum_99",
        "btc_fingerprint_directional_momentum_099",
        "btc_fingerprint_directional_momentum_-99",
        "btc_fingerprint_directional_momentum_5",
        "btc_fingerprint_directional_momentum_0005",
        "btc_fingerprint_directional_momentum_-5",
        "btc_fingerprint_directional_momentum_-005",
        "btc_fingerprint_directional_momentum_-00",
        "btc_fingerprint_directional_momentum_+05",
        "btc_fingerprint_directional_momentum_",
        "btc_fingerprint_directional_momentum_\u0660\u0660\u0665",
        "BTC_fingerprint_directional_baseline",
        "btc_fingerprint_directional_Baseline",
        "btc_fingerprint_directional_baseline\n",
        " btc_fingerprint_directional_baseline",
        "_fingerprint_directional_baseline",
        "btc_fingerprint_baseline",
    ],
)
def test_other_names_are_no_names(name: str) -> None:
    with pytest.raises(NotAName):
        parse_stem(name)
