"""The packs at hand, and which one is in force: those that came with the program, and those in a folder of the site's own."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, ValidationError

from models.evaluation import Evaluation, Incomparable, worse
from models.files import write_whole
from models.load import BadPack, Pack, load
from models.spec import Sha256, Table
from sync_agent.contract.kinds import Condition

SHIPPED: Final = Path(__file__).parent
DEFAULT: Final = "dlib"
"""In force where nobody chose another."""

IN_FORCE: Final = "in-force.toml"


class Refused(Exception):
    """A pack may not come into force: in what it is worse, or why nobody can tell. Goes with a reason all the same."""

    code = "FACE-04"


class InForce(Table):
    """What in-force.toml says: which pack, since when, instead of which, and why in spite of its evaluation."""

    pack: str
    sha256: Sha256
    at: AwareDatetime
    before: str
    before_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(description="Empty where it could not be opened.")
    because: str = Field(default="", description="The reason given; empty where the evaluations bore it.")
    against: tuple[str, ...] = Field(default=(), description="What spoke against it.")


class Shelf:
    """All packs by their names."""

    def __init__(self, folder: Path | None = None, *, shipped: Path = SHIPPED) -> None:
        """Know where packs are; nothing is read yet.

        Args:
            folder: one folder a pack, each with what the site has of it: `pack.toml` of a pack of its own, `weights/`,
                `evaluation.chip.json`, `evaluation.document.json`; and in-force.toml. None: only what came with the program.
            shipped: the packs that came with the program.
        """
        self._folder = folder
        self._shipped = shipped

    def names(self) -> list[str]:
        """Return the names of all packs at hand."""
        folders = [self._shipped] if self._folder is None else [self._shipped, self._folder]
        return sorted({path.parent.name for folder in folders for path in folder.glob("*/pack.toml")})

    def open(self, name: str) -> Pack:
        """Open a pack, its weights where they are.

        Raises:
            BadPack: no such pack, or not as it should be.
        """
        pack = self._load(name)
        shipped = self._shipped / name
        if pack.folder.is_dir() or not (shipped / "pack.toml").exists():
            return pack
        return replace(pack, folder=shipped / "weights")

    def open_to_fill(self, name: str) -> Pack:
        """Open a pack, its weights where they are to be put: in the site's folder where there is one.

        Raises:
            BadPack: no such pack, or not as it should be.
        """
        return self._load(name)

    def in_force(self) -> Pack:
        """Open the pack in force.

        Raises:
            BadPack: there is no such folder, in-force.toml or the pack it names cannot be used, or the pack has changed since.
        """
        if self._folder is not None and not self._folder.is_dir():
            raise BadPack(f"the folder of packs {str(self._folder)!r} does not exist; make it, or mend the setting face.packs")
        chosen = self._chosen()
        if chosen is None:
            return self.open(DEFAULT)
        pack = self.open(chosen.pack)
        if pack.sha256 != chosen.sha256:
            raise BadPack(
                f"the pack.toml of {chosen.pack!r} has changed since the pack came into force (sha256 {pack.sha256[:12]}..., "
                f"in force is {chosen.sha256[:12]}...). Restore it, or put it in force again: python -m models use {chosen.pack}"
            )
        return pack

    def use(self, name: str, at: datetime, because: str = "") -> InForce:
        """Put a pack in force, from the kiosk's next start on. Its weights are checked first.

        Args:
            name: of the pack.
            at: now.
            because: reason to do it although it is worse than the one in force, or cannot be compared with it.

        Raises:
            BadPack: the pack or one of its files is not as it should be, or there is no folder to say it in.
            Refused: it is worse or cannot be compared, and no reason was given.
        """
        if self._folder is None:
            raise BadPack("which pack is in force is kept in the site's folder of packs; name it with --packs FOLDER")
        if because and not because.isprintable():
            raise BadPack("the reason must be one line of plain text")
        new = self.open(name)
        new.verify()
        old: Pack | None = None
        try:
            old = self.in_force()
        except BadPack as err:
            against = [f"what was in force cannot be opened ({err})"]
        else:
            against = [] if old.sha256 == new.sha256 else self._against(new, old)
        if against and not because:
            raise Refused(
                f"{name!r} does not come into force: {'; '.join(against)}. To do it all the same: --because REASON, which is kept"
            )
        chosen = InForce(
            pack=name,
            sha256=new.sha256,
            at=at,
            before=old.spec.name if old else "",
            before_sha256=old.sha256 if old else "",
            because=because if against else "",
            against=tuple(against),
        )
        write_whole(self._folder / IN_FORCE, _toml(chosen).encode())
        return chosen

    def _against(self, new: Pack, old: Pack) -> list[str]:
        """Return what speaks against `new` by the evaluations of both; empty where nothing does."""
        found = []
        compared = False
        for condition in Condition:
            before, after = self.evaluation(old, condition), self.evaluation(new, condition)
            if before is None:
                continue
            compared = True
            if after is None:
                found.append(f"it has no evaluation.{condition}.json, and the pack in force has")
                continue
            band = old.spec.thresholds.chip if condition is Condition.CHIP else old.spec.thresholds.document
            try:
                found += [f"{condition}: {line}" for line in worse(after, before, band.accept_fmr)]
            except Incomparable as err:
                found.append(f"{condition}: {err}")
        return found if compared else ["the pack in force has no evaluation to compare with; run `kiosk evaluate` for both packs"]

    def evaluation(self, pack: Pack, condition: Condition) -> Evaluation | None:
        """Return the evaluation kept beside a pack, or None where there is none of this version of it.

        Raises:
            BadPack: the file is not an evaluation.
        """
        folders = [self._shipped] if self._folder is None else [self._folder, self._shipped]
        for folder in folders:
            path = folder / pack.spec.name / f"evaluation.{condition}.json"
            try:
                found = Evaluation.model_validate_json(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValidationError) as err:
                raise BadPack(f"{str(path)!r} is not an evaluation: {err}. Make it again with `kiosk evaluate`") from err
            if found.pack_sha256 == pack.sha256 and found.condition is condition:
                return found
        return None

    def _load(self, name: str) -> Pack:
        shipped = self._shipped / name
        if self._folder is None or not self._folder.joinpath(name, "pack.toml").exists():
            if not (shipped / "pack.toml").exists():
                raise BadPack(f"there is no model pack {name!r}. Packs: {', '.join(self.names())}")
            return load(shipped, (self._folder or self._shipped) / name / "weights")
        own = self._folder / name
        if (shipped / "pack.toml").exists() and not own.samefile(shipped):
            raise BadPack(f"{str(own)!r} has the name of a pack that came with the program; give it another name")
        return load(own, own / "weights")

    def _chosen(self) -> InForce | None:
        if self._folder is None:
            return None
        path = self._folder / IN_FORCE
        remedy = "Put a pack in force again: python -m models use"
        try:
            return InForce.model_validate(tomllib.loads(path.read_bytes().decode()))
        except FileNotFoundError:
            return None
        except OSError as err:
            raise BadPack(f"{str(path)!r} cannot be read ({err.strerror}). {remedy}") from err
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as err:
            raise BadPack(f"{str(path)!r} does not say which pack is in force: {err}. {remedy}") from err


def _toml(chosen: InForce) -> str:
    """Return it as TOML; a JSON text or list of texts is one in TOML too."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in chosen.model_dump(exclude={"at"}).items()]
    return "# Written by `python -m models use`.\n" + "\n".join([*lines, f"at = {chosen.at.isoformat()}"]) + "\n"
