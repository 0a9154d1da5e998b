"""The committed documents are the ones the models make, and they are valid of their kind."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from sync_agent.contract import documents

ASYNCAPI = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(documents.schemas()))
def test_committed_schema_is_what_the_models_make(name: str) -> None:
    committed = (documents.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert committed == documents.text(documents.schemas()[name]), "run `sync-agent contract` and commit what it writes"


def test_committed_asyncapi_is_what_the_models_make() -> None:
    assert (documents.FOLDER / "asyncapi.json").read_text(encoding="utf-8") == documents.text(documents.asyncapi())


def test_asyncapi_is_valid_by_its_own_schema() -> None:
    jsonschema.Draft7Validator(ASYNCAPI).validate(documents.asyncapi())


def test_asyncapi_schema_refuses_a_channel_without_an_object() -> None:
    broken = documents.asyncapi() | {"channels": "none"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(ASYNCAPI).validate(broken)


@pytest.mark.parametrize("name", sorted(documents.schemas()))
def test_every_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(documents.schemas()[name])
