"""The page that checks slips, with the published keys in it: one file that works from a web server, a folder or a USB stick.

Everything is in the one file, and its content security policy names the hashes of its scripts and its style: it can ask nobody
for anything, and no other script runs in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from joserfc.jwk import OKPKey

from sync_agent.check import words
from sync_agent.check.words import Language
from sync_agent.contract import cose, slip

PARTS: Final = Path(__file__).parent / "page"
LIBRARY: Final = "nacl-fast-1.0.3.min.js"
PAGE: Final = "index.html"
KEYS: Final = "keys.json"


def write(folder: Path, agent_keys: Sequence[OKPKey]) -> None:
    """Write the page and, beside it, the keys that are in it.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(page(agent_keys), encoding="utf-8")
    (folder / KEYS).write_text(slip.published(agent_keys), encoding="utf-8")


def page(agent_keys: Sequence[OKPKey]) -> str:
    """Return the page as one HTML file."""
    scripts = [_part(LIBRARY), f"const KNOWN = {_known(agent_keys)};", _part("slip.js"), _part("page.js")]
    style = _part("style.css")
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    said = {language: words.load(language)["page"] for language in Language}
    return Template(_part("page.html")).substitute(
        {f"{key.replace('-', '_')}_{language}": escape(text) for language, group in said.items() for key, text in group.items()},
        policy=policy,
        style=style,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        keys="\n".join(f"<li><code>{cose.raw(key).hex()}</code></li>" for key in agent_keys),
    )


def _known(agent_keys: Sequence[OKPKey]) -> str:
    """Return as JavaScript what the page must know: keys by their ids, numbers, words."""
    known = {
        "keys": {slip.key_id(key).hex(): cose.raw(key).hex() for key in agent_keys},
        "kinds": slip.KIND_OF,
        "outcomes": {number: outcome or "" for number, outcome in slip.OUTCOME_OF.items()},
        "standings": slip.STANDING_OF,
        "aheadS": int(slip.AHEAD.total_seconds()),
        "maxChars": slip.MAX_CHARS,
        "words": {language: words.load(language) for language in Language},
    }
    return json.dumps(known, ensure_ascii=True).replace("<", "\\u003c")


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"
