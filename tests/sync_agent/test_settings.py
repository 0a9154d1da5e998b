from __future__ import annotations

from pathlib import Path

import pytest

from sync_agent.settings import BadSettings, load

LEAST = 'state_dir = "state"\ntenant = "xz"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_ok__two_keys_are_enough(state_dir: Path) -> None:
    settings = load(written(state_dir, LEAST))
    assert settings.database_url.startswith("sqlite:////")
    assert settings.database_url.endswith("/state/registry.db")
    assert (settings.web.host, settings.keys_dir) == ("127.0.0.1", Path("state/keys"))


def test_ok__postgresql_is_one_setting(state_dir: Path) -> None:
    url = "postgresql+psycopg://rz:secret@db:5432/rz"
    settings = load(written(state_dir, f'{LEAST}[database]\nurl = "{url}"\n'))
    assert settings.database_url == url
    assert "secret" not in repr(settings)
    assert "secret" not in settings.model_dump_json()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_ok__the_page_on_loopback(state_dir: Path, host: str) -> None:
    assert load(written(state_dir, f'{LEAST}[web]\nhost = "{host}"\n')).web.host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "agent.example", ""])
def test_fail__the_page_beyond_loopback_before_there_is_a_sign_in(state_dir: Path, host: str) -> None:
    with pytest.raises(BadSettings, match=r"web\.host"):
        load(written(state_dir, f'{LEAST}[web]\nhost = "{host}"\n'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{LEAST}colour = 1\n", "colour"),
        (f"{LEAST}[broker]\nport = 99999\n", r"broker\.port = 99999"),
        (f'{LEAST}[rules]\nzone = "Mars/Base"\n', r"rules\.zone = 'Mars/Base'"),
        ('state_dir = "s"\ntenant = "Big Firm"\n', "tenant = 'Big Firm'"),
        (f'{LEAST}[database]\nurl = "mysql://u:hush@h/d"\n', r"database\.url: .*sqlite:///"),
        ("tenant =", "not TOML"),
    ],
    ids=["unknown", "bound", "zone", "tenant", "database", "syntax"],
)
def test_fail__what_cannot_be_used_is_named(state_dir: Path, text: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said) as told:
        load(written(state_dir, text))
    assert "hush" not in str(told.value)


def test_fail__a_missing_file_is_named(state_dir: Path) -> None:
    with pytest.raises(BadSettings, match="cannot read"):
        load(state_dir / "none.toml")
