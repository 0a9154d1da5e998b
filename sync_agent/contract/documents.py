"""The contract as documents: one JSON Schema a message and an AsyncAPI 3 description, made from the models themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import TaggedUnionSchema

from sync_agent.contract import envelope, receipts, trust
from sync_agent.contract.enrolment import Answer, Decision, Enrolment, Invited, Presented, Refusal, Renewal, Renewed, Request
from sync_agent.contract.envelope import Event
from sync_agent.contract.kinds import KINDS
from sync_agent.contract.parts import Nothing
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.status import Birth, State, Telemetry
from sync_agent.contract.topics import Down, Up
from sync_agent.contract.trust import Trust

FOLDER: Final = Path(__file__).parent / "schema"
"""Where the generated documents are committed."""

Document = dict[str, Any]


def schemas() -> dict[str, Document]:
    """Return every JSON Schema by its name."""
    models: dict[str, type[BaseModel]] = {
        "event": Event,
        "receipt": Receipt,
        "birth": Birth,
        "state": State,
        "telemetry": Telemetry,
        "enrolment-request": Request,
        "enrolment-answer": Answer,
        "door-presented": Presented,
        "door-invited": Invited,
        "door-enrolment": Enrolment,
        "door-decision": Decision,
        "door-renewal": Renewal,
        "door-renewed": Renewed,
        "door-refusal": Refusal,
        "trust": Trust,
    }
    for kind, facts in KINDS.items():
        models[f"{kind}-facts"] = facts
        if facts.Personal is not Nothing:
            models[f"{kind}-personal"] = facts.Personal
    return {name: _schema(model) for name, model in sorted(models.items())}


def asyncapi() -> Document:
    """Return the AsyncAPI 3 description of the topic tree."""
    up, down = "rz/1/{tenant}/up/{shard}/{device}/", "rz/1/{tenant}/dn/{device}/"
    channels = {
        Up.RECORD: (up + Up.RECORD, "receive", _signed("record", "event", envelope.MEDIA_TYPE)),
        Up.BIRTH: (up + Up.BIRTH, "receive", _plain("birth")),
        Up.STATE: (up + Up.STATE, "receive", _plain("state")),
        Up.TELEMETRY: (up + Up.TELEMETRY, "receive", _plain("telemetry")),
        Down.RECEIPT: (down + Down.RECEIPT, "send", _signed("receipt", "receipt", receipts.MEDIA_TYPE)),
        Down.TRUST: (down + Down.TRUST, "send", _signed("trust", "trust", trust.MEDIA_TYPE)),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Renzheng: kiosk and sync agent",
            "version": "1",
            "description": "It receives what devices say and sends receipts. MQTT 3.1.1, QoS 1, mutual TLS.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {str(name): _channel(address, message) for name, (address, _, message) in channels.items()},
        "operations": {
            f"{action}-{name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
            for name, (_, action, _) in channels.items()
        },
        "components": {"schemas": {name: _inlined(name, schema) for name, schema in schemas().items()}},
    }


def write(folder: Path) -> None:
    """Write all documents into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in {**{f"{k}.schema": v for k, v in schemas().items()}, "asyncapi": asyncapi()}.items():
        (folder / f"{name}.json").write_text(text(document), encoding="utf-8")


def text(document: Document) -> str:
    """Return a document as it is committed."""
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


class _JsonSchema(GenerateJsonSchema):
    """JSON Schema alone: the discriminator of a union is OpenAPI's, and AsyncAPI understands another thing by it."""

    def tagged_union_schema(self, schema: TaggedUnionSchema) -> JsonSchemaValue:
        """Leave it away; each variant says its tag as a constant."""
        described = super().tagged_union_schema(schema)
        described.pop("discriminator", None)
        return described


def _schema(model: type[BaseModel]) -> Document:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(schema_generator=_JsonSchema)}


def _inlined(name: str, schema: Document) -> Document:
    """Return a schema whose references point to where it stands in the AsyncAPI document."""
    moved = json.dumps(schema).replace('"#/$defs/', f'"#/components/schemas/{name}/$defs/')
    document: Document = json.loads(moved)
    document.pop("$schema")
    return document


def _channel(address: str, message: Document) -> Document:
    parameters = {
        "tenant": {"description": "Operator of the devices."},
        "shard": {"description": "First byte of SHA-256 of the device's name, modulo 64, two digits."},
        "device": {"description": "Name of the device, the common name of its certificate."},
    }
    return {
        "address": address,
        "messages": {message["name"]: message},
        "parameters": {key: value for key, value in parameters.items() if "{" + key + "}" in address},
    }


def _plain(name: str) -> Document:
    return {"name": name, "contentType": "application/json", "payload": {"$ref": f"#/components/schemas/{name}"}}


def _signed(name: str, schema: str, kind: str) -> Document:
    return {
        "name": name,
        "contentType": "application/jose",
        "summary": f"Compact JWS (Ed25519), typ {kind}, over the exact bytes of the JSON below.",
        "payload": {
            "type": "string",
            "contentMediaType": "application/jose",
            "contentSchema": {"$ref": f"#/components/schemas/{schema}"},
        },
    }
