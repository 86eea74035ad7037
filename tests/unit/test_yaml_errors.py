from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubeforge.yaml_errors import syntax_problem

PARSERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.mark.parametrize("loader", PARSERS)
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tb: 1\n", 2, "spaces"),
        ("a: @b\n", 1, "quote"),
        ("a: b\n c: d\n", 2, "a `:` where none can be"),
        ("a: b\nc d\n", 2, "a name without `:`"),
        ("a:\n   b: 1\n  c: 2\n", 3, "the indentation does not fit"),
        ("a: 'b\nc: d\n", 1, "a quote is opened and not closed"),
        ("a: {b: c\nd: e\n", 1, "a `{` is opened and not closed"),
        ("a: [b\nc: d\n", 1, "a `[` is opened and not closed"),
        ("a: *b\n", 1, "an alias (`*name`) without"),
        ("a: b\n---\nc: d\n", 2, "more than one document"),
        ('a: "\\d"\n', 1, "a backslash inside double quotes"),
        ("  a: b\nc: d\n", 2, "more than one value in the file"),
        ("a: \x07\n", None, "a character that YAML forbids (U+0007)"),
    ],
)
def test_words(loader: Any, text: str, line: int | None, words: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        loader(text).get_single_node()
    problem = syntax_problem(caught.value, "hosts.yml")
    assert words in problem.message, caught.value
    assert (problem.file, problem.line) == ("hosts.yml", line)
