from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.facts import parse
from kubeforge.errors import BecomeFailed, UnfitHost
from kubeforge.operations.model import Entry, Observation
from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import authority, leaf, new_keys
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.spec.paths import GENERATIONS, KUBELET_CONFIG, KUBELET_UNIT, PKI
from kubeforge.tasks.preflight import check, findings
from kubeforge.tasks.reset import stop

Make = Callable[..., Any]
ANSWERS = Path(__file__).parents[1] / "engine" / "answers"
GIB = 1 << 30
# facts, name of the finding, whether it refuses
CASES: list[tuple[dict[str, Any], str, bool]] = [
    ({"systemd": False}, "systemd", True),
    ({"os_like": frozenset({"alpine"}), "os_name": "Alpine"}, "os", True),
    ({"os_like": frozenset({"rhel", "fedora"})}, "os", False),
    ({"arch": "riscv64"}, "architecture", True),
    ({"cgroup": 1}, "cgroup", False),
    ({"selinux": "enforcing"}, "selinux", False),
    ({"login_seconds": 0.4}, "login", False),
    ({"memory": GIB // 4}, "memory", True),
    ({"memory": int(0.6 * GIB)}, "memory", False),
    ({"disks": {"/": (40 * GIB, 80 * GIB), "/var/lib": (GIB, 40 * GIB)}}, "disk", True),
    ({"disks": {"/": (4 * GIB, 80 * GIB)}}, "disk", False),
    ({"clock_skew": -7200.0}, "clock", True),
    ({"clock_skew": 2.0}, "clock", False),
    ({"addresses": {"eth0": ("198.51.100.1/24",)}}, "address", True),
    ({"listening": {("tcp", 10250): "nginx"}}, "port-10250", True),
    ({"listening": {("tcp", 10250): ""}}, "port-10250", True),
]


def at_home(name: str) -> dict[str, Any]:
    return {"addresses": {"eth0": (f"192.0.2.{21 if name == 'w1' else 11}/24",)}}


@pytest.mark.parametrize(("facts", "name", "fatal"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_finding(site: Make, facts: dict[str, Any], name: str, fatal: bool) -> None:
    made = site(workers=1, facts={**at_home("w1"), **facts})
    found = list(findings(made.context("w1", check)))
    assert [(one.name, one.fatal) for one in found] == [(name, fatal)]


def test_a_fit_host(site: Make) -> None:
    assert site(facts=at_home("w1")).ask("w1", check) == []


def test_everything_is_said_at_once(site: Make) -> None:
    made = site(facts={**at_home("w1"), "systemd": False, "clock_skew": 9999.0, "cgroup": 1})
    with pytest.raises(UnfitHost) as raised:
        made.ask("w1", check)
    assert [line.partition(":")[0] for line in raised.value.evidence] == ["systemd", "clock"]
    assert raised.value.exit_code == 12


def test_who_is_not_root_is_told_how_to_be(site: Make) -> None:
    made = site(facts={**at_home("w1"), "uid": 1000, "systemd": False})
    for task in (check, stop):
        with pytest.raises(BecomeFailed, match="runs as user 1000, who is not root") as raised:
            made.ask("w1", task)
        assert raised.value.host == "w1"
        assert "ansible_become: true" in (raised.value.remedy or "")


def test_what_is_ignored_by_name(site: Make) -> None:
    made = site(facts={**at_home("w1"), "clock_skew": 9999.0})
    assert made.ask("w1", check, vars={"preflight_ignore": "os,clock"}) == []
    assert list(check(made.context("w1", check), ignore=["clock"])) == []


def test_ports_of_a_control_plane_and_of_etcd(site: Make) -> None:
    facts = {**at_home("cp1"), "listening": {("tcp", 6443): "haproxy", ("tcp", 2379): "etcd", ("udp", 10250): "x"}}
    made = site(facts=facts)
    assert [one.name for one in findings(made.context("cp1", check))] == ["port-6443"]
    facts["listening"] = {("tcp", 10257): "kube-controller"}  # the kernel keeps fifteen characters of a name
    assert list(findings(site(facts=facts).context("cp1", check))) == []


def test_ports_of_balancers(site: Make) -> None:
    taken = {"listening": {("tcp", 6443): "nginx", ("tcp", 8443): "nginx"}}
    virtual = {"endpoint": {"kind": "haproxy", "address": "192.0.2.9"}}

    def found(name: str, **spec: Any) -> list[str]:
        made = site(control_planes=3, facts=taken, **spec)
        return [one.name for one in findings(made.context(name, check)) if one.name.startswith("port-")]

    assert found("w1") == ["port-6443"]
    assert found("w1", **virtual) == []
    assert found("cp1", **virtual) == ["port-6443", "port-8443"]
    assert found("lb1", load_balancers=1, **virtual) == ["port-6443"]


def test_ports_of_ingress_only_where_it_runs(site: Make) -> None:
    made = site(facts={**at_home("w1"), "listening": {("tcp", 80): "apache2"}}, addons={"ingress": {}})
    assert [one.name for one in findings(made.context("w1", check))] == ["port-80"]


@pytest.mark.parametrize("sign", [KUBELET_UNIT, KUBELET_CONFIG])
def test_on_a_node_of_ours_nobody_knows_who_listens(site: Make, sign: str) -> None:
    """Also where one of the two was removed by hand: apply is to put it back."""
    made = site(facts={**at_home("w1"), "listening": {("tcp", 10250): ""}})
    made.hosts["w1"].overlay(Observation(paths={GENERATIONS: Entry(0o040700), sign: Entry(0o100644)}))
    assert made.ask("w1", check) == []


def test_a_host_that_other_playbooks_changed_is_not_yet_a_node(site: Make) -> None:
    """It has generations, so facts tell no names; that port was never looked at before."""
    made = site(facts={**at_home("w1"), "listening": {("tcp", 10250): ""}})
    made.hosts["w1"].overlay(Observation(paths={GENERATIONS: Entry(0o040700)}))
    with pytest.raises(UnfitHost) as raised:
        made.ask("w1", check)
    assert "port 10250 is taken by another program; kubelet needs it" in raised.value.evidence[0]


@pytest.mark.parametrize("answer", sorted(ANSWERS.glob("*.txt")), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_real_answers_about_ports(site: Make, answer: Path, name: str) -> None:
    """What hosts really answered, before and after kubeforge came, is understood."""
    listening = parse(answer.read_text()).listening
    assert listening
    made = site(facts={**at_home(name), "listening": listening}, addons={"ingress": {}})
    made.hosts[name].overlay(Observation(paths={KUBELET_UNIT: Entry(0o100644)}))
    assert list(findings(made.context(name, check))) == []


NOW = datetime.now(tz=UTC)
DAY = timedelta(days=1)


def own_ca(days: int, *, now: datetime = NOW) -> bytes:
    """A user's own authority, under a name of his."""
    says = Request(common_name="Example Corp Kubernetes", authority=True)
    return authority(says, new_keys(1, KeyAlgorithm.ECDSA_P256)[0], days=days, now=now).certificate


def with_ca(site: Make, content: bytes, path: str = f"{PKI}/ca.crt") -> Any:
    made = site(facts=at_home("cp1"))
    made.hosts["cp1"].put(path, content)
    return made


@pytest.mark.parametrize(
    ("content", "words", "fatal"),
    [
        (own_ca(179), "/ca.crt ends in 178 days, and everything that it signs ends with it", False),
        (own_ca(30, now=NOW - 31 * DAY), "/ca.crt: it expired at ", True),
        (own_ca(900, now=NOW + 2 * DAY), "/ca.crt: it is valid only from ", True),
        (b"no PEM", "/ca.crt: it cannot be read: ", True),
    ],
)
@pytest.mark.parametrize("name", ["ca", "etcd/ca", "front-proxy-ca"])
def test_an_authority_that_does_not_last(site: Make, content: bytes, words: str, fatal: bool, name: str) -> None:
    made = with_ca(site, content, f"{PKI}/{name}.crt")
    (found,) = findings(made.context("cp1", check))
    assert (found.name, found.fatal) == (name.replace("/", "-"), fatal)
    assert words.replace("/ca.crt", f"/{name}.crt") in found.text


def test_an_authority_that_lasts(site: Make) -> None:
    assert list(findings(with_ca(site, own_ca(182)).context("cp1", check))) == []


def test_a_workers_files_are_no_authorities(site: Make) -> None:
    made = site(facts=at_home("w1"))
    made.hosts["w1"].put(f"{PKI}/ca.crt", b"no PEM")
    assert made.ask("w1", check) == []


def test_a_certificate_in_the_place_of_an_authority(site: Make) -> None:
    key = new_keys(1, KeyAlgorithm.ECDSA_P256)[0]
    signer = authority(Request(common_name="a", authority=True), key, days=900, now=NOW)
    wrong = leaf(Request(common_name="b", usages=(Usage.CLIENT,)), key, signer, days=900, now=NOW).certificate
    (found,) = findings(with_ca(site, wrong).context("cp1", check))
    assert "it is no authority" in found.text


def test_two_names_for_one_machine(site: Make) -> None:
    made = site(facts={"addresses": {}})
    for name in ("w1", "w2"):
        made.hosts[name].put("/etc/machine-id", b"4f0d\n")
    assert [one.name for one in findings(made.context("w1", check))] == []
    assert [one.name for one in findings(made.context("w2", check))] == ["machine-id"]
