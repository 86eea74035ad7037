from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubeforge.yaml_errors import refuse_endless, syntax_problem

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
        ("a: [b,\n", 2, "a value is missing here"),
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


@pytest.mark.parametrize("loader", PARSERS)
@pytest.mark.parametrize(
    "text", ["a: 1\nb: &b [*b]\n", "a: 1\nb: &b {c: [{d: *b}]}\n", "a: 1\nb: &b\n  ? [*b]\n  : x\n"]
)
def test_what_holds_itself(loader: Any, text: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        refuse_endless(loader(text).get_single_node())
    problem = syntax_problem(caught.value, "hosts.yml")
    assert (problem.file, problem.line) == ("hosts.yml", 2)
    assert "an alias (`*name`) inside of what its anchor" in problem.message


@pytest.mark.parametrize("loader", PARSERS)
def test_what_is_named_often_has_an_end(loader: Any) -> None:
    """Each list names the one above it nine times: quick, as each is walked once."""
    lines = ["- &a0 [x]", *(f"- &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 40))]
    refuse_endless(loader("\n".join(lines)).get_single_node())
