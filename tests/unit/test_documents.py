from __future__ import annotations

import pytest
import yaml

from kubeforge.documents import dump, dump_all, merged, revealed
from kubeforge.secret import Secret


def test_same_dict_same_bytes() -> None:
    assert dump({"b": 1, "a": [{"v": 2, "u": ""}]}) == "a:\n- u: ''\n  v: 2\nb: 1\n"


@pytest.mark.parametrize("text", ["1e5", "0x1f", "0o17", "12_000", "y", "no", "true", "1.0", "null", "~", "2026-11-21"])
def test_text_that_another_reader_takes_for_something_else_is_quoted(text: str) -> None:
    """Go's YAML takes 1e5 for a number where PyYAML sees text: a token may look like that."""
    assert dump({"a": text}) in (f"a: '{text}'\n", f'a: "{text}"\n')


@pytest.mark.parametrize("text", ["192.0.2.11", "10.244.0.0/16", "--a=b", "100m", "v1.36.3", "e5", "192.0.2.11:6443"])
def test_plain_text_stays_plain(text: str) -> None:
    assert dump({"a": text}) == f"a: {text}\n"


def test_lines_stay_lines() -> None:
    assert dump({"a": "x\ny\n"}) == "a: |\n  x\n  y\n"
    assert dump({"a": "word " * 100 + "end"}).count("\n") == 1


def test_equal_parts_are_written_out() -> None:
    part = {"x": 1}
    assert "&" not in dump({"a": part, "b": part})


def test_a_stream() -> None:
    assert list(yaml.safe_load_all(dump_all([{"a": 1}, {"b": 2}]))) == [{"a": 1}, {"b": 2}]


def test_merge_goes_deep_and_leaves_its_input() -> None:
    base = {"a": {"x": 1, "y": [1]}, "b": 1}
    assert merged(base, {"a": {"y": [2], "z": 3}, "b": {"n": 1}}) == {"a": {"x": 1, "y": [2], "z": 3}, "b": {"n": 1}}
    assert base == {"a": {"x": 1, "y": [1]}, "b": 1}


def test_secrets_do_not_come_out_by_themselves() -> None:
    with pytest.raises(yaml.representer.RepresenterError):
        dump({"a": Secret("hidden")})
    assert revealed({"a": [Secret("hidden")], "b": (1,)}) == {"a": ["hidden"], "b": [1]}
