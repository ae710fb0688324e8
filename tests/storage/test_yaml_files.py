import os

import pytest

from mtlnas_lab.errors import ConfigError
from mtlnas_lab.storage.yaml_files import LIMIT, read_yaml

NINE = [
    f"{after}: &{after} [{','.join(['*' + before] * 9)}]"
    for before, after in zip("abcdefgh", "bcdefghi")
]
ALIASES = "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *NINE])
MERGES = ALIASES.replace("[x,x,x,x,x,x,x,x,x]", "{k: 1}").replace("[", "{<<: [").replace("]", "]}")


@pytest.mark.parametrize(
    "text, value",
    [
        ("", {}),
        ("# a comment", {}),
        ("a: 1\nb: [1.5, yes, ~, text]", {"a": 1, "b": [1.5, True, None, "text"]}),
        ("a: {b: {c: -3}}", {"a": {"b": {"c": -3}}}),
        ("a: !!str 5", {"a": "5"}),
        ("a: 2001-01-01", {"a": "2001-01-01"}),  # a date is text
        (
            "a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}",
            {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}},
        ),
        ("\ufeffa: ü", {"a": "ü"}),
        ("a: -9999999999999999999", {"a": -9999999999999999999}),
        ("a: " + "[" * 60 + "]" * 60, None),
    ],
)
def test_what_is_read(tmp_path, text, value):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    found = read_yaml(path)
    assert found == value if value is not None else list(found) == ["a"]


@pytest.mark.parametrize(
    "text, words",
    [
        (ALIASES, "aliases written out"),
        (MERGES, "aliases written out"),
        ("a: &a " + "x" * 2000 + "\nb: [" + "*a, " * 1000 + "]", "aliases written out"),
        ("a: &a [*a, *a]", "alias of what it stands in"),
        ("a: &a\n  <<: *a", "alias of what it stands in"),
        ("a: " + "[" * 100_000, "more than 64 deep"),
        ("\n".join(" " * i + "a:" for i in range(300)), "more than 64 deep"),
        ("a: " + "9" * 5000, "more than 20 digits in line 1"),
        ("\na: 0x" + "f" * 5000, "more than 20 digits in line 2"),
        ("a: !!bool abc", "cannot be read as !!bool: 'abc'"),
        ("a: !!int abc", "cannot be read as !!int"),
        ("a: !!int ''", "cannot be read as !!int"),
        ("a: !!float abc", "cannot be read as !!float"),
        ("a: " + "1:" * 2000 + "30.5", "cannot be read as !!float"),
        ("a: !!timestamp x", "timestamp"),
        ("a: !!binary x", "binary"),
        ("a: !!set {x}", "set"),
        ("a: !!omap [x: 1]", "omap"),
        ("a: !!str [1]", "holds no YAML"),
        ("!!python/object/apply:os.system [ls]", "holds no YAML"),
        ("1: a", "is not text to YAML: '1'"),
        ("on: a", "is not text to YAML: 'on'"),
        ("[a]: 1", "is not text to YAML"),
        ("a: 1\na: 2", "sets 'a' a second time in line 2"),
        ("a: 1\n---\nb: 1", "holds no YAML"),
        ("- 1", "holds no sections or settings"),
        ("text", "holds no sections or settings"),
        ("a: [", "holds no YAML in line 1"),
        ("a: \0", "holds no YAML"),
        ('a: "\\UFFFFFFFF"', "holds no YAML"),
        ('a: "\\ud800"', "cannot be read as !!str"),
        ("a: *b", "undefined alias"),
        ('"\\x1b]0;title": 1\n"\\x1b]0;title": 2', r"\x1b]0;title"),
        ("#" * (LIMIT + 1), f"at most {LIMIT}"),
    ],
)
def test_what_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    said = str(caught.value)
    assert words in said and "x.yaml" in said
    assert said.isprintable() and len(said) < 500 + len(str(path))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "there is no study"),
        (lambda path: os.mkfifo(path), "not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a plain file"),
        (lambda path: path.symlink_to(path), "there is no study"),
        (lambda path: path.mkdir(), "not a plain file"),
        (lambda path: path.write_bytes(b"a: \xff"), "not UTF-8"),
    ],
)
def test_other_things_than_files(tmp_path, make, words):
    make(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match=words):
        read_yaml(tmp_path / "x.yaml", what="study")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "\x1b]0;x"])
def test_names_that_no_file_has(name):
    with pytest.raises(ConfigError) as caught:
        read_yaml(name)
    assert str(caught.value).isprintable()


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "there.yaml").write_text("a: 1")
    (tmp_path / "x.yaml").symlink_to(tmp_path / "there.yaml")
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1}
