"""What CloudFormation makes of a transformed template once its parameters have values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

NOTHING: Final = {"Ref": "AWS::NoValue"}
_REFERENCE: Final = re.compile(r"\$\{([^}!]+)\}")


def resolved(template: Mapping[str, Any], **values: str) -> dict[str, Any]:
    """The resources and outputs of a transformed template, all parameters but `values` at their defaults.

    Conditions are decided, parameters are filled in, and a name that `Fn::Sub` gets from its own list stands in its
    text. References to resources and pseudo parameters stay. Metadata is left out, as it makes nothing. Raises KeyError
    for a parameter that is not there.
    """
    return _Resolver(template, values).template()


def refused(template: Mapping[str, Any], **values: str) -> list[str]:
    """Why CloudFormation would refuse a deploy with these parameters: what the template's rules say."""
    return _Resolver(template, values).refused()


class _Resolver:
    def __init__(self, template: Mapping[str, Any], values: Mapping[str, str]) -> None:
        if unknown := set(values) - set(template["Parameters"]):
            raise KeyError(f"no such parameter: {sorted(unknown)}")
        self._source = template
        defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
        self._parameters: dict[str, Any] = defaults | dict(values)

    def template(self) -> dict[str, Any]:
        return {part: self._made(self._source[part]) for part in ("Resources", "Outputs")}

    def refused(self) -> list[str]:
        return [
            assertion["AssertDescription"]
            for rule in self._source.get("Rules", {}).values()
            if self._holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._holds(assertion["Assert"])
        ]

    def _made(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {part: self._value(value) for part, value in entry.items() if part not in ("Condition", "Metadata")}
            for name, entry in entries.items()
            if "Condition" not in entry or self._holds({"Condition": entry["Condition"]})
        }

    def _holds(self, condition: Any) -> bool:
        ((kind, given),) = condition.items()
        match kind:
            case "Condition":
                return self._holds(self._source["Conditions"][given])
            case "Fn::Equals":
                left, right = (str(self._value(one)) for one in given)
                return left == right
            case "Fn::Not":
                return not self._holds(given[0])
            case "Fn::And":
                return all(map(self._holds, given))
            case "Fn::Or":
                return any(map(self._holds, given))
        raise ValueError(f"not a condition: {condition}")

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [found for found in map(self._value, value) if found != NOTHING]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": name}:
                return self._parameters.get(name, value)
            case {"Fn::If": [name, then, otherwise]}:
                return self._value(then if self._holds({"Condition": name}) else otherwise)
            case {"Fn::Sub": str(text)}:
                return self._filled(text, {})
            case {"Fn::Sub": [text, given]}:
                return self._filled(text, {name: self._value(one) for name, one in given.items()})
        parts = {name: self._value(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part != NOTHING}

    def _filled(self, text: str, given: Mapping[str, Any]) -> Any:
        """`Fn::Sub`, with what is known already in its place. One that is a single reference is that reference."""

        def put(match: re.Match[str]) -> str:
            found = given.get(match[1], self._parameters.get(match[1], {"Ref": match[1]}))
            match found:
                case {"Ref": name}:
                    return f"${{{name}}}"
                case {"Fn::GetAtt": [name, attribute]}:
                    return f"${{{name}.{attribute}}}"
                case {"Fn::Sub": str(inner)}:
                    return inner
            return str(found)

        filled = _REFERENCE.sub(put, text)
        if alone := _REFERENCE.fullmatch(filled):
            name, _, attribute = alone[1].partition(".")
            return {"Fn::GetAtt": [name, attribute]} if attribute else {"Ref": name}
        return {"Fn::Sub": filled} if _REFERENCE.search(filled) else filled
