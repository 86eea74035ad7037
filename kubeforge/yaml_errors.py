"""What is wrong with a YAML text in the words of what the writer did: a tab, a quote left open, a name without a colon.

Knows both of PyYAML's parsers, its own and libyaml's, which say the same things in different words.
"""

from __future__ import annotations

from typing import Final

import yaml

from kubeforge.errors import Problem

__all__ = ["refuse_endless", "syntax_problem"]

_ENDLESS: Final = "holds itself"

# what the parsers say -> what the writer did
_WORDS: Final = (
    ("found character '\\t'", "a tab at the beginning of the line; YAML is indented with spaces"),
    ("found character that cannot start", "a tab, `@`, `%` or a back quote; indent with spaces, or quote the value"),
    ("found character '", "a value that begins with `@`, `%` or a back quote needs quotes"),
    ("mapping values are not allowed", "a `:` where none can be; indent like the line above, or quote the value"),
    ("could not find expected ':'", "a name without `:` and value"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("did not find expected key", "the indentation does not fit the lines above"),
    ("did not find expected '-' indicator", "the indentation does not fit the list above"),
    ("found unexpected end of stream", "a quote is opened and not closed"),
    ("expected ',' or '}'", "a `{` is opened and not closed, or a `,` is missing"),
    ("expected ',' or ']'", "a `[` is opened and not closed, or a `,` is missing"),
    (_ENDLESS, "an alias (`*name`) inside of what its anchor (`&name`) names: that would have no end"),
    ("node content", "a value is missing here; a `[` or `{` that is opened before is perhaps not closed"),
    ("found undefined alias", "an alias (`*name`) without its anchor (`&name`)"),
    ("found another document", "more than one document in the file (`---`)"),
    ("<document start>", "more than one value in the file; is a line indented less than the first?"),
    ("unknown escape character", "a backslash inside double quotes: use single quotes"),
)
# where one of these was found, the line to look at is the one it began on
_BEGINS_EARLIER: Final = ("opened", "a name without")


def syntax_problem(error: yaml.YAMLError | UnicodeDecodeError, file: str) -> Problem:
    """Return a parser's error as a problem.

    Args:
        error: from reading the text or parsing it.
        file: path as it shall be shown.
    """
    if isinstance(error, UnicodeDecodeError):
        return Problem(message=f"not UTF-8 text (byte {error.start})", file=file)
    if isinstance(error, yaml.reader.ReaderError):
        code = error.character if isinstance(error.character, int) else ord(error.character)
        return Problem(message=f"a character that YAML forbids (U+{code:04X})", file=file)
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(message=f"not YAML: {error}", file=file)
    said = error.problem or error.context or "cannot be read"
    message = next((words for sign, words in _WORDS if sign in said), f"not YAML: {said}")
    marks = [error.problem_mark, error.context_mark]
    if any(word in message for word in _BEGINS_EARLIER):
        marks.reverse()
    mark = marks[0] or marks[1]
    return Problem(message=message, file=file, line=mark.line + 1 if mark else None)


def refuse_endless(root: yaml.Node | None) -> None:
    """Refuse a tree of nodes in which one holds itself (`&a [*a]`): YAML allows it, and nothing that walks it ends.

    Raises:
        yaml.MarkedYAMLError: there is one, at its line.
    """
    _walk(root, set(), set())


def _walk(node: yaml.Node | None, above: set[int], seen: set[int]) -> None:
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem=_ENDLESS, problem_mark=node.start_mark)
    above.add(id(node))
    for part in node.value:
        for inner in part if isinstance(part, tuple) else (part,):
            _walk(inner, above, seen)
    above.remove(id(node))
    seen.add(id(node))
