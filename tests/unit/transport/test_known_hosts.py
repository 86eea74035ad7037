from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from kubeforge.errors import HostKeyRefused
from kubeforge.transport.known_hosts import HostKeyCheck, KnownHosts, KnownHostsCache, fingerprint

ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))
OTHER = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(1, 33))
RSA = b"\0\0\0\x07ssh-rsa" + bytes(64)


def row(names: str, key: bytes = ED25519, kind: str = "ssh-ed25519", marker: str = "") -> str:
    return f"{marker + ' ' if marker else ''}{names} {kind} {base64.b64encode(key).decode()} a comment\n"


def hashed(name: str, salt: bytes = b"0123456789abcdefghij") -> str:
    mac = hmac.digest(salt, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(mac).decode()}"


def table(tmp_path: Path, text: str) -> KnownHosts:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return KnownHosts([file])


def check(known: KnownHosts, host: str = "node.example", port: int = 22, via: str | None = None) -> HostKeyCheck:
    return HostKeyCheck(
        host="w1", address=host, port=port, rows=known.lookup(host, port), file=str(known.files[0]), via=via
    )


@pytest.mark.parametrize(
    ("names", "host", "port"),
    [
        ("node.example", "node.example", 22),
        ("node.example,192.0.2.1", "192.0.2.1", 22),
        ("NODE.example", "node.EXAMPLE", 22),
        ("[node.example]:2222", "node.example", 2222),
        ("node.example", "node.example", 2222),  # as ssh: without the port where none is listed with it
        ("*.example", "node.example", 22),
        ("n?de.example", "node.example", 22),
        ("[*]:2222", "node.example", 2222),
        (hashed("node.example"), "Node.Example", 22),
        (hashed("[node.example]:2222"), "node.example", 2222),
        ("2001:db8::1", "2001:db8::1", 22),
        ("[2001:db8::1]:2222", "2001:db8::1", 2222),
    ],
)
def test_a_host_is_found(tmp_path: Path, names: str, host: str, port: int) -> None:
    check(table(tmp_path, "# a comment\n\n" + row(names)), host, port).verify("ssh-ed25519", ED25519)


@pytest.mark.parametrize(
    ("names", "host", "port"),
    [
        ("node.example", "node.exampl", 22),
        ("[node.example]:2222", "node.example", 22),
        ("*.example,!node.example", "node.example", 22),
        ("[no]*", "node.example", 22),
        (hashed("node"), "node.example", 22),
    ],
)
def test_another_host_is_not(tmp_path: Path, names: str, host: str, port: int) -> None:
    assert not table(tmp_path, row(names)).lookup(host, port)


def test_a_row_with_the_port_hides_those_without(tmp_path: Path) -> None:
    known = table(tmp_path, row("[node]:2222", OTHER) + row("node", ED25519))
    with pytest.raises(HostKeyRefused):
        check(known, "node", 2222).verify("ssh-ed25519", ED25519)


def test_unknown_tells_how_to_check_and_add(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        check(table(tmp_path, ""), "node.example", 2222).verify("ssh-ed25519", ED25519)
    text = str(caught.value)
    assert fingerprint(ED25519) in text
    assert text.startswith("w1: connect: ")
    assert f"ssh-keyscan -p 2222 -t ed25519 node.example >> {tmp_path / 'known_hosts'}" in text


def test_behind_a_jump_host_the_scan_runs_there(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused, match="run ssh-keyscan on bastion"):
        check(table(tmp_path, ""), via="bastion").verify("ssh-ed25519", ED25519)


def test_changed_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(HostKeyRefused) as caught:
        check(table(tmp_path, row("other") + row("node.example", OTHER))).verify("ssh-ed25519", ED25519)
    assert f"{tmp_path / 'known_hosts'}:2" in caught.value.cause
    assert fingerprint(ED25519) in caught.value.cause
    assert "ssh-keygen -R node.example" in str(caught.value.remedy)


def test_another_type_of_key_is_not_the_known_one(tmp_path: Path) -> None:
    known = table(tmp_path, row("node.example", RSA, "ssh-rsa"))
    assert check(known).kinds == {"ssh-rsa"}
    with pytest.raises(HostKeyRefused, match="known is its ssh-rsa key"):
        check(known).verify("ssh-ed25519", ED25519)


@pytest.mark.parametrize("order", ["before", "after"])
def test_revoked_wins(tmp_path: Path, order: str) -> None:
    rows = [row("*", marker="@revoked"), row("node.example")]
    known = table(tmp_path, "".join(rows if order == "before" else reversed(rows)))
    with pytest.raises(HostKeyRefused, match="@revoked"):
        check(known).verify("ssh-ed25519", ED25519)


def test_an_authority_is_not_a_host_key_and_is_named(tmp_path: Path) -> None:
    known = table(tmp_path, row("*.example", marker="@cert-authority"))
    with pytest.raises(HostKeyRefused, match=r"known_hosts:1 names an authority, but host certificates are not read"):
        check(known).verify("ssh-ed25519", ED25519)


def test_bad_lines_are_passed_over_and_named(tmp_path: Path) -> None:
    known = table(
        tmp_path, "node\n@what node ssh-ed25519 AAAA\n|1|x node AAAA\n|2|eA==|eA== ssh-rsa AAAA\n" + row("node")
    )
    assert [problem.line for problem in known.problems] == [1, 2, 3, 4]
    assert len(known.lookup("node", 22)) == 1


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    known = KnownHosts([tmp_path / "no"])
    assert known.lookup("node", 22) == ()
    assert known.problems == []


def test_the_cache_reads_once(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(row("node"))
    cache = KnownHostsCache()
    first = cache.get([file])
    file.unlink()
    assert cache.get([file]) is first
    assert len(first.lookup("node", 22)) == 1


def test_a_thousand_rows(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("".join(row(f"10.0.{i // 250}.{i % 250}") for i in range(1000)))
    known = KnownHosts([file])
    for i in range(1000):
        assert known.lookup(f"10.0.{i // 250}.{i % 250}", 22)
