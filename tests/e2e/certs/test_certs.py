"""Certificates of a real cluster: listed, judged for a monitor, renewed; also when every one of them has ended."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
from typing import Any

import pytest
import yaml
from cryptography import x509

from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import TABLE, Kind
from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import Ha, spec_of

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SHORT = 300
"""Seconds that certificates of this file are valid: longer than a renewal of all takes."""
LEAVES = {row.name for row in TABLE if row.kind is Kind.LEAF}


def certificates(forge: Ha) -> list[dict[str, Any]]:
    return list(json.loads(forge.run("certs list", "-o", "json").check(0).out)["certificates"])


def shown(forge: Ha, host: str) -> x509.Certificate:
    """Return what the API server of a host shows."""
    pem = ssl.get_server_certificate((forge.lab.host(host).address, 6443))
    return x509.load_pem_x509_certificate(pem.encode())


def process(forge: Ha, host: str, name: str) -> str:
    """Return number and start of a component's process."""
    return forge.sh(host, f"pid=$(pgrep -x -o {name[:15]}); echo $pid $(cut -d ' ' -f 22 /proc/$pid/stat)").strip()


def lifetime(forge: Ha, span: str | None) -> None:
    """Let new certificates be valid for a span; None: as long as usual."""
    file = forge.inventory / "cluster.yml"
    data = yaml.safe_load(file.read_text())
    data.pop("pki", None)
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    if span is not None:
        spec_of(forge, pki={"validity": span})


def test_all_are_listed(trio: Ha) -> None:
    found = certificates(trio)
    on = {host: {one["name"] for one in found if one["host"] == host} for host in ("cp1", "cp2", "w1")}
    confs = {row.name for row in kubeconfigs.TABLE}
    assert on["cp1"] >= LEAVES | confs | {"ca", "etcd-ca", "kubelet-client", "kubelet-server", "ca in kubelet.conf"}
    assert on["cp2"] >= LEAVES | confs - {"super-admin.conf"}
    assert on["w1"] == {"ca", "kubelet-client", "kubelet-server", "ca in kubelet.conf"}
    api = next(one for one in found if (one["host"], one["name"]) == ("cp1", "apiserver"))
    assert {"kubernetes", "10.96.0.1", trio.lab.host("cp1").address} <= set(api["sans"])
    assert (api["issuer"], api["subject"], api["days"]) == ("CN=kubernetes", "CN=kube-apiserver", 364)
    text = trio.run("certs list", "--hosts", "w1").check(0).out
    assert "cp1" not in text
    assert "kubelet-client" in text


def test_a_monitor_is_told(trio: Ha) -> None:
    trio.run("certs check").check(0, "valid; the first to end is")
    trio.run("certs check", "--warn-days", "400").check(3, "cp1: apiserver (/etc/kubernetes/pki/apiserver.crt) ends in")
    trio.run("certs check", "--warn-days", "400", "--hosts", "w1", "-o", "json").check(3, '"kubelet-client"')


def test_nothing_is_due(trio: Ha) -> None:
    trio.run("certs renew", "--yes").check(0, "No changes.")


def test_one_certificate_without_a_restart(trio: Ha) -> None:
    before, runs = shown(trio, "cp2").serial_number, process(trio, "cp2", "kube-apiserver")
    others = shown(trio, "cp1").serial_number
    trio.run("certs renew", "apiserver", "--hosts", "cp2", "--yes").check(0, "file /etc/kubernetes/pki/apiserver.crt")
    assert shown(trio, "cp2").serial_number != before
    assert shown(trio, "cp1").serial_number == others
    assert process(trio, "cp2", "kube-apiserver") == runs
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_controllers_start_again_one_host_at_a_time(trio: Ha) -> None:
    names = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
    before = {name: process(trio, "cp1", name) for name in names}
    trio.run("certs renew", "controller-manager.conf", "scheduler.conf", "--yes").check(0)
    after = {name: process(trio, "cp1", name) for name in names}
    assert {name for name in names if before[name] != after[name]} == {"kube-controller-manager", "kube-scheduler"}
    trio.until_good()


