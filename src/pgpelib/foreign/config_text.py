"""Safe reading of untrusted YAML and JSON configs, in bounded time and memory.

Nothing in a file is executed. YAML tags, dates, keys that are not strings and duplicate
keys are rejected: other readers interpret them differently, or silently drop values.
Anchors, aliases and merge keys (``<<``) are supported, but count as if they were
written out, so that a short file cannot expand to a huge value. Values that contain
themselves are rejected.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pgpelib.utils.plain_data import scalar_mistake

# PyYAML reads about 100 kB per second.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
# Maximum number of values and characters of a config with its aliases written out.
MAX_EXPANDED = 1024 * 1024
# No real number needs more; converting some forms takes quadratic time.
_MAX_DIGITS = 64

_TAG = "tag:yaml.org,2002:"
_MERGE, _TEXT = f"{_TAG}merge", f"{_TAG}str"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}
_WHITESPACE = re.compile(r"[ \t\n\r]*")


class ConfigTextError(ValueError):
    """A config file cannot be read; the message names the file and the line."""


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a config file: `.yaml`, `.yml` or `.json`.

    Parameters
    ----------
    path
        A file of at most `MAX_BYTES` bytes of UTF-8 text.

    Returns
    -------
    dict
        The config, with str keys and values of type str, int, float, bool, None, list
        and dict. No two values share an object. An empty YAML file gives an empty dict.

    Raises
    ------
    ConfigTextError
        If the file cannot be read, is not such a config, or is too large.
    """
    parsers = {".yaml": parse_yaml, ".yml": parse_yaml, ".json": parse_json}
    if path.suffix not in parsers:
        raise ConfigTextError(f"{path} is not a .yaml, .yml or .json file")
    return parsers[path.suffix](_read_text(path), str(path))


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Parse a YAML config, see `read_config_file`; `name` is used in errors."""
    loader: _YamlLoader | None = None
    try:
        loader = _YamlLoader(text)
        data = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark is not None, "PyYAML's syntax errors have a position"
        line, problem = mark.line + 1, error.problem or error.context
        raise ConfigTextError(f"{name}, line {line}: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = ascii(chr(error.character))
        raise ConfigTextError(
            f"{name}, line {line}: the character {character} is not allowed in YAML"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    # Undo the sharing of objects by aliases: changing one must not change another.
    return _mapping(json.loads(json.dumps(data or {})), name)


def parse_json(text: str, name: str) -> dict[str, Any]:
    """Parse a JSON config, see `read_config_file`; `name` is used in errors."""
    try:
        return _mapping(_JsonReader(text).read(), name)
    except json.JSONDecodeError as error:
        raise ConfigTextError(f"{name}, line {error.lineno}: {error.msg}") from error


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            reason = "is not a regular file" if path.exists() else "no such file"
            raise ConfigTextError(f"{path}: {reason}")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigTextError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigTextError(f"{path}: larger than {MAX_BYTES // 1024} kB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigTextError(f"{path}, line {line}: not UTF-8 text") from error


def _mapping(data: Any, name: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigTextError(f"{name}, line 1: not a mapping of keys to values")
    return data


class _YamlLoader(yaml.SafeLoader):
    """YAML's safe loader for plain data, with limits on depth and size."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._deepest = 0
        # Number of values and characters so far.
        self._expanded = 0
        # The same for each complete node, and its depth.
        self._complete: dict[yaml.Node | None, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if node not in self._complete:
                _refuse(f"*{event.anchor} contains itself", event.start_mark)
            size, levels = self._complete[node]
            self._count(size, self._depth + levels, event.start_mark)
            return node
        if event.tag is not None:
            _refuse(f"the tag {event.tag!r} is not allowed", event.start_mark)
        expanded, deepest = self._expanded, self._deepest
        self._depth += 1
        self._deepest = self._depth
        size = 1 + len(getattr(event, "value", ""))
        self._count(size, self._depth, event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        levels = self._deepest - self._depth
        self._complete[node] = self._expanded - expanded, levels
        self._deepest = max(deepest, self._deepest)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if key.tag not in (_TEXT, _MERGE):
                written = f" {key.value}" if isinstance(key, yaml.ScalarNode) else ""
                _refuse(f"the key{written} is not a string; quote it", key.start_mark)
            if key.value in seen:
                _refuse(f"the key {key.value!r} occurs twice", key.start_mark)
            seen.add(key.value)
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if node.tag == _MERGE:
            return node
        if node.tag not in _SCALARS:
            kind = node.tag.removeprefix(_TAG)
            _refuse(f"YAML reads {node.value} as a {kind}; quote it", node.start_mark)
        if node.tag != _TEXT and len(node.value) > _MAX_DIGITS:
            _refuse("a number has too many digits", node.start_mark)
        mistake = scalar_mistake(self.construct_object(node))
        if mistake is not None:
            _refuse(mistake, node.start_mark)
        return node

    def _count(self, size: int, level: int, mark: yaml.Mark) -> None:
        self._deepest = max(self._deepest, level)
        if level > MAX_DEPTH:
            _refuse(f"nested more than {MAX_DEPTH} levels deep", mark)
        self._expanded += size
        if self._expanded > MAX_EXPANDED:
            _refuse("too large with its aliases written out", mark)


def _refuse(problem: str, mark: yaml.Mark) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class _JsonReader:
    """Reads JSON's objects and arrays, and leaves scalars to Python's decoder.

    Python's own reader silently uses the last of several equal keys, does not limit
    the depth, and accepts NaN.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._decoder = json.JSONDecoder(
            parse_int=self._integer, parse_constant=self._constant
        )

    def read(self) -> Any:
        value = self._value(0)
        if self._next():
            self._refuse("more text after the end")
        return value

    def _value(self, depth: int) -> Any:
        character = self._next()
        if character in ("{", "["):
            if depth == MAX_DEPTH:
                self._refuse(f"nested more than {MAX_DEPTH} levels deep")
            return self._object(depth) if character == "{" else self._array(depth)
        value, end = self._decoder.raw_decode(self._text, self._position)
        mistake = scalar_mistake(value)
        if mistake is not None:
            self._refuse(mistake)
        self._position = end
        return value

    def _object(self, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        self._position += 1
        if self._skip("}"):
            return value
        while True:
            if self._next() != '"':
                self._refuse("expected a key in double quotes")
            start = self._position
            key = self._value(depth)
            if key in value:
                self._position = start
                self._refuse(f"the key {key!r} occurs twice")
            if not self._skip(":"):
                self._refuse("expected ':'")
            value[key] = self._value(depth + 1)
            if self._skip("}"):
                return value
            if not self._skip(","):
                self._refuse("expected ',' or '}'")

    def _array(self, depth: int) -> list[Any]:
        value: list[Any] = []
        self._position += 1
        if self._skip("]"):
            return value
        while True:
            value.append(self._value(depth + 1))
            if self._skip("]"):
                return value
            if not self._skip(","):
                self._refuse("expected ',' or ']'")

    def _next(self) -> str:
        """Skip whitespace, and return the next character."""
        match = _WHITESPACE.match(self._text, self._position)
        assert match is not None, "the pattern also matches an empty string"
        self._position = match.end()
        return self._text[self._position : self._position + 1]

    def _skip(self, character: str) -> bool:
        found = self._next() == character
        self._position += found
        return found

    def _integer(self, digits: str) -> int:
        if len(digits) > _MAX_DIGITS:
            self._refuse("a number has too many digits")
        return int(digits)

    def _constant(self, name: str) -> NoReturn:
        self._refuse(f"{name} is not a finite number")

    def _refuse(self, problem: str) -> NoReturn:
        raise json.JSONDecodeError(problem, self._text, self._position)
