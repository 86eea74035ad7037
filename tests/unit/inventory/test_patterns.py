from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.inventory.patterns import depends_on_facts, may_mean, select, unmade

GROUPS = {
    "all": ("w1", "w2", "w3", "w4", "db1", "db2", "cp1"),
    "web": ("w1", "w2", "w3", "w4"),
    "web-old": ("w4",),
    "eu": ("w2", "w3", "db1"),
    "db": ("db1", "db2"),
    "empty": (),
}
INVENTORY = Inventory(
    hosts={name: Host(name=name, connection=Connection(address=name)) for name in GROUPS["all"]}, groups=GROUPS
)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("all", "w1 w2 w3 w4 db1 db2 cp1"),
        ("*", "w1 w2 w3 w4 db1 db2 cp1"),
        ("web", "w1 w2 w3 w4"),
        ("w1", "w1"),
        ("db,w1", "db1 db2 w1"),
        ("db:w1", "db1 db2 w1"),
        ("web:&eu", "w2 w3"),
        ("web,&eu,!w3", "w2"),
        ("!w3:web:&eu", "w2"),
        ("!web", "db1 db2 cp1"),
        ("&eu", "w2 w3 db1"),
        ("w?", "w1 w2 w3 w4"),
        ("we*", "w1 w2 w3 w4"),
        ("w[23]", "w2 w3"),
        ("*1", "w1 db1 cp1"),
        ("~(w|db)1", "w1 db1"),
        ("~w[1-2]$", "w1 w2"),
        ("~w[1-2]:~db.", "w1 w2 db1 db2"),
        ("~eb", None),
        ("web[0]", "w1"),
        ("web[-1]", "w4"),
        ("web[-2]", "w3"),
        ("web[1:2]", "w2 w3"),
        ("web[2:]", "w3 w4"),
        ("web[:1]", "w1 w2"),
        ("web[1-2]", "w2 w3"),
        ("w*[0]", "w1"),
        ("all[0:1]:!w1", "w2"),
        ("web:web", "w1 w2 w3 w4"),
        (" db , w1 ", "db1 db2 w1"),
        ("web-old", "w4"),
    ],
)
def test_select(pattern: str, names: str | None) -> None:
    if names is None:
        with pytest.raises(InputError):
            select(INVENTORY, pattern)
    else:
        assert [host.name for host in select(INVENTORY, pattern)] == names.split()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("wbe", "no group and no host is called 'wbe'; did you mean web?"),
        ("nothing", "groups are all, db, empty, eu, web, web-old"),
        ("web:!wd1", "called 'wd1' (in 'web:!wd1')"),
        ("x*", "no group and no host is called 'x*'"),
        ("web:!web", "no host is left in 'web:!web' (web means 4, !web means 4)"),
        ("empty", "no host is left in 'empty'"),
        ("web[9]", "out of range: there are 4 hosts"),
        ("web[4:9]", "out of range"),
        ("~(", "not a regular expression"),
        ("", "not a host pattern"),
        ("web:&", "not a host pattern"),
    ],
)
def test_mistakes(pattern: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        select(INVENTORY, pattern)
    assert message in caught.value.problems[0].message


def test_an_ipv6_address_is_one_term() -> None:
    name = "2001:db8::1"
    inventory = Inventory(hosts={name: Host(name=name, connection=Connection(address=name))}, groups={"all": (name,)})
    assert [host.name for host in select(inventory, name)] == [name]


def test_a_file_of_terms(tmp_path: Path) -> None:
    """What a failed run left to be done again is such a file."""
    path = tmp_path / "again"
    path.write_text("w2\n\n# not this one: w3\ndb*:!db2  # one of two\n")
    assert [host.name for host in select(INVENTORY, f"@{path}")] == ["w2", "db1"]
    assert [host.name for host in select(INVENTORY, f"cp1,@{path}")] == ["cp1", "w2", "db1"]
    with pytest.raises(InputError, match="cannot be read: No such file"):
        select(INVENTORY, f"@{path}.no")


def test_a_host_goes_before_a_group_of_its_name() -> None:
    hosts = {name: Host(name=name, connection=Connection(address=name)) for name in ("a", "b")}
    inventory = Inventory(hosts=hosts, groups={"all": ("a", "b"), "a": ("b",)})
    assert [host.name for host in select(inventory, "a")] == ["a"]


GROWING = replace(INVENTORY, of_facts=("os_*", "big", "eu"), wants_facts=("w1",))


@pytest.mark.parametrize(
    ("pattern", "names", "is_open"),
    [
        ("web", "w1 w2 w3 w4", False),
        ("w2:db1", "w2 db1", False),
        ("os_Debian", "w1 w2 w3 w4 db1 db2 cp1", True),
        ("os_Debian:&web:!w2", "w1 w3 w4", True),
        ("all:!os_Debian:!db", "w1 w2 w3 w4 cp1", True),
        ("eu", "w1 w2 w3 w4 db1 db2 cp1", True),
        ("web:&big", "w1 w2 w3 w4", True),
        ("!big", "w1 w2 w3 w4 db1 db2 cp1", True),
        ("w*", "w1 w2 w3 w4 db1 db2 cp1", True),
    ],
)
def test_what_facts_may_yet_change(pattern: str, names: str, is_open: bool) -> None:
    assert may_mean(GROWING, pattern) == tuple(names.split())
    assert depends_on_facts(GROWING, pattern) is is_open
    assert not depends_on_facts(replace(GROWING, wants_facts=()), pattern)


def test_a_group_that_facts_made_of_nobody() -> None:
    assert select(GROWING, "os_Debian:big", may_be_empty=True) == ()
    assert unmade(GROWING, "os_Debian:&web:!big:eu") == ("os_Debian", "big")
    with pytest.raises(InputError, match="no host is left in 'big' \\(big means 0\\)"):
        select(GROWING, "big")
    for of in (select, may_mean, depends_on_facts):
        with pytest.raises(InputError, match="no group and no host is called 'bog'"):
            of(GROWING, "bog")
