"""Checking a receipt in a shell: with the published keys alone, in either language, and an exit code that says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sync_agent.__main__ import app
from sync_agent.check import words
from sync_agent.check.publish import KEYS, PAGE
from sync_agent.check.words import Language
from sync_agent.contract import logs, slip
from sync_agent.contract.slip import Verdict
from tests.sync_agent.check.slips import AGENT, BAD, ENTRY, GOOD, RECORD, STRANGER, written


@pytest.fixture(autouse=True)
def log_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in the tests' own process, where it must not turn all logs to a stream that is closed with it."""
    monkeypatch.setattr(logs, "set_up", lambda _program: None)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    file.write_text(slip.published([AGENT]), encoding="utf-8")
    return file


def run(*arguments: str, standard_input: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, input=standard_input, env={"SYNC_AGENT_SETTINGS": "/nowhere/at/all.toml"})
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ([], ["凭证属实", "事项：人证核验", "比对结论：人脸与证件一致", "时间：2026-11-23 08:30:05 UTC", "设备：gate-north-1"]),
        (
            ["--language", "en"],
            ["genuine", "Matter: Identity verification", "Comparison: Face and card match", "Place: 东门 2 号"],
        ),
    ],
)
def test_ok__a_good_receipt_in_plain_words(keys: Path, language: list[str], said: list[str]) -> None:
    code, output = run("verify-receipt", GOOD, "--keys", str(keys), *language)
    assert code == 0
    assert [line for line in (*said, str(RECORD)) if line not in output] == []


def test_ok__from_standard_input(keys: Path) -> None:
    assert run("verify-receipt", "-", "--keys", str(keys), standard_input=f"{GOOD}\n")[0] == 0


@pytest.mark.parametrize("bad", Verdict)
@pytest.mark.parametrize("language", Language)
def test_fail__what_proves_nothing_ends_with_1_and_says_why(keys: Path, bad: Verdict, language: Language) -> None:
    code, output = run("verify-receipt", BAD[bad], "--keys", str(keys), "--language", language)
    assert (code, output) == (1, words.refused(bad, language) + "\n")


def test_fail__other_keys(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(slip.published([STRANGER]), encoding="utf-8")
    assert run("verify-receipt", GOOD, "--keys", str(file))[0] == 1
    file.write_text(slip.published([STRANGER, AGENT]), encoding="utf-8")
    assert run("verify-receipt", GOOD, "--keys", str(file))[0] == 0


@pytest.mark.parametrize("content", [None, b"{}", b"\xff\xfe"])
def test_fail__keys_that_cannot_be_used_are_another_matter(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    for command in (["verify-receipt", GOOD], ["verify-page", str(tmp_path / "page")]):
        assert run(*command, "--keys", str(file))[0] == 2
    assert not (tmp_path / "page").exists()


def test_the_page_is_written_with_the_keys_in_it_and_beside_it(tmp_path: Path, keys: Path) -> None:
    assert run("verify-page", str(tmp_path / "page"), "--keys", str(keys))[0] == 0
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [PAGE, KEYS]
    assert (tmp_path / "page" / KEYS).read_text(encoding="utf-8") == keys.read_text(encoding="utf-8")
    assert slip.key_id(AGENT).hex() in (tmp_path / "page" / PAGE).read_text(encoding="utf-8")


def test_every_language_has_words_for_all_there_is() -> None:
    said = {language: words.load(language) for language in Language}
    assert len({frozenset((group, key) for group in each for key in each[group]) for each in said.values()}) == 1
    chinese = said[Language.ZH]
    assert set(chinese["kind"]) == set(slip.KIND_OF.values())
    assert set(chinese["outcome"]) == {outcome for outcome in slip.OUTCOME_OF.values() if outcome}
    assert set(chinese["standing"]) == set(slip.STANDING_OF.values())
    assert set(chinese["verdict"]) == set(chinese["meaning"]) == {"good", *Verdict}


def test_a_kind_without_outcome_has_no_line_for_it(keys: Path) -> None:
    help_wanted = written(slip.Entry(RECORD, ENTRY.at, "case", None, slip.Standing.KEPT))
    _, output = run("verify-receipt", help_wanted, "--keys", str(keys))
    assert "事项：请求工作人员协助" in output
    assert "比对结论" not in output
