from __future__ import annotations

import getpass
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import ConnectionFailed, InputError
from kubeforge.inventory.model import Connection
from kubeforge.transport.ssh_config import SYSTEM_KNOWN_HOSTS, Endpoint, Hop, SshConfig, parse_jumps, resolve


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))  # paramiko expands ~ by it
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def config(home: Path, text: str, system: str | None = None) -> SshConfig:
    (home / ".ssh" / "config").write_text(text)
    file = home / "etc_ssh_config"
    if system is not None:
        file.write_text(system)
    return SshConfig(home, file)


def endpoint(home: Path, ssh_config: SshConfig, address: str = "web", **settings: Any) -> Endpoint:
    return resolve("w1", Connection(address=address, **settings), ssh_config, home)


def test_without_files_there_are_defaults(tmp_path: Path) -> None:
    found = endpoint(tmp_path, SshConfig(tmp_path, tmp_path / "no"))
    assert (found.name, found.address, found.port, found.user) == ("w1", "web", 22, getpass.getuser())
    assert found.known_hosts[0] == tmp_path / ".ssh" / "known_hosts"
    assert found.known_hosts[-2:] == SYSTEM_KNOWN_HOSTS
    assert [file.name for file in found.identity_files] == ["id_ed25519", "id_ecdsa", "id_rsa"]
    assert found.jumps == ()


def test_the_files_are_read(home: Path) -> None:
    text = """
    Host web
        HostName web.internal
        User deploy
        Port 2022
        IdentityFile ~/.ssh/deploy
        IdentityFile /keys/%h
        IdentitiesOnly yes
        ProxyJump ops@bastion:2200,inner
        UserKnownHostsFile ~/.ssh/kh1 /kh2
        HostKeyAlias web-alias
    Host *
        User nobody
    """
    found = endpoint(home, config(home, text, "Host *\n  Port 99\n"))
    assert (found.address, found.port, found.user) == ("web.internal", 2022, "deploy")
    assert found.identity_files == (home / ".ssh" / "deploy", Path("/keys/web.internal"))
    assert found.identities_only
    assert found.jumps == (Hop(address="bastion", user="ops", port=2200), Hop(address="inner"))
    assert found.known_hosts[:2] == (home / ".ssh" / "kh1", Path("/kh2"))
    assert found.host_key_alias == "web-alias"


def test_the_user_file_wins_over_the_system_file(home: Path) -> None:
    ssh_config = config(home, "Host web\n User mine\n", "Host *\n User theirs\n Port 99\n")
    found = endpoint(home, ssh_config)
    assert (found.user, found.port) == ("mine", 99)


def test_the_inventory_wins(home: Path) -> None:
    text = "Host web\n User deploy\n Port 2022\n ProxyJump bastion\n UserKnownHostsFile /kh\n IdentityFile /id\n"
    found = endpoint(
        home,
        config(home, text),
        user="root",
        port=22,
        proxy_jump="none",
        known_hosts=(Path("/mine"),),
        key_file=Path("/key"),
    )
    assert (found.user, found.port, found.jumps) == ("root", 22, ())
    assert found.known_hosts[0] == Path("/mine")
    assert found.key_file == Path("/key")


def test_proxy_command_is_refused_with_the_reason(home: Path) -> None:
    ssh_config = config(home, "Host web\n ProxyCommand nc %h %p\nHost plain\n ProxyCommand none\n")
    with pytest.raises(ConnectionFailed, match="ProxyCommand, which kubeforge does not run"):
        endpoint(home, ssh_config)
    assert endpoint(home, ssh_config, "plain").address == "plain"
    assert endpoint(home, ssh_config, proxy_jump="bastion").jumps == (Hop(address="bastion"),)


def test_includes_are_read_where_they_stand(home: Path) -> None:
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "a.conf").write_text("Host web\n  User included\n")
    (home / ".ssh" / "conf.d" / "b.conf").write_text("Include conf.d/deeper\n")
    (home / ".ssh" / "conf.d" / "deeper").write_text("Host other\n  Port 7\n")
    ssh_config = config(home, "Include conf.d/*.conf missing/*\nPort 8\nHost web\n User late\n")
    assert endpoint(home, ssh_config).user == "included"
    assert endpoint(home, ssh_config).port == 8  # what follows an Include is not swallowed by its last Host
    assert endpoint(home, ssh_config, "other").port == 7


def test_an_include_in_a_host_block_holds_for_that_host(home: Path) -> None:
    (home / ".ssh" / "only").write_text("User included\n")
    (home / ".ssh" / "blocks").write_text("Host *\n User everybody\n")
    ssh_config = config(home, "Host web\n Include only\n Include blocks\n Port 8\nHost *\n User late\n")
    assert (endpoint(home, ssh_config).user, endpoint(home, ssh_config).port) == ("included", 8)
    assert endpoint(home, ssh_config, "other").user == "late"
    assert [(problem.line, problem.warning) for problem in ssh_config.problems] == [(3, True)]


def test_a_circle_of_includes_ends(home: Path) -> None:
    ssh_config = config(home, "Include config\nHost web\n User deploy\n")
    assert endpoint(home, ssh_config).user == "deploy"


def test_match_is_understood(home: Path) -> None:
    ssh_config = config(home, "Match originalhost web\n  User matched\n")
    assert endpoint(home, ssh_config).user == "matched"
    assert endpoint(home, ssh_config, "other").user == getpass.getuser()


def test_a_broken_file_is_the_users_fault(home: Path) -> None:
    with pytest.raises(InputError, match="config"):
        endpoint(home, config(home, 'User x\nHost "open\n'))


def test_a_file_that_sets_nothing_of_ours_is_not_parsed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh_config = config(home, "", "Host *\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n")
    monkeypatch.setattr("paramiko.SSHConfig.lookup", None)
    assert endpoint(home, ssh_config).address == "web"


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("none", ()),
        ("b", (Hop(address="b"),)),
        ("u@b:22, c", (Hop(address="b", user="u", port=22), Hop(address="c"))),
        ("ssh://u@b:2222", (Hop(address="b", user="u", port=2222),)),
        ("u@[2001:db8::1]:22", (Hop(address="2001:db8::1", user="u", port=22),)),
    ],
)
def test_jumps(text: str, hops: tuple[Hop, ...]) -> None:
    assert parse_jumps(text, host="w1") == hops


@pytest.mark.parametrize("text", ["", "a b", "u@", "b:port", "a,,b"])
def test_bad_jumps(text: str) -> None:
    with pytest.raises(ConnectionFailed, match="cannot be read"):
        parse_jumps(text, host="w1")


@pytest.mark.parametrize(("command", "user"), [("true", "yes"), ("false", "no")])
def test_match_exec_works_though_invoke_is_not_imported_at_first(home: Path, command: str, user: str) -> None:
    (home / ".ssh" / "config").write_text(f'Match originalhost web exec "{command}"\n  User yes\nHost *\n  User no\n')
    script = f"""
import sys
from pathlib import Path
from kubeforge.transport.ssh_import import import_paramiko
from kubeforge.transport.ssh_config import SshConfig
import_paramiko()
import paramiko
assert "invoke" not in sys.modules and "asyncio" not in sys.modules
print(SshConfig(Path({str(home)!r}), Path("/no")).lookup("web").user)
import fabric
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == user
