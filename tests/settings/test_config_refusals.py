"""A mistake in config.toml or in a variable ends with exit code 2, and its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.settings_files import pyupc


def refused(file: Path, text: str, *command: str) -> list[str]:
    file.write_text(text)
    result = pyupc("--config", file, *command)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] in (["pyupc"], ["pyupc", "hint"])
    assert lines[0].startswith(f"pyupc: {file}:")
    return [line.partition(": ")[2] for line in lines]


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("dns = 'x'", "'dns'", "dsn"),
        ("verbos = 1", "'verbos'", "verbose"),
        ("[tik]\nfeed = 'x'", "'tik'", "tick"),
        ("[rule]", "'rule'", "rules"),
        ("[rules]\nfresh = '1 s'", "'fresh'", "fresh_for"),
        ("[tick]\nintervall = 1", "'intervall'", "interval"),
        ("[tick]\nsymbols = ['BTC']", "'symbols'", "symbol"),
        ("[candles.backfil]\nexchange = 'x'", "'backfil'", "backfill"),
        ("[candles.backfill]\nsinse = 2024-01-01", "'sinse'", "since"),
        ("[db.current]\njsn = true", "'jsn'", "json"),
        # A hidden one.
        ("[feed]\nexchange_url = 'http://x'", "'exchange_url'", "exchange"),
    ],
)
def test_the_nearest_name_is_suggested(tmp_path: Path, text: str, key: str, meant: str) -> None:
    message, hint = refused(tmp_path / "c.toml", text, "config", "show")
    assert key in message
    assert hint.split()[-1] == meant


@pytest.mark.parametrize(
    "text",
    ["[tick]\nonce = true", "[db.downgrade]\nyes = true", "[fingerprints.export]\nforce = 1"],
)
def test_what_is_for_the_command_line_only(tmp_path: Path, text: str) -> None:
    _, hint = refused(tmp_path / "c.toml", text, "config", "show")
    assert "command line" in hint


def test_a_name_that_resembles_none(tmp_path: Path) -> None:
    _, hint = refused(tmp_path / "c.toml", "[tick]\nzzzzzz = 1", "tick")
    assert "interval" in hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dsn = \n", 1),
        ("\n\n[tick\n", 3),
        ("verbose = 1\nverbose = 2\n", 2),
        ('dsn = "x', 1),
        ("# one\n[tick]\nsymbol = [\n'BTC',", 4),
        ("quiet = True", 1),
    ],
)
def test_a_mistake_in_the_syntax(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "c.toml"
    message, _ = refused(file, text, "db", "uri")
    assert message.startswith(f"{file}:{line}: ")
    assert "geheim" not in message


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes('# one\nhome = "Bücher"\n'.encode("latin-1"))
    result = pyupc("--config", file, "db", "uri")
    assert result.exit_code == 2
    assert f"{file}:2:" in result.stderr
    assert pyupc("--config", tmp_path, "db", "uri").exit_code == 2


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("dsn = 5", "dsn"),
        ("verbose = true", "verbose"),
        ("verbose = -1", "verbose"),
        ("quiet = 'yes'", "quiet"),
        ("quiet = 1", "quiet"),
        ("log_format = 'xml'", "log_format"),
        ("log_format = ['json']", "log_format"),
        ("tick = 1", "tick"),
        ("rules = 1", "rules"),
        ("candles.backfill = 1", "backfill"),
        ("[tick]\ninterval = '1'", "interval"),
        ("[tick]\ninterval = true", "interval"),
        ("[tick]\ninterval = 0", "interval"),
        ("[tick]\ninterval = nan", "interval"),
        ("[tick]\ncount = 1.0", "count"),
        ("[tick]\ncount = 0", "count"),
        ("[tick]\nfeed = 5", "feed"),
        ("[tick]\nfeed = ['simulated']", "feed"),
        ("[tick]\nsymbol = [1]", "symbol"),
        ("[tick]\nsymbol = ['BTC', ' ']", "symbol"),
        ("[tick]\njson = 'yes'", "json"),
        ("[tick]\nfrom = 'yesterday'", "from"),
        ("[bench]\nonly = ['nothing']", "only"),
        ("[fingerprints.validate]\nagainst = 'none'", "against"),
    ],
)
def test_a_wrong_value(tmp_path: Path, text: str, key: str) -> None:
    message, *_ = refused(tmp_path / "c.toml", text, "config", "show")
    assert key in message


RULES = [
    ("fresh_for", "15"),
    ("fresh_for", "'15'"),
    ("fresh_for", "'s'"),
    ("fresh_for", "'15 parsecs'"),
    ("fresh_for", "'0 s'"),
    ("fresh_for", "'-1 s'"),
    ("fresh_for", "'1e3 s'"),
    ("fresh_for", "'infinity'"),
    ("fresh_for", "'1 s; DROP'"),
    ("fresh_for", "'2000 years'"),
    ("fresh_for", "true"),
    ("keep_prices", "'inf'"),
    ("keep_prices", "30"),
    ("keep_ticks", "'47 h'"),
    ("stop_ttc", "'-1 s'"),
    ("min_probability", "'95'"),
    ("min_probability", "101"),
    ("min_probability", "-0.5"),
    ("min_probability", "nan"),
    ("min_probability", "true"),
    ("min_differential", "inf"),
    ("stop_momentum", "0"),
    ("stop_verify", "1"),
    ("stop_verify", "'maybe'"),
]


@pytest.mark.parametrize(("name", "value"), RULES)
def test_a_wrong_rule(tmp_path: Path, name: str, value: str) -> None:
    """Every command refuses them, even one that does not read them."""
    message, *_ = refused(tmp_path / "c.toml", f"[rules]\n{name} = {value}", "db", "uri")
    assert f"[rules] {name}" in message


@pytest.mark.parametrize(
    ("variable", "value", "command"),
    [
        ("PYUPC_RULES_FRESH_FOR", "15", "db uri"),
        ("PYUPC_RULES_FRESH_FOR", " ", "db uri"),
        ("PYUPC_RULES_MIN_PROBABILITY", "1_0", "db uri"),
        ("PYUPC_RULES_MIN_PROBABILITY", "nan", "db uri"),
        ("PYUPC_RULES_STOP_VERIFY", "maybe", "db uri"),
        ("PYUPC_TICK_INTERVAL", "soon", "tick --once"),
        ("PYUPC_TICK_INTERVAL", "-1", "tick --once"),
        ("PYUPC_TICK_JSON", "maybe", "tick --once"),
        ("PYUPC_CANDLES_BACKFILL_SINCE", "yesterday", "candles backfill"),
        ("PYUPC_TICK_INTERVAL", "soon", "config show"),
        ("PYUPC_LOG_FORMAT", "xml", "db uri"),
        ("PYUPC_VERBOSE", "much", "db uri"),
    ],
)
def test_a_wrong_variable(
    variable: str, value: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    result = pyupc(*command.split())
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"pyupc: {variable}: ")


def test_a_command_refuses_its_own_settings_only(tmp_path: Path) -> None:
    """A mistake about one command does not stop another that runs on the same machine."""
    file = tmp_path / "c.toml"
    file.write_text("[candles]\nnonsense = 1\n")
    assert pyupc("--config", file, "candles", "gaps").exit_code == 2
    assert pyupc("--config", file, "db", "uri").exit_code == 3
    assert pyupc("--config", file, "config", "show").exit_code == 2
