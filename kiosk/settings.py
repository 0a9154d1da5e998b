"""Every option of the kiosk: typed, bounded, with its unit. Unknown keys are refused; `kiosk --check` prints what is in force."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class BadSettings(Exception):
    """The settings file cannot be used; the text names each key and what would do."""


class Group(BaseModel):
    """A group of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Hex = Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2})*$", max_length=64)]
Byte = Annotated[int, Field(ge=0, le=255)]


class PageSettings(Group):
    """How the vendor of a `pcsc-pages` reader offers the card's pages; ask before buying (kiosk/cards/pages.py)."""

    mark: Hex = Field("9000", description="What the ATR of a readable card holds, hexadecimal ...")
    mark_at: Byte = Field(13, description="... from this byte on, counted from 0.")
    cla: Byte = Field(0xFF, description="Class of the read command.")
    ins: Byte = Field(0xB0, description="Instruction of the read command; P1 is the page.")
    page_bytes: Annotated[int, Field(ge=16, le=256)] = Field(256, description="Bytes in every page but the last.")
    max_photo_bytes: Annotated[int, Field(ge=1024, le=65_000)] = Field(16 * 1024, description="Longest portrait, bytes.")
    module_command: Hex = Field("", description="APDU that returns the module's number; empty where the reader has none.")


class ReaderSettings(Group):
    """The card reader."""

    kind: Literal["pcsc-pages", "absent"] = Field("pcsc-pages", description="Kind of reader; `absent` runs without one.")
    name: str = Field("", max_length=200, description="Part of the PC/SC reader's name; empty takes the first one.")
    read_deadline_s: Seconds = Field(8.0, description="A reading that takes longer counts as a stuck reader.")
    pages: PageSettings = PageSettings()


class CameraSettings(Group):
    """The camera."""

    kind: Literal["picamera", "webcam", "replay", "absent"] = Field("picamera", description="Kind of camera.")
    device: Annotated[int, Field(ge=0, le=63)] = Field(0, description="Number of the webcam.")
    film: Path = Field(Path(), description="What `replay` plays; may be a link that is repointed while it plays.")


class FaceSettings(Group):
    """The face match."""

    packs: Path | None = Field(
        None,
        description="Folder with the site's model packs and in-force.toml, which says which one is in force; "
        "absent: the pack `dlib` as it came with the program.",
    )
    calibration: Path | None = Field(
        None, description="File that `kiosk cohort build` made of people who consented; absent: the pack's own thresholds."
    )
    calibration_key: Path | None = Field(
        None, description="File of its key, made with it on this device; absent: beside the calibration, `.key` appended."
    )
    threads: Annotated[int, Field(ge=1, le=4)] = Field(2, description="Most threads the face match computes with.")
    deadline_s: Seconds = Field(20.0, description="After this long without a decision the try ends.")
    tries: Annotated[int, Field(ge=1, le=5)] = Field(3, description="Tries before a person decides (S15).")
    attended: bool = Field(
        True, description="Staff stands by. Otherwise a match stands only with a pack made for that and a liveness test passed."
    )
    challenge_turns: Annotated[int, Field(ge=0, le=3)] = Field(
        2, description="So often the head is to be turned, to sides drawn by chance, after the face matched; 0 asks for no turn."
    )
    turn_s: Annotated[float, Field(ge=2, le=30)] = Field(6.0, description="From the prompt to the turn that it asks for.")


class ScreenSettings(Group):
    """The window."""

    fullscreen: bool = Field(True, description="Take the whole panel and hide the pointer; false is a window of 1280x800.")
    language: Literal["zh", "en"] = Field("zh", description="Language at rest and after each visit.")
    pilot_socket: Path | None = Field(None, description="Remote touches and screenshots for demo and service; absent is off.")


