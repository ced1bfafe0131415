"""Texts of an announcement on a phone and in the log."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.notify.receivers import SECRET


def test_a_document_of_any_shape_makes_a_message() -> None:
    from pyupc.notify.message import LONGEST_BODY, Announcement

    at = datetime(2026, 3, 5, 12, 0, 5, tzinfo=UTC)

    def body(document: object, seconds: float = 1) -> str:
        announcement = Announcement("BTC", 7, at, "halted", "price", "old price", document)
        return announcement.as_message(at + timedelta(seconds=seconds)).body

    assert body(None) == body([]) == body({}) == "old price\n12:00:05 UTC"
    nested = {"kind": "halted", "age_seconds": 61.25, "limits": {"halted": 60}, "rows": [1]}
    assert body(nested, 300) == (
        "old price\nage seconds 61.25, halted 60\n2026-03-05 12:00:05 UTC, 5 min ago"
    )
    assert (
        body({"is_open": True, "feed": "a\nb"}) == "old price\nis open yes, feed a b\n12:00:05 UTC"
    )
    assert len(body(json.loads(json.dumps({f"number_{n}": n for n in range(500)})))) == LONGEST_BODY


def test_a_reason_has_no_secrets_in_it() -> None:
    from pyupc.notify.message import own
    from pyupc.notify.receiver import NotSent, Target

    url = f"json://someone:{SECRET}@127.0.0.1/path?+X-Token=abcdefgh"

    class Careless:
        def notify(self, **_: object) -> bool:
            raise OSError(f"POST {url} to 127.0.0.1\nfailed")

    there = Target("json://someone:****@127.0.0.1/path", "phone", url, Careless())
    with pytest.raises(NotSent) as raised:
        there.send(own("halted", "x", datetime.now(UTC)))
    assert SECRET not in repr(there)
    assert not {SECRET, "abcdefgh"} & set(re.split(r"\W+", raised.value.reason))
    assert "127.0.0.1" in raised.value.reason
    assert "\n" not in raised.value.reason
