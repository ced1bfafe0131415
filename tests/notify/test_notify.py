"""`pyupc notify` as a process, with receivers on the loopback and a real PostgreSQL."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("apprise", reason="needs the extra notify")

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.notify.receivers import (
    SECRET,
    Receiver,
    announce,
    cursors,
    environment,
    notifying,
    receiving,
    until,
)
from tests.support import warm_process

TERMINATE = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE application_name = 'pyupc notify' AND datname = current_database()"
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def run(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    done = warm_process.run("notify", *arguments, env=environment(dsn))
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr + done.stdout
    return done


def test_what_is_announced_arrives_once_in_order_and_in_words(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    announce(fresh_db, "before it began")
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        before = datetime.now(UTC)
        last = 0
        for number in range(20):
            last = announce(fresh_db, f"no. {number}", symbol=("BTC", "ETH")[number % 2])
        until(lambda: cursors(fresh_db).get(("phone", "ETH")) == last)
        assert notify.end() == 0
    after = datetime.now(UTC)
    assert [b for b in receiver.bodies if int(b[4:]) % 2 == 0] == [
        f"no. {n}" for n in range(0, 20, 2)
    ]
    assert [b for b in receiver.bodies if int(b[4:]) % 2] == [f"no. {n}" for n in range(1, 20, 2)]

    first = next(m for m in receiver.messages if m["message"].startswith("no. 0\n"))
    assert (first["title"], first["type"]) == ("BTC stop: trade", "warning")
    _, numbers, when = first["message"].splitlines()
    assert numbers == "probability 38.25, price 97,250.5, count 10"
    seconds = range(int((after - before).total_seconds()) + 2)
    assert when in {f"{before + timedelta(seconds=n):%H:%M:%S} UTC" for n in seconds}

    assert notify.logged("sent to json://someone:****@") == 20


def test_only_the_requested_kinds_are_sent(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    to = ("--to", receiver.url, "--name", "phone", "--on", " settled,HALTED ")
    with notifying(fresh_db, tmp_path, *to) as notify:
        until(lambda: notify.is_ready)
        for kind in ("stop", "stale", "settled", "recovered", "halted"):
            announce(fresh_db, kind, kind)
        until(lambda: len(receiver.messages) == 2)
        assert notify.end() == 0
    assert receiver.bodies == ["settled", "halted"]
    assert [message["type"] for message in receiver.messages] == ["info", "failure"]


def test_a_new_receiver_begins_at_now_and_a_known_one_where_it_was(
    fresh_db: str, receiver: Receiver
) -> None:
    to = ("--to", receiver.url, "--name", "phone", "--once")
    announce(fresh_db, "long ago")
    assert run(fresh_db, *to).returncode == 0
    announce(fresh_db, "in between", symbol="ETH")
    announce(fresh_db, "in between too")
    announce(fresh_db, "not asked for", kind="settled")
    done = run(fresh_db, *to)
    assert (done.returncode, done.stdout) == (0, "")
    assert receiver.bodies == ["in between", "in between too"]
    assert run(fresh_db, *to).returncode == 0
    assert len(receiver.messages) == 2

    other = ("--to", receiver.url, "--name", "other", "--once", "--from-start")
    assert run(fresh_db, *other).returncode == 0
    assert receiver.bodies[2:] == ["long ago", "in between", "in between too"]
    # It is known by now.
    assert run(fresh_db, *other).returncode == 0
    assert len(receiver.messages) == 5


def test_more_than_a_batch_is_sent_at_once(fresh_db: str, receiver: Receiver) -> None:
    with connect(fresh_db) as conn:
        conn.execute(
            "INSERT INTO upc_data.announcement"
            " (symbol, announcement_id, announced_at, kind, subject, message, document)"
            " SELECT 'BTC', n, now() - interval '2 hours', 'stop', 'trade', 'no. ' || n, '{}'"
            " FROM generate_series(1, 205) AS n"
        )
    assert run(fresh_db, "--to", receiver.url, "--once", "--from-start").returncode == 0
    assert receiver.bodies == [f"no. {n}" for n in range(1, 206)]
    assert {m["message"].splitlines()[1].partition(", ")[2] for m in receiver.messages} == {
        "2 h ago"
    }


@pytest.mark.slow
def test_without_a_name_the_database_knows_the_url_by_a_digest(
    fresh_db: str, receiver: Receiver
) -> None:
    for _ in range(2):
        assert run(fresh_db, "--to", receiver.url, "--once").returncode == 0
        announce(fresh_db, "x")
    with receiving() as other:
        assert run(fresh_db, "--to", other.url, "--once").returncode == 0
    names = {subscriber for subscriber, _ in cursors(fresh_db)}
    assert len(names) == 2
    assert all(re.fullmatch("json-[0-9a-f]{12}", name) for name in names)


@pytest.mark.slow
def test_a_failed_message_is_sent_again_and_logged_once(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.refuses = 3
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        announce(fresh_db, "first")
        last = announce(fresh_db, "second")
        until(lambda: cursors(fresh_db)[("phone", "BTC")] == last)
        assert notify.end() == 0
    assert [m["message"].splitlines()[0] for m in receiver.refused] == ["first"] * 3
    assert receiver.bodies == ["first", "second"]
    assert notify.logged("503") == 1
    assert notify.logged("back after") == 1


@pytest.mark.slow
def test_a_receiver_that_refuses_everything_is_not_stormed(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.refuses = 1_000_000
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        announce(fresh_db, "first")
        until(lambda: len(receiver.refused) > 1)
        began, before = time.monotonic(), len(receiver.refused)
        for number in range(20):
            # News are no reason to try sooner.
            announce(fresh_db, f"no. {number}")
            time.sleep(0.1)
        attempts = len(receiver.refused) - before
        assert notify.end() == 0
    # Pauses of at least 0.5 and 1 s come next.
    assert attempts <= 1 + (time.monotonic() - began)


def test_once_ends_with_1_if_something_did_not_get_through(
    fresh_db: str, receiver: Receiver
) -> None:
    to = ("--to", receiver.url, "--name", "phone", "--once")
    assert run(fresh_db, *to).returncode == 0
    announce(fresh_db, "first")
    receiver.refuses = 1
    assert run(fresh_db, *to).returncode == 1
    assert run(fresh_db, *to).returncode == 0
    assert receiver.bodies == ["first"]


def test_a_dead_receiver_keeps_nobody_waiting_and_gets_everything_later(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    with receiving() as dead:
        pass
    names = ("--name", "alive", "--name", "dead")
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--to", dead.url, *names) as notify:
        until(lambda: notify.is_ready)
        for number in range(5):
            last = announce(fresh_db, f"no. {number}")
        until(lambda: cursors(fresh_db)[("alive", "BTC")] == last)
        assert cursors(fresh_db)[("dead", "BTC")] < last - 4
        with receiving(dead):
            until(lambda: cursors(fresh_db)[("dead", "BTC")] == last, 60)
        assert notify.end() == 0
    assert receiver.bodies == dead.bodies == [f"no. {n}" for n in range(5)]


@pytest.mark.slow
def test_killed_between_send_and_acknowledgement_it_sends_twice(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    to = ("--to", receiver.url, "--name", "phone")
    with notifying(fresh_db, tmp_path, *to) as notify:
        until(lambda: notify.is_ready)
        first = announce(fresh_db, "first")
        until(lambda: cursors(fresh_db)[("phone", "BTC")] == first)
        with connect(fresh_db, autocommit=False) as conn:
            conn.execute("LOCK TABLE upc_data.announcement_cursor IN SHARE MODE")
            second = announce(fresh_db, "second")
            until(lambda: notify.logged("second"))
            notify.process.kill()
            notify.process.wait()
            # Its backend, still waiting for the lock, would acknowledge after all.
            conn.execute(TERMINATE)
    assert cursors(fresh_db)[("phone", "BTC")] == first
    announce(fresh_db, "third")
    assert run(fresh_db, *to, "--once").returncode == 0
    assert receiver.bodies == ["first", "second", "second", "third"]
    assert cursors(fresh_db)[("phone", "BTC")] == second + 1


@pytest.mark.slow
def test_an_acknowledgement_that_fails_sends_nothing_twice(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        with connect(fresh_db, autocommit=False) as conn:
            conn.execute("LOCK TABLE upc_data.announcement_cursor IN SHARE MODE")
            first = announce(fresh_db, "first")
            # The server gives the statement up after a while.
            until(lambda: notify.logged("57014"))
        second = announce(fresh_db, "second", symbol="ETH")
        until(lambda: cursors(fresh_db)[("phone", "ETH")] == second)
        assert cursors(fresh_db)[("phone", "BTC")] == first
        assert notify.end() == 0
    assert receiver.bodies == ["first", "second"]


@pytest.mark.slow
def test_one_process_sends_to_a_name(fresh_db: str, receiver: Receiver, tmp_path: Path) -> None:
    to = ("--to", receiver.url, "--name", "phone")
    with notifying(fresh_db, tmp_path, *to) as notify:
        until(lambda: notify.is_ready)
        assert run(fresh_db, *to).returncode == 1
        assert run(fresh_db, "--to", receiver.url, "--name", "other", "--once").returncode == 0
        announce(fresh_db, "first")
        until(lambda: receiver.messages)
        assert notify.end() == 0
    assert run(fresh_db, *to, "--once").returncode == 0
    assert receiver.bodies == ["first"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_the_message_under_way(
    fresh_db: str, receiver: Receiver, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        receiver.gate.clear()
        first = announce(fresh_db, "first")
        announce(fresh_db, "second")
        until(lambda: receiver.messages)
        notify.process.send_signal(number)
        receiver.gate.set()
        assert notify.process.wait(20) == code
        assert "Traceback" not in notify.log
    assert receiver.bodies == ["first"]
    assert cursors(fresh_db)[("phone", "BTC")] == first


@pytest.mark.slow
def test_a_receiver_that_never_answers_does_not_keep_it_from_ending(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    # Longer than the few seconds that a message under way has.
    url = f"{receiver.url}?rto=60"
    with notifying(fresh_db, tmp_path, "--to", url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        receiver.gate.clear()
        announce(fresh_db, "first")
        until(lambda: receiver.messages)
        assert notify.end() == 0


# Arguments and the test message.


def test_a_test_message_goes_to_each_url(receiver: Receiver) -> None:
    with receiving() as dead:
        pass
    nowhere = "host=/nonexistent"
    assert run(nowhere, "--to", receiver.url, "--test").returncode == 0
    assert len(receiver.messages) == 1
    done = run(nowhere, "--to", dead.url, "--to", receiver.url, "--test")
    assert done.returncode == 1
    assert f"127.0.0.1:{dead.port}" in done.stderr
    assert len(receiver.messages) == 2


def test_the_urls_may_come_from_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as other:
        monkeypatch.setenv("PYUPC_NOTIFY_TO", f"{receiver.url} {other.url}")
        assert run("host=/nonexistent", "--test").returncode == 0
        assert (len(receiver.messages), len(other.messages)) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--to", f"nosuch://{SECRET}"),
        ("--to", SECRET),
        ("--to", "tgram://x"),
        ("--to", "json://a", "--on", "start"),
        ("--to", "json://a", "--on", ","),
        ("--to", "json://a", "--to", "json://a"),
        ("--to", "json://a", "--to", "json://b", "--name", "x"),
        ("--to", "json://a", "--to", "json://b", "--name", "x", "--name", "x"),
        ("--to", "json://a", "--name", ""),
        ("--to", "json://a", "--test", "--once"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(SECRET, "…") or "none",
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nonexistent")
    done = CliRunner().invoke(main, ["notify", *arguments])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert SECRET not in done.output


def test_without_a_database_it_does_not_begin(receiver: Receiver, empty_db: str) -> None:
    to = ("--to", receiver.url)
    assert run("host=/nonexistent", *to).returncode == 3
    assert run(empty_db, *to).returncode == 4
    assert receiver.messages == []


def test_without_apprise_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['notify', '--to',"
        " 'json://a']; from pyupc.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment("host=/nonexistent"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "pyupc[notify]" in done.stderr
