"""Configs of others: read as plain data or refused with file and line, in no time."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import textwrap

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from messages import exactly
from pgpelib.foreign.config_text import (
    MAX_BYTES,
    MAX_DEPTH,
    ConfigTextError,
    parse_json,
    parse_yaml,
    read_config_file,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
CONFIGS = st.dictionaries(TEXT, VALUES, max_size=5)


@given(CONFIGS)
def test_what_json_writes_is_read_again(config):
    assert parse_json(json.dumps(config, indent=1), "c.json") == config
    assert parse_json(json.dumps(config, ensure_ascii=False), "c.json") == config


@given(CONFIGS)
def test_what_yaml_writes_is_read_again(config):
    assert parse_yaml(yaml.safe_dump(config), "c.yaml") == config


def read_or_refused(parse, text):
    try:
        return parse(text, "c")
    except ConfigTextError as error:
        return str(error)


@given(TEXT)
@example("1" * 5000)
@example("a: &a [*a]")
@example("- !!python/name:os.system")
def test_any_text_is_read_like_the_standard_readers_do_or_refused(text):
    for parse, standard in ((parse_json, json.loads), (parse_yaml, yaml.safe_load)):
        read = read_or_refused(parse, text)
        if isinstance(read, str):
            assert read.startswith("c, line ")
        else:
            assert read == (standard(text) or {})


def test_anchors_and_merge_keys_are_written_out():
    text = """
    base: &base {popsize: 4, hidden: &sizes [8]}
    one: {<<: *base, popsize: 6}
    two: {<<: [*base], head: *sizes}
    """
    read = parse_yaml(textwrap.dedent(text), "c.yaml")
    assert read["one"] == {"popsize": 6, "hidden": [8]}
    assert read["two"] == {"popsize": 4, "hidden": [8], "head": [8]}
    read["one"]["hidden"].append(9)
    assert read["base"]["hidden"] == read["two"]["head"] == [8]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "a: 1\nb: [1,\nc: 2", "line 3: "),
        ("c.yaml", "a: 1\nb: &x {c: [*x]}", "line 2: *x contains itself"),
        ("c.yaml", "a: &x\n  <<: *x", "line 2: *x contains itself"),
        ("c.yaml", "a: 1\nb: 2\n\na: 3", "line 4: the key 'a' occurs twice"),
        ("c.yaml", "a: {b: 1, b: 1}", "line 1: the key 'b' occurs twice"),
        ("c.yaml", "a: 1\n2: 3", "line 2: the key 2 is not a string; quote it"),
        ("c.yaml", "on: 3", "line 1: the key on is not a string; quote it"),
        ("c.yaml", "[1]: 3", "line 1: the key is not a string; quote it"),
        (
            "c.yaml",
            "a: 2020-01-01",
            "line 1: YAML reads 2020-01-01 as a timestamp; quote it",
        ),
        ("c.yaml", "a:\n - =", "line 2: YAML reads = as a value; quote it"),
        (
            "c.yaml",
            "a: !!python/name:os.system",
            "line 1: the tag 'tag:yaml.org,2002:python/name:os.system' is not allowed",
        ),
        ("c.yaml", "a: !x 1", "line 1: the tag '!x' is not allowed"),
        ("c.yaml", "a: .inf", "line 1: inf is not a finite number"),
        ("c.yaml", f"a: {'9' * 30}", "line 1: an integer of more than 64 bits"),
        ("c.yaml", f"a: {'9' * 9000}", "line 1: a number has too many digits"),
        ("c.yaml", 'a: "\\ud800"', "line 1: text with the character '\\ud800'"),
        ("c.yaml", "a: 1\nb: \0", "line 2: the character '\\x00' is not allowed"),
        ("c.yaml", "a: 1\n---\na: 2", "line 2: "),
        ("c.yaml", "- 1", "line 1: not a mapping of keys to values"),
        ("c.json", "{", "line 1: expected a key in double quotes"),
        ("c.json", '{"a": 1,\n"a": 2}', "line 2: the key 'a' occurs twice"),
        ("c.json", '{"a":\n NaN}', "line 2: NaN is not a finite number"),
        ("c.json", '{"a":\n 1e999}', "line 2: inf is not a finite number"),
        ("c.json", '{"a": [1 2]}', "line 1: expected ',' or ']'"),
        ("c.json", '{"a": 1 "b"}', "line 1: expected ',' or '}'"),
        ("c.json", '{"a" 1}', "line 1: expected ':'"),
        ("c.json", '{"a": 1}\n{}', "line 2: more text after the end"),
        ("c.json", f'{{"a": {"9" * 9000}}}', "line 1: a number has too many digits"),
        ("c.json", "[1]", "line 1: not a mapping of keys to values"),
        ("c.json", "", "line 1: "),
        ("c.pickle", "", " is not a .yaml, .yml or .json file"),
        ("c", "a: 1", " is not a .yaml, .yml or .json file"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ConfigTextError) as refused:
        read_config_file(path)
    separator = "" if message.startswith((":", " ")) else ", "
    assert str(refused.value).startswith(f"{path}{separator}{message}")
    assert "\n" not in str(refused.value)


def test_what_is_no_text_file_is_refused(tmp_path):
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.json"
    pipe, missing = tmp_path / "pipe.yaml", tmp_path / "missing.yaml"
    latin.write_bytes("a: 1\nb: \xfc".encode("latin-1"))
    large.write_bytes(b" " * MAX_BYTES + b"{}")
    os.mkfifo(pipe)
    for path, message in (
        (latin, f"{latin}, line 2: not UTF-8 text"),
        (large, f"{large}: larger than 256 kB"),
        (pipe, f"{pipe}: is not a regular file"),
        (missing, f"{missing}: no such file"),
    ):
        with pytest.raises(ConfigTextError, match=exactly(message)):
            read_config_file(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_config_file(path) == {"a": 1}


def test_an_empty_yaml_file_has_no_settings(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("# nothing\n", encoding="utf-8")
    assert read_config_file(path) == {}


def levels(count: int) -> str:
    return "[" * (count - 1) + "]" * (count - 1)


def test_depth_is_limited():
    deepest = f'{{"a": {levels(MAX_DEPTH)}}}'
    assert parse_json(deepest, "c") == parse_yaml(deepest, "c")
    too_deep = f'{{"a": {levels(MAX_DEPTH + 1)}}}'
    for parse in (parse_json, parse_yaml):
        with pytest.raises(ConfigTextError, match=f"more than {MAX_DEPTH} levels"):
            parse(too_deep, "c")


def aliases(depth: int, width: int, merge: bool) -> str:
    """Mappings or lists of which each holds the one before several times."""
    lines = ["a0: &a0 {k: v}" if merge else "a0: &a0 [v]"]
    for level in range(1, depth):
        several = ", ".join([f"*a{level - 1}"] * width)
        start = "{<<: [" if merge else "["
        lines.append(f"a{level}: &a{level} {start}{several}{']}' if merge else ']'}")
    return "\n".join(lines)


BOMBS = {
    "laughs": aliases(20, 10, False),
    "merges": aliases(20, 10, True),
    "long text": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 9000)}]",
    "chain": "a0: &a0 []\n"
    + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 5000)),
    "deep": "a: " + "[" * 100_000,
    "deep blocks": "\n".join(" " * i + "a:" for i in range(600)),
    "sexagesimal": "a: 1" + ":1" * 120_000,
    "sexagesimal float": "a: 1" + ":1" * 120_000 + ".0",
    "digits": "a: " + "9" * 250_000,
    "tags": f"%TAG ! tag:{'x' * 120_000}\n---\na: [{'!t 1, ' * 15_000}]",
    "keys": "\n".join(f"k{i}: 1" for i in range(25_000)),
    "quotes": 'a: "' + "\\x" * 100_000,
    "question marks": "? " * 100_000,
    "dashes": "- " * 100_000,
    "anchors": "a: [" + ", ".join(f"&a{i} 1" for i in range(20_000)) + "]",
}


def read_within_limits(paths) -> None:
    # Of the process itself: how busy the machine is changes nothing.
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    for path in paths:
        with contextlib.suppress(ConfigTextError):
            read_config_file(path)


@pytest.mark.slow
def test_bombs_end_within_limits(tmp_path):
    for name, text in BOMBS.items():
        for suffix in (".yaml", ".json"):
            path = tmp_path / f"{name}{suffix}"
            path.write_text(text[:MAX_BYTES], encoding="utf-8")
    paths = sorted(tmp_path.iterdir())
    process = multiprocessing.get_context("spawn").Process(
        target=read_within_limits, args=(paths,)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
