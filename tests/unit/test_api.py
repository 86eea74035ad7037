"""kubeforge.api: the examples of docs/api.md run, its names are there, importing it is quick."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubeforge import api
from tests.unit.inventory.sealing import seal

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/api.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(PLAYBOOK,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
HOSTS = """
all:
  children:
    web: {hosts: {w1: {}, w2: {}}}
    db: {hosts: {d1: {}}}
"""


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples take for granted: an inventory, a playbook, hosts in memory and the page's task."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.yml").write_text(HOSTS)
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    monkeypatch.chdir(tmp_path)
    uname: dict[tuple[str, ...], Any] = {("uname", "-r"): api.Completed(0, b"6.1.0\n")}
    made: dict[str, Any] = {"hosts": [api.MemoryHost(name, commands=uname) for name in ("w1", "w2")]}
    exec(next(text for text in EXAMPLES if "def motd" in text), made)  # the page's own text
    return made


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples(names: dict[str, Any], number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(EXAMPLES[number], names)  # the page's own text
    printed = capsys.readouterr().out
    if "uname" in EXAMPLES[number]:
        assert printed.splitlines()[:2] == ["w1 6.1.0", "w2 6.1.0"]
        assert "in memory" in printed.splitlines()[2]
    if "result.exit_code" in EXAMPLES[number]:
        assert printed.splitlines() == ["w1 ['file /etc/motd']", "w2 ['file /etc/motd']", "0 2 []"]


def test_a_command_that_a_host_does_not_know(names: dict[str, Any]) -> None:
    site = api.load("inventory", memory=names["hosts"])
    answers = site.command("all", ["nothing"])
    assert (answers["w1"].status, answers["w1"].ok) == (127, False)
    assert answers["d1"].failure
    assert answers["d1"].failure.host == "d1"
    assert isinstance(site.facts()["d1"], api.Failure)


def test_groups_that_facts_make(names: dict[str, Any]) -> None:
    hosts = [*names["hosts"], api.MemoryHost("d1")]
    Path("inventory/of_facts.yml").write_text(
        "plugin: constructed\nkeyed_groups: [{key: ansible_distribution, prefix: os}]\n"
    )
    assert "os_Debian" not in api.load("inventory", memory=hosts).inventory.groups
    site = api.load("inventory", memory=hosts, facts=True)
    assert [host.name for host in site.hosts("os_Debian:&web")] == ["w1", "w2"]
    with pytest.raises(api.KubeforgeError, match="do not tell what they are"):
        api.load("inventory", memory=names["hosts"], facts=True)


def test_a_play_for_nobody(names: dict[str, Any], tmp_path: Path) -> None:
    site = api.load("inventory", tasks=[names["motd"]], memory=names["hosts"])
    (tmp_path / "site.yml").write_text("- play: A\n  hosts: web:&db\n  tasks: [web.motd]\n")
    with pytest.raises(api.InputError, match=r"site\.yml:2: hosts: no host is left in 'web:&db'"):
        site.open("site.yml")
    (tmp_path / "site.yml").write_text(PLAYBOOK + "\n- {play: Other, hosts: db, tasks: [web.motd]}\n")
    with site.open("site.yml", limit="w1") as run:
        assert run.plan().hosts == ("w1",)


def test_what_is_wrong_is_raised(names: dict[str, Any], tmp_path: Path) -> None:
    site = api.load("inventory", memory=names["hosts"])
    with pytest.raises(api.InputError, match="there is no task"):
        site.open("site.yml")
    with pytest.raises(api.InputError, match="nowhere"):
        site.command("nowhere", ["true"])
    with pytest.raises(api.InputError, match="there is no such file"):
        site.status()
    with pytest.raises(api.InputError):
        api.load(tmp_path / "missing")


def test_events_and_variables(names: dict[str, Any]) -> None:
    told: list[api.Event] = []
    site = api.load("inventory", tasks=[names["motd"]], memory=names["hosts"])
    with site.open("site.yml", on_event=told.append) as run:
        result = run.apply()
        assert result.run_id == run.run_id
    assert type(told[-1]).__name__ == "RunDone"


@pytest.mark.parametrize("name", api.__all__)
def test_names(name: str) -> None:
    assert getattr(api, name) is not None
    assert name in dir(api)


PUBLIC = ("kubeforge", "kubeforge.api", "kubeforge.testing", "kubeforge.testing.lab")
WRITTEN = [
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "adr" not in path.parts),
    *sorted((ROOT / "playbooks/examples").glob("*.py")),
    *sorted((ROOT / "tests/molecule").rglob("*.py")),
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_what_is_there_to_copy_imports_stable_names_only(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    for module, imported in re.findall(r"^from (kubeforge[\w.]*) import (.+)$", text, re.MULTILINE):
        functions = [f"{module}.{name.strip()}" for name in imported.split(",")]
        pages = "".join(page.read_text() for page in (ROOT / "docs/tasks").glob("*.md"))
        assert module in PUBLIC or all(f"In Python: `{name}`." in pages for name in functions), (path, module)


def test_no_other_name() -> None:
    with pytest.raises(AttributeError, match="Session"):
        _ = api.Session


def test_importing_it_imports_little() -> None:
    """No engine, no SSH, no YAML before a script uses them."""
    code = "import sys; from kubeforge import api; print([n for n in sys.modules if n.startswith('kubeforge.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['kubeforge.api']"


def test_tasks_beside_the_playbook_are_there_as_on_the_command_line(names: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text(
        "from kubeforge import api\n\n\n@api.task('web.motd')\ndef motd(context, text=''):\n"
        "    yield api.File(path='/etc/motd', content=text.encode())\n"
    )
    with api.load("inventory", memory=names["hosts"]).open("site.yml", limit="w1") as run:
        assert run.apply().exit_code == 0
    assert names["hosts"][0].file("/etc/motd") == b"welcome"


BESIDE = """
- play: Greet
  hosts: web
  tasks: [{file.present: {path: /etc/motd, content: "{{ greeting }}"}}]
"""


def test_variables_beside_the_playbook_count_as_on_the_command_line(names: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "books"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "group_vars/web.yml").write_text("greeting: good day\n")
    (folder / "site.yml").write_text(BESIDE)
    site = api.load("inventory", memory=names["hosts"])
    with site.open(folder / "site.yml") as run:
        assert run.apply().exit_code == 0
    assert names["hosts"][0].file("/etc/motd") == b"good day"
    assert "greeting" not in site.inventory.hosts["w1"].vars


@pytest.mark.parametrize("as_file", [False, True])
def test_what_is_encrypted_is_read(names: dict[str, Any], tmp_path: Path, *, as_file: bool) -> None:
    (tmp_path / "inventory/group_vars").mkdir()
    (tmp_path / "inventory/group_vars/web.yml").write_text(seal("greeting: good night\n", "much wanted"))
    (tmp_path / "site.yml").write_text(BESIDE)
    (tmp_path / "password").write_text("much wanted\n")
    given = [tmp_path / "password" if as_file else api.Secret("much wanted")]
    site = api.load("inventory", memory=names["hosts"], vault=given)
    with site.open("site.yml") as run:
        assert run.apply().exit_code == 0
    assert b"good night" in names["hosts"][1].file("/etc/motd")
    with pytest.raises(api.InputError, match="password"):
        api.load("inventory", memory=names["hosts"])