def test_all_while_clients_ask(trio: Ha) -> None:
    """Every certificate of every host, under a client that reads and writes all the time through the balancer."""
    with trio.client("w1", "https://127.0.0.1:6443") as watched:
        trio.run("certs renew", "--all", "--yes").check(0)
        watched.answered()
    assert not watched.record.failures, watched.record.told()
    assert set(watched.record.acknowledged) <= trio.written()
    young = [one for one in certificates(trio) if one["renewed_by"]]
    assert all(one["days"] >= 364 for one in young)
    trio.until_good()
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_a_renewal_that_was_killed_is_gone_on_with(trio: Ha) -> None:
    known = len(trio.runs())
    argv = trio.argv("certs renew", "--all", "--yes")
    with subprocess.Popen(argv, env=trio.variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        wait_until(lambda: len(trio.runs()) > known and "pki.served" in (trio.runs()[-1] / "events.jsonl").read_text())
        child.send_signal(signal.SIGKILL)
    trio.run("certs renew", "--yes").check(0)
    trio.until_good()


def test_every_certificate_has_ended(trio: Ha) -> None:
    """Nobody can reach the API, no member of etcd talks to another; one command mends it."""
    lifetime(trio, f"{SHORT}s")
    trio.run("certs renew", "--all", "--yes").check(0)
    wait_until(lambda: trio.run("certs check").code == 3, seconds=SHORT)
    wait_until(lambda: trio.run("certs check").code == 4, seconds=SHORT)
    wait_until(
        lambda: {one["state"] for one in certificates(trio) if one["name"] in LEAVES} == {"ended"}, seconds=SHORT
    )
    for host in trio.planes:  # nobody lives on a connection of the time before
        trio.sh(host, "pkill -KILL -x etcd; pkill -KILL -x kube-apiserver; true")
    assert trio.run("kubectl", "--", "get", "nodes").code != 0
    lifetime(trio, None)
    trio.run("certs renew", "--hosts", "cp1,cp2,cp3,w1", "--yes").check(0, "apiserver", "they are renewed before")
    trio.run("certs check").check(0)
    trio.until_good(seconds=120)
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_kubelets_get_others(trio: Ha) -> None:
    before = {(one["host"], one["name"]): one["begins"] for one in certificates(trio)}
    trio.run("certs renew", "kubelet-client", "kubelet-server", "--yes").check(0)
    after = {(one["host"], one["name"]): one["begins"] for one in certificates(trio)}
    for host in ("cp1", "cp3", "w1"):
        for name in ("kubelet-client", "kubelet-server"):
            assert after[host, name] > before[host, name], (host, name)
    assert trio.sh("w1", "ls /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null || echo gone").strip() == "gone"
    trio.until_good()
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_a_dead_control_plane_is_left_out(trio: Ha) -> None:
    """The first one; the others are renewed one at a time, and what is due on it waits for it."""
    before = {(one["host"], one["name"]): one["begins"] for one in certificates(trio)}
    names = ("apiserver", "etcd-peer", "scheduler.conf", "kubelet-client")
    trio.lab.host("cp1").kill()
    try:
        trio.run("certs renew", *names, "--yes").check(11, "Without cp1: what is due there waits")
        seen = json.loads(trio.run("certs list", "-o", "json").check(11).out)
        assert list(seen["silent"]) == ["cp1"]
        after = {(one["host"], one["name"]): one["begins"] for one in seen["certificates"]}
        for host in ("cp2", "cp3"):
            for name in names:
                assert after[host, name] > before[host, name], (host, name)
        assert after["w1", "kubelet-client"] > before["w1", "kubelet-client"]
    finally:
        trio.lab.host("cp1").start()
    trio.until_good(seconds=120)
    trio.run("certs renew", *names, "--hosts", "cp1", "--yes").check(0)
    trio.until_good()
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ca",), "is an authority or a shared key"),
        (("apisrver",), "did you mean `apiserver`"),
        (("apiserver", "--hosts", "nobody"), "nobody"),
    ],
)
def test_what_makes_no_sense_touches_no_host(trio: Ha, words: tuple[str, ...], said: str) -> None:
    known = len(trio.runs())
    trio.run("certs renew", *words, "--yes").check(10, said)
    assert len(trio.runs()) == known
