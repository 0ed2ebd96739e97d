"""An event bus in memory, which takes only events that their schemas describe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from detag.ports.effect_fake import Effect, no_effect

SCHEMAS: Final = Path(__file__).parents[5] / "events" / "schemas"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
}


class FakeEvents:
    """See `detag.ports.events.Events`. Its effect is "events.publish".

    Raises ValueError for an event that is not as its schema says.
    """

    def __init__(self, effect: Effect = no_effect) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        """Detail type and detail of every event that was kept."""
        self._effect = effect

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """See `Events`."""
        sent = json.loads(json.dumps(detail))
        if wrong := list(breaches(sent, schema_of(detail_type))):
            raise ValueError(f"{detail_type} is not as its schema says: {'; '.join(wrong)}")
        with self._effect("events.publish"):
            self.published.append((detail_type, sent))


@cache
def schema_of(detail_type: str) -> dict[str, Any]:
    """The schema of the detail of such an event. Raises FileNotFoundError where there is none."""
    name = detail_type.lower().replace(" ", "-")
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def breaches(value: object, schema: Mapping[str, Any], where: str = "detail") -> Iterator[str]:
    """Where a value is not as a JSON schema says: of the words of JSON Schema, those that ours use.

    Stricter in one thing: a property that the schema does not describe is a breach.
    """
    allowed = schema.get("type", list(_TYPES))
    kinds = [kind for name in ([allowed] if isinstance(allowed, str) else allowed) for kind in _TYPES[name]]
    if type(value) not in kinds:
        yield f"{where} is not of type {allowed}"
    elif "const" in schema and (value, type(value)) != (schema["const"], type(schema["const"])):
        yield f"{where} is not {schema['const']!r}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where} is none of {schema['enum']}"
    elif isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where} is not like {schema['pattern']}"
    elif isinstance(value, dict):
        yield from _breaches_of_object(value, schema, where)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from breaches(one, schema.get("items", {}), f"{where}[{number}]")
    elif type(value) is int and value < schema.get("minimum", value):
        yield f"{where} is less than {schema['minimum']}"


def _breaches_of_object(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    described, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name} is missing"
    for name, one in value.items():
        if name in described:
            yield from breaches(one, described[name], f"{where}.{name}")
        elif others:
            yield from breaches(one, others, f"{where}.{name}")
        else:
            yield f"{where}.{name} is not described"
