"""Makes api_fields.json anew: `python -m tests.contract.extract_fields engine-api.yaml unix:///run/docker.sock`.

The reference says which fields there are and of what type. It does not say which of them are always there: these are
the ones that a Docker engine, the second argument, answered with in every object of `scenario.py`. Needs PyYAML, and
busybox:latest in that engine. A type is written as in Go, `[]string` or `{}integer`; `!` means always there, `?` that
null may stand, and `{}?[]string` that null may be among the values.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from tests.contract import scenario
from tests.fixtures.http import Api

Shapes = dict[str, dict[str, str]]
FIELDS = Path(__file__).with_name("api_fields.json")
OPTIONAL = {("Runtime", "status")}
"""What the engine always answers, where the reference says that it may be missing."""
SCALARS = {"string", "integer", "number", "boolean"}


class Reference:
    """The reference, flattened: every object it speaks of gets a name and a table of fields."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.definitions = document["definitions"]
        self.paths = document["paths"]
        self.shapes: Shapes = {}

    def answer(self, endpoint: str) -> str:
        """Return the type of the good answer of an endpoint."""
        method, path = endpoint.split()
        responses = self.paths[path][method.lower()]["responses"]
        schema = next(found["schema"] for code, found in responses.items() if str(code).startswith("2"))
        stream = "[]" if endpoint == "GET /events" else ""
        return stream + self.kind(schema, "Answer")

    def kind(self, schema: dict[str, Any], place: str) -> str:
        """Return the type of a schema, with `?` when it may be null; `place` names an object that has no name."""
        null = "?" if schema.get("x-nullable") else ""
        if len(schema.get("allOf", ())) == 1 and "properties" not in schema:
            schema = schema["allOf"][0]
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            found = self.definitions[name]
            if found.get("type") in SCALARS or found.get("type") == "array" or "additionalProperties" in found:
                return self.kind(found, name)
            return self._object(name, found) + (null or ("?" if found.get("x-nullable") else ""))
        if schema.get("type") == "array":
            return "[]" + _item(self.kind(schema["items"], f"{place}.item")) + null
        if isinstance(schema.get("additionalProperties"), dict):
            return "{}" + _item(self.kind(schema["additionalProperties"], f"{place}.value")) + null
        if "properties" in schema or "allOf" in schema:
            return self._object(schema.get("title", place).replace(" ", ""), schema) + null
        return (schema["type"] if schema.get("type") in SCALARS else "any") + null

    def _object(self, name: str, schema: dict[str, Any]) -> str:
        if name not in self.shapes:
            table = self.shapes[name] = {}
            for field, inner in self._properties(schema).items():
                table[field] = self.kind(inner, f"{name}.{field}")
        return name

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in schema.get("allOf", []):
            target = self.definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            found |= self._properties(target)
        return found | schema.get("properties", {})


def _item(kind: str) -> str:
    return "?" + kind.rstrip("?") if kind.endswith("?") else kind


class Evidence:
    """What an engine really answers: fields that are always there, that may be null, that the reference lacks."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.always: dict[str, set[str]] = {}
        # What the image of the scenario does not show: only its newest step has tags.
        self.null = {("ImageHistoryResponseItem", "Tags")}
        self.beyond: dict[tuple[str, str], str] = {}

    def see(self, kind: str, value: Any) -> None:
        """Take note of a value of a type."""
        kind = kind.rstrip("?")
        if kind.startswith("[]") and isinstance(value, list):
            for item in value:
                self.see(kind[2:].lstrip("?"), item)
        elif kind.startswith("{}") and isinstance(value, dict):
            for item in value.values():
                self.see(kind[2:].lstrip("?"), item)
        elif kind in self.shapes and isinstance(value, dict):
            self.always[kind] = self.always.get(kind, set(value)) & set(value)
            for field, inner in value.items():
                if inner is None:
                    self.null.add((kind, field))
                if field in self.shapes[kind]:
                    self.see(self.shapes[kind][field], inner)
                else:
                    self.beyond[kind, field] = guess(inner)

    def table(self, name: str) -> dict[str, str]:
        """Return the fields of an object with what was learned of them."""
        beyond = {field: kind for (owner, field), kind in self.beyond.items() if owner == name}
        found = {}
        for field, kind in sorted((beyond | self.shapes[name]).items()):
            null = "?" if kind.endswith("?") or (name, field) in self.null else ""
            found[field] = kind.rstrip("?") + null
            if field in self.always.get(name, ()) and field not in beyond and (name, field) not in OPTIONAL:
                found[field] += "!"
        return found


def guess(value: Any) -> str:
    """Return the type of a value that the reference does not speak of."""
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return name
    return "any"


def main(reference: str, host: str) -> None:
    """Write api_fields.json."""
    api = Api(host.removeprefix("unix://"))
    version = api.ok("GET", "/version")["ApiVersion"]
    answers = scenario.collect(scenario.Versioned(api.socket_path, version))
    document = Reference(yaml.safe_load(Path(reference).read_text()))
    kinds = {endpoint: document.answer(endpoint) for endpoint in sorted(answers)}
    evidence = Evidence(document.shapes)
    for endpoint, kind in kinds.items():
        evidence.see(kind, answers[endpoint])
    types = {name: evidence.table(name) for name in sorted(evidence.shapes)}
    FIELDS.write_text(json.dumps({"version": version, "answers": kinds, "types": types}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
