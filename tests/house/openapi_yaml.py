"""How openapi.yaml is written: examples, fields and small maps in flow style, everything else in blocks."""

import json
from typing import Any

import yaml

WIDTH = 260
ONE_LINE = 240
"""A map or list that takes no more characters as JSON stands on one line."""
_DATA = frozenset({"example", "examples", "required", "value"})
"""Keys whose value is data, or names only, not a part of the document's form."""


class _Line(dict[str, Any]):
    """A map in flow style, folded where it is longer than a line."""


class _Row(list[Any]):
    """A list in flow style."""


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and folds all that is inside a map in flow style under its beginning."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - PyYAML's signature
        before = self.indent
        super().increase_indent(flow, indentless)
        if flow and self.flow_level > 1:
            self.indent = before

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the dumper's signature
        return True


_Dumper.add_representer(
    _Line, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)
_Dumper.add_representer(
    _Row, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def text(data: Any) -> str:  # noqa: ANN401 - JSON
    """Write JSON data as YAML."""
    written: str = yaml.dump(
        _styled(data),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=False,
    )
    return written


def _styled(data: Any, *, field: bool = False) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(data, dict | list):
        return data
    if len(json.dumps(data)) <= ONE_LINE or (field and "properties" not in data):
        return _in_a_line(data)
    if isinstance(data, list):
        return [_styled(one) for one in data]
    return {
        key: _in_a_line(value) if key in _DATA else _styled_member(key, value) for key, value in data.items()
    }


def _styled_member(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if key == "properties" or (key in {"headers", "variables"} and len(json.dumps(value)) > ONE_LINE):
        return {name: _styled(of, field=True) for name, of in value.items()}
    return _styled(value)


def _in_a_line(data: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(data, dict):
        return _Line(data)
    return _Row(data) if isinstance(data, list) else data
