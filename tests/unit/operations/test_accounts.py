"""Accounts, passwords, groups: what the probes print decides, and what was decided holds afterwards."""

from __future__ import annotations

import hashlib

import pytest

from kubeforge.errors import InputError
from kubeforge.operations import Account, Group, Password
from kubeforge.operations.model import Observation, Operation, Verb, fold
from kubeforge.secret import Secret

GROUPS = "groups are docker, sudo"
APP = "app:1001:App:/home/app:/bin/sh\napp\ndocker sudo "


def seen(account: Account, said: str) -> Observation:
    return Observation(outputs={account.probe: said})


def test_an_account_that_is_missing_is_made() -> None:
    account = Account(name="app", uid=1001, groups=("sudo", "docker"), shell="/bin/bash", comment="App & Co")
    change = account.decide(seen(account, ""))
    assert change is not None
    assert change.verb is Verb.CREATE
    options = "--create-home --user-group --groups sudo,docker --uid 1001 --shell /bin/bash --comment 'App & Co'"
    assert change.lines == (f"useradd {options} -- app",)
    assert change.undo == ("userdel -- app || [ $? -eq 6 ]",)
    assert account.decide(Observation().after(change)) is None
    service = Account(name="app", system=True, create_home=False, group="www-data").decide(
        seen(Account(name="app"), "")
    )
    assert service is not None
    assert service.lines == ("useradd --system --no-create-home --gid www-data -- app",)


@pytest.mark.parametrize(
    ("account", "line", "why"),
    [
        (Account(name="app"), None, ""),
        (Account(name="app", uid=1001, home="/home/app", shell="/bin/sh", comment="App", group="app"), None, ""),
        (Account(name="app", groups=("sudo", "docker", "app")), None, ""),
        (Account(name="app", groups=("sudo",), append=True), None, ""),
        (Account(name="app", groups=("sudo",)), "usermod --groups sudo -- app", "groups are docker, sudo"),
        (Account(name="app", groups=("x",), append=True), "usermod --groups docker,sudo,x -- app", GROUPS),
        (Account(name="app", groups=()), "usermod --groups '' -- app", "groups are docker, sudo"),
        (Account(name="app", uid=7, shell="/x"), "usermod --uid 7 --shell /x -- app", "uid is 1001, shell is /bin/sh"),
        (Account(name="app", state="absent"), "userdel -- app", "is there"),
        (Account(name="app", state="absent", remove_home=True), "userdel --remove -- app", "is there"),
    ],
)  # fmt: skip
def test_an_account_that_is_there(account: Account, line: str | None, why: str) -> None:
    change = account.decide(seen(account, APP))
    assert (change.lines if change else None) == ((line,) if line else None)
    if change is not None:
        assert change.why == why
        assert account.decide(seen(account, APP).after(change)) is None


@pytest.mark.parametrize(
    ("said", "namesake", "enabled", "along"),
    [
        (APP, "app:x:1001:\n", "yes\n", True),
        (APP, "app:x:1001:app\n", "yes\n", True),
        (APP, "app:x:1001:app,other\n", "yes\n", False),
        (APP, "app:x:1001:\n", "", False),
        (APP.replace("\napp\n", "\nusers\n"), "app:x:1001:\n", "yes\n", False),
    ],
)
def test_a_user_takes_its_group_along_where_userdel_does(
    said: str,
    namesake: str,
    enabled: str,
    along: bool,
) -> None:
    """So that a plan does not promise to remove a group that is gone by then."""
    user, group = Account(name="app", state="absent"), Group(name="app", state="absent")
    probe, grouped, login_defs = user.observe().outputs
    assert grouped == group.probe
    before = Observation(outputs={probe: said, grouped: namesake, login_defs: enabled})
    titles = [change.title for change in fold([user, group], before)[0]]
    assert titles == (["account app"] if along else ["account app", "group app"])


def test_a_new_user_gets_the_group_of_its_name_that_is_there() -> None:
    """Useradd refuses to make it again."""
    user, group = Account(name="app"), Group(name="app")
    nothing = Observation(outputs={user.probe: "", group.probe: ""})
    assert fold([group, user], nothing)[0][1].lines == ("useradd --create-home --gid app -- app",)
    (change,) = fold([user, group], nothing)[0]
    assert change.lines == ("useradd --create-home --user-group -- app",)


def test_a_password_is_a_secret_all_the_way() -> None:
    password = Password(user="app", hashed=Secret("$6$salt$hash"))
    digest = hashlib.sha256(b"$6$salt$hash").hexdigest()
    assert password.decide(Observation(outputs={password.probe: f"{digest}\n"})) is None
    change = password.decide(Observation(outputs={password.probe: "other\n"}))
    assert change is not None
    assert change.payload == Secret("app:$6$salt$hash\n")
    assert "salt" not in repr(change)
    assert password.decide(Observation().after(change)) is None
    with pytest.raises(InputError):
        Password(user="app", hashed=Secret("a:b"))


@pytest.mark.parametrize(
    ("group", "said", "line"),
    [
        (Group(name="web"), "", "groupadd -- web"),
        (Group(name="web", gid=70, system=True), "", "groupadd --gid 70 --system -- web"),
        (Group(name="web"), "web:x:70:app\n", None),
        (Group(name="web", gid=70), "web:x:70:app\n", None),
        (Group(name="web", gid=71), "web:x:70:app\n", "groupmod --gid 71 -- web"),
        (Group(name="web", state="absent"), "web:x:70:\n", "groupdel -- web"),
        (Group(name="web", state="absent"), "", None),
    ],
)
def test_groups(group: Group, said: str, line: str | None) -> None:
    before = Observation(outputs={group.probe: said})
    changes, after = fold([group], before)
    assert [change.lines for change in changes] == ([(line,)] if line else [])
    assert fold([group], after)[0] == []


@pytest.mark.parametrize("name", ["j.doe", "Ops", "host$", "a", "_x-1"])
def test_names_that_useradd_takes(name: str) -> None:
    """On Debian and RHEL; people have dots in theirs."""
    assert Account(name=name).title == f"account {name}"
    assert Group(name=name).title == f"group {name}"
    assert Password(user=name, hashed=Secret("!")).title == f"password {name}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Account(name="1st"),
        lambda: Account(name="a", comment="x:y"),
        lambda: Account(name="a", group="1000"),
        lambda: Account(name="a", groups=("wheel,docker",)),
        lambda: Account(name="a b"),
        lambda: Group(name="-x"),
        lambda: Group(name=""),
    ],
)
def test_names_that_are_none(make: type[Operation]) -> None:
    with pytest.raises(InputError):
        make()
