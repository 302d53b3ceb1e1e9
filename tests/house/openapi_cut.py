"""Cuts openapi.yaml by tag, for a client that needs a part of it. Must not know how the document is made.

`python -m tests.house.openapi_cut Verification Tokens > part.yaml` keeps the operations of these tags, the events if
Verification is among them, and of the components only what they refer to.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from tests.house import openapi_yaml
from tests.house.openapi_document import FILE, TAGS


def cut(text: str, tags: list[str]) -> str:
    """Return the document with the operations of these tags, and what they need."""
    whole = yaml.safe_load(text)
    part = {
        **whole,
        "tags": [tag for tag in whole["tags"] if tag["name"] in tags],
        "paths": dict(_kept(whole["paths"], tags)),
        "webhooks": dict(_kept(whole["webhooks"], tags)),
    }
    if not part["webhooks"]:
        del part["webhooks"]
    part["components"] = _needed(whole["components"], part)
    return openapi_yaml.text(part)


def _kept(items: dict[str, Any], tags: list[str]) -> Iterator[tuple[str, Any]]:
    for name, item in items.items():
        operations = {method: one for method, one in item.items() if set(one["tags"]) & set(tags)}
        if operations:
            yield name, operations


def _needed(components: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    needed = {
        tuple(reference.split("/")[2:]) for reference in _references([part["paths"], part.get("webhooks")])
    }
    open_ = list(needed)
    while open_:
        kind, name = open_.pop()
        new = {tuple(one.split("/")[2:]) for one in _references(components[kind][name])} - needed
        needed |= new
        open_ += new
    schemes = set(_schemes(part))
    needed |= {("securitySchemes", name) for name in schemes}
    found = {
        kind: {name: one for name, one in members.items() if (kind, name) in needed}
        for kind, members in components.items()
    }
    return {kind: members for kind, members in found.items() if members}


def _references(data: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(data, dict):
        if isinstance(reference := data.get("$ref"), str):
            yield reference
        for one in data.values():
            yield from _references(one)
    elif isinstance(data, list):
        for one in data:
            yield from _references(one)


def _schemes(part: dict[str, Any]) -> Iterator[str]:
    for item in part["paths"].values():
        for operation in item.values():
            for one in operation["security"]:
                yield from one


def main(arguments: list[str]) -> int:
    """Print the part of the tags; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.openapi_cut", description=__doc__)
    parser.add_argument("tags", nargs="+", choices=list(TAGS), metavar="TAG", help=", ".join(TAGS))
    options = parser.parse_args(arguments)
    sys.stdout.write(cut(FILE.read_text(encoding="utf-8"), options.tags))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
