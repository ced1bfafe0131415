"""Names of columns: which ones a header gives to each role."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyupc.candles.columns.layout import PRICES, ROLES, SKIP, Unrecognised
from pyupc.candles.columns.values import minute_of

# Names of the column with a minute's opening; of several the earlier one counts.
TIME_NAMES = (
    "timestamp",
    *("unix", "unixtimestamp", "unixtime", "unixms", "epoch", "epochtime", "mts", "timestampms"),
    *("opentime", "opentimestamp", "opentimems", "openedat", "starttime", "start", "startdate"),
    *("periodstart", "timeperiodstart", "windowstart", "timestamputc", "opentimeutc"),
    *("time", "datetime", "timeutc", "datetimeutc", "utctime", "utc", "dateutc", "utcdate"),
    *("gmttime", "date", "ts", "t"),
)
MONEY = (
    *("usd", "usdt", "usdc", "busd", "fdusd", "tusd", "dai", "eur", "gbp", "jpy", "krw", "try"),
    *("currency", "quote", "quoteasset", "to"),
)
TURNOVER_NAMES = {
    name for m in MONEY for name in (f"volume{m}", f"{m}volume", f"{m}assetvolume", f"vol{m}")
}
DOLLARS = ("usd", "usdt", "usdc", "busd", "fdusd", "tusd", "dai")
OTHER_NAMES = {"BTC": ("xbt",), "DOGE": ("xdg",)}


def parse_columns(text: str) -> tuple[str, ...]:
    """The roles and SKIP that --columns lists. ValueError with the reason why it cannot be."""
    names = [plain(part) or SKIP for part in text.split(",")]
    letters = {role[0]: role for role in ROLES[1:]} | dict.fromkeys(TIME_NAMES, "timestamp")
    roles = [letters.get(name, name) for name in names]
    roles = [role if role in ROLES else SKIP for role in roles]
    for role in ROLES:
        if roles.count(role) != 1:
            what = "occurs more than once" if roles.count(role) else "is missing"
            raise ValueError(f"{role.replace('timestamp', 'time')} {what}")
    while roles[-1] == SKIP:
        roles.pop()
    return tuple(roles)


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\s*[0-9]+[a-z]?\.\s*", "", name.lower()))


def columns_by_name(header: Sequence[str], symbol: str) -> dict[str, list[int]]:
    """The columns that each role's name is given to: the best names of those that are there."""
    names = [plain(name) for name in header]
    units = (plain(symbol), *OTHER_NAMES.get(symbol, ()))
    volumes: tuple[tuple[str, ...], ...] = (
        tuple(n for u in units for n in (f"volume{u}", f"{u}volume", f"vol{u}", f"{u}vol")),
        ("basevolume", "volumebase", "basevol", "volumebaseasset", "baseassetvolume", "volumefrom"),
        ("volume",),
        ("vol", "v", "volumetraded"),
    )
    ranks = {"timestamp": (TIME_NAMES,), "volume": volumes} | {
        role: (
            (role,),
            (f"{role}price", f"price{role}"),
            tuple(n for d in DOLLARS for n in (f"{role}{d}", f"{role}price{d}", f"{d}{role}")),
            (role[0],),
        )
        for role in PRICES
    }
    found: dict[str, list[int]] = {}
    for role, alternatives in ranks.items():
        each = ([i for i, name in enumerate(names) if name in some] for some in alternatives)
        found[role] = next((columns for columns in each if columns), [])
    return found


def time_columns(
    columns: list[int], rows: Sequence[Sequence[str]], header: Sequence[str], line: int
) -> list[int]:
    """The column to read of those named as a time; several of the best name are all kept."""
    if not columns:
        return []
    names = [plain(name) for name in header]
    by_rank = sorted(columns, key=lambda column: TIME_NAMES.index(names[column]))
    best = [column for column in by_rank if names[column] == names[by_rank[0]]]
    if len(best) > 1:
        return best
    readable = [c for c in by_rank if rows and all(minute_of(row[c]) is not None for row in rows)]
    if len(readable) > 1 and names[readable[0]] != "timestamp":
        # An epoch and an offset are in no doubt; a text without one may be of any place.
        sure = [c for c in readable if all(_is_sure(row[c]) for row in rows)]
        if not sure and any(
            minute_of(row[a]) != minute_of(row[readable[0]]) for row in rows for a in readable[1:]
        ):
            both = " and ".join(header[c].strip() for c in readable[:2])
            raise Unrecognised(f"{both} name different minutes", line)
        return (sure or readable)[:1]
    return (readable or by_rank)[:1]


def _is_sure(value: str) -> bool:
    return value[:5].isdigit() or bool(re.search(r"([Zz]|[+-][0-9:]{2,5})$", value[16:]))


def missing_role(found: dict[str, list[int]]) -> str:
    """A message about the first role that the header does not give to exactly one column."""
    role = next(role for role in ROLES if len(found[role]) != 1)
    if found[role]:
        return f"column {role} occurs more than once"
    if role == "volume":
        return "a column of the volume in units of the symbol is missing"
    return f"column {role} is missing"
