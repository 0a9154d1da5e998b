"""Settings: unknown keys refused, bounds kept, the message names key, value and what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.settings import BadSettings, Settings, load

GOOD = 'state_dir = "/data/kiosk"\n[notice]\ncontroller = "示例项目部"\ncontact = "0891-0000000"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "kiosk.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ok__the_least_a_kiosk_must_be_told(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert settings.outbox_path == Path("/data/kiosk/outbox/outbox.db")
    assert settings.face.tries == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + "[face]\ntrials = 3\n", "face.trials = 3"),
        (GOOD + "[face]\ntries = 0\n", "face.tries = 0: Input should be greater than or equal to 1"),
        (GOOD + '[reader]\nkind = "usb"\n', "reader.kind = 'usb'"),
        (GOOD + '[reader.pages]\nmark = "9"\n', "reader.pages.mark = '9'"),
        ('state_dir = "/data"\n', "notice"),
        ("state_dir = \n", "not TOML"),
    ],
)
def test_fail__the_message_names_key_and_value(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(BadSettings, match=r".") as bad:
        load(written(tmp_path, text))
    assert named in str(bad.value)


def test_fail__a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="No such file"):
        load(tmp_path / "none.toml")


def test_every_option_says_what_it_is_for() -> None:
    def undescribed(model: type, path: str = "") -> list[str]:
        missing = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined] # only pydantic models come here
            if hasattr(field.annotation, "model_fields"):
                missing += undescribed(field.annotation, f"{path}{name}.")
            elif not field.description:
                missing.append(path + name)
        return missing

    assert undescribed(Settings) == []