class VisitSettings(Group):
    """How long a visit waits."""

    idle_s: Seconds = Field(30.0, description="Without a touch, before 'are you still there?'.")
    still_there_s: Seconds = Field(20.0, description="Countdown of 'are you still there?'.")
    result_s: Seconds = Field(8.0, description="How long a result stays when nobody touches it.")
    receipt_s: Seconds = Field(5.0, description="How long the visitor waits for the centre's answer before going on.")
    slip_s: Seconds = Field(20.0, description="How long a result with a slip to scan stays when nobody touches it.")


class NoticeSettings(Group):
    """What the consent page must name (P01, P25)."""

    version: str = Field("1", max_length=32, description="Version of the notice; goes into every record.")
    controller: str = Field(max_length=60, description="Who processes the face information.")
    contact: str = Field(max_length=60, description="How to reach them.")


class SlipSettings(Group):
    """The visitor's proof, a QR on the result page; the device needs an attestation for it."""

    show: bool = Field(True, description="Show it at the end of a visit.")
    url: str = Field(
        "",
        max_length=80,
        pattern=r"^(https://[^\s#]+)?$",
        description="Address of the page that checks slips; what the slip says stands behind `#` and reaches no server. "
        "Empty: the code holds the slip alone.",
    )


class UplinkSettings(Group):
    """The way to the centre."""

    mqtt: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version; every broker speaks 3.1.1, and nothing here needs 5.")
    keepalive_s: Annotated[int, Field(ge=1, le=45)] = Field(
        40,
        description="Silence before the broker is asked whether it is there; a dead line is noticed after twice this, seconds.",
    )
    connect_s: Seconds = Field(15.0, description="How long the broker may take to accept a connection.")
    resend_s: Seconds = Field(30.0, description="First wait for a receipt before a record is sent again; doubles, full jitter.")
    retry_max_s: Seconds = Field(300.0, description="Longest wait between two tries to connect or to send.")
    telemetry_s: Seconds = Field(300.0, description="Between two telemetry messages.")
    window: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Most messages under way without receipt.")
    unanswered_s: Seconds = Field(300.0, description="Connected and not one receipt for this long: staff are told (LINK-10).")
    reconcile_s: Seconds = Field(86_400.0, description="Between two comparisons of the chain's end with what the centre holds.")


class OutboxSettings(Group):
    """The durable outbox."""

    min_free_mb: Annotated[int, Field(ge=1, le=100_000)] = Field(50, description="Below this much free disk no visit starts.")
    keep_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30, description="Days that answered records stay; the oldest go sooner below twice the room that is asked for."
    )


class Settings(Group):
    """All options of one kiosk."""

    state_dir: Path = Field(description="Everything the kiosk keeps: keys, outbox, sockets, logs.")
    notice: NoticeSettings
    reader: ReaderSettings = ReaderSettings()
    camera: CameraSettings = CameraSettings()
    face: FaceSettings = FaceSettings()
    screen: ScreenSettings = ScreenSettings()
    visit: VisitSettings = VisitSettings()
    slip: SlipSettings = SlipSettings()
    uplink: UplinkSettings = UplinkSettings()
    outbox: OutboxSettings = OutboxSettings()

    @property
    def outbox_path(self) -> Path:
        """The outbox database."""
        return self.state_dir / "outbox" / "outbox.db"

    @property
    def identity_dir(self) -> Path:
        """The device's keys and certificates."""
        return self.state_dir / "identity"

    @property
    def uplink_socket(self) -> Path:
        """Where kiosk and uplink meet."""
        return self.state_dir / "uplink.sock"


def load(path: Path) -> Settings:
    """Read a settings file (TOML).

    Raises:
        BadSettings: unreadable, not TOML, unknown keys or values out of bounds; names the key, the value and what would do.
    """
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as err:
        raise BadSettings(f"cannot read settings {str(path)!r}: {err.strerror}") from err
    except tomllib.TOMLDecodeError as err:
        raise BadSettings(f"settings {str(path)!r} are not TOML: {err}") from err
    except ValidationError as err:
        lines = [f"  {'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in err.errors()]
        raise BadSettings(f"settings {str(path)!r} cannot be used:\n" + "\n".join(lines)) from None
