"""The API reference, docs/api.md, for readers: each call of openapi.yaml with its fields, answers and errors.

`python -m tests.house.api_document` writes it; with `--check` it exits with 1 if the file differs.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.house import made, openapi_document

MODULE = "tests.house.api_document"
FILE = made.DOCS / "api.md"
TAGS = ("Verification", "Tokens", "Callbacks", "Operators", "Health")
METHODS = ("get", "post", "put", "delete")


def reference() -> str:
    """Return a section for each tag and call."""
    whole = yaml.safe_load(openapi_document.FILE.read_text(encoding="utf-8"))
    return _Reference(whole).text()


class _Reference:
    """Writes what a document says of its calls."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole

    def text(self) -> str:
        """Write all calls, by tag."""
        return "\n\n".join(part for tag in TAGS for part in self._of_tag(tag))

    def _of_tag(self, tag: str) -> Iterator[str]:
        about = next(one["description"] for one in self._whole["tags"] if one["name"] == tag)
        yield f"## {tag}\n\n{about}"
        for path, item in self._whole["paths"].items():
            for method in METHODS:
                if method in item and tag in item[method]["tags"]:
                    yield from self._of_call(f"{method.upper()} {path}", item[method])

    def _of_call(self, name: str, call: Mapping[str, Any]) -> Iterator[str]:
        yield f"### {name}\n\n{call['summary']}. {call['description']}"
        yield f"Key: {_keys(call['security'])}."
        parameters = [self._followed(one) for one in call.get("parameters", ())]
        if parameters:
            yield _table(
                "parameter", [(f"`{one['name']}`", one.get("description", "")) for one in parameters]
            )
        if "requestBody" in call:
            yield from self._of_body(self._followed(call["requestBody"])["content"])
        yield from self._of_answers(call["responses"])

    def _of_body(self, content: Mapping[str, Any]) -> Iterator[str]:
        media, body = next(iter(content.items()))
        if media != "application/json" or "schema" not in body:
            yield f"Body: `{media}`."
            return
        rows = list(self._fields(body["schema"]))
        if rows:
            yield _table("field of the body", rows)
        yield _example(self._example_of(body))

    def _of_answers(self, responses: Mapping[str, Any]) -> Iterator[str]:
        good = {status: self._followed(one) for status, one in responses.items() if status.startswith("2")}
        for status, answer in good.items():
            body = answer.get("content", {}).get("application/json")
            yield f"Answers {status}" + (", with for example:" if body else ".")
            if body:
                yield _example(self._example_of(body))
        rows = [(status, self._codes(self._followed(one))) for status, one in responses.items()]
        problems = [(status, codes) for status, codes in rows if codes and status != "default"]
        if problems:
            yield _table("status", problems, "codes of problems")

    def _codes(self, answer: Mapping[str, Any]) -> str:
        content = answer.get("content", {}).get("application/problem+json")
        if content is None:
            return ""
        codes = content["examples"] if "examples" in content else [content["example"]["code"]]
        return ", ".join(f"[`{code}`](errors.md#{code})" for code in codes)

    def _fields(self, request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        whole = self._followed(request)
        for part in whole.get("allOf", [whole]):
            schema = self._followed(part)
            for name, field in schema.get("properties", {}).items():
                said = field.get("description") or self._followed(field).get("description", "")
                needed = " Required." if name in schema.get("required", ()) else ""
                yield f"`{name}`", f"{said}{needed}"

    def _example_of(self, content: Mapping[str, Any]) -> object:
        if "example" in content:
            return content["example"]
        return self._followed(next(iter(content["examples"].values())))["value"]

    def _followed(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in part:
            found: Any = self._whole
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part


_KINDS = {
    "publishableKey": "publishable",
    "secretKey": "secret",
    "opsKeyRead": "an operator's with the role read",
    "opsKeyOperate": "an operator's with the role operate",
    "opsKeyAdmin": "an operator's with the role admin",
}


def _keys(security: list[Mapping[str, Any]]) -> str:
    names = [_KINDS.get(name, name) for one in security for name in one]
    return " or ".join(names) or "none"


def _table(title: str, rows: list[tuple[str, str]], second: str = "meaning") -> str:
    written = [f"| {first} | {' '.join(said.split()).replace('|', '&#124;')} |" for first, said in rows]
    return "\n".join([f"| {title} | {second} |", "| --- | --- |", *written])


def _example(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"```json\n{re.sub('```', '', text)}\n```"


if __name__ == "__main__":
    sys.exit(made.main(MODULE, FILE, reference, sys.argv[1:]))
