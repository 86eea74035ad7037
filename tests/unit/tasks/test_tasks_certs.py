"""`certs renew`: which certificates, in which order, and who is started again for it. On hosts in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from kubeforge.errors import InputError, UnfitHost
from kubeforge.operations.absent import Absent
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Observation, Operation
from kubeforge.operations.symlink import Symlink
from kubeforge.operations.unit import Unit
from kubeforge.pki.certificates import TABLE, Scope
from kubeforge.spec.paths import (
    ADMIN_CONF,
    BOOTSTRAP_KUBELET_CONF,
    CONTROLLER_MANAGER_CONF,
    KUBELET_CLIENT_CURRENT,
    KUBELET_SERVING_CURRENT,
    PKI,
    SCHEDULER_CONF,
)
from kubeforge.tasks import certs, certs_kubelet, pki
from kubeforge.tasks.certs_kubelet import ClientAsked
from kubeforge.tasks.kubelet import TokenPresent
from kubeforge.tasks.kubelet_rolled import KubeletRolled
from kubeforge.tasks.nodes import NodeReady
from kubeforge.tasks.remark import Remark
from kubeforge.tasks.renewal import ALL, DUE, RENEW, chosen, renewable
from kubeforge.tasks.rolling import ArgumentsTaken, PodRolled
from kubeforge.tasks.served import CertificatesServed
from kubeforge.transport.base import Completed
from tests.unit.tasks.rolling_site import ECDSA, talk, titles

Make = Callable[..., Any]
OWN = [row for row in TABLE if row.scope is Scope.NODE]


def files(items: list[Any]) -> list[str]:
    """Return the files that get new content; a File without content is only looked at."""
    return [item.path for item in items if isinstance(item, File) and item.content is not None]


def later(made: Any, days: float) -> None:
    """Begin another run, some days on."""
    made.begin()
    made.vault.once("now", lambda: datetime.now(tz=UTC) + timedelta(days=days))


def ask(made: Any, host: str, task: Any, value: str = DUE) -> list[Any]:
    items: list[Any] = made.ask(host, task, vars={RENEW: value})
    return items


def changed(made: Any, host: str, task: Any, value: str = DUE) -> list[str]:
    """Return what of a host's files a task changes, by what is on the host."""
    operations = [one for one in ask(made, host, task, value) if isinstance(one, Operation)]
    return [one.title for one in operations if one.decide(made.hosts[host].observe(one.observe())) is not None]


def test_nothing_is_due_on_a_young_cluster(living_site: Make) -> None:
    made = living_site()
    for task in (certs.look, pki.mend, pki.roll, certs.controllers):
        assert changed(made, "cp1", task) == []
        assert not [one for one in ask(made, "cp1", task) if not isinstance(one, Operation)]


def test_one_name_renews_one_certificate_and_waits_until_it_is_shown(living_site: Make) -> None:
    made = living_site()
    before = made.hosts["cp1"].file(f"{PKI}/apiserver.crt")
    made.begin()
    assert changed(made, "cp1", pki.mend, "apiserver") == []
    items = ask(made, "cp1", pki.roll, "apiserver")
    assert files(items) == [f"{PKI}/apiserver.key", f"{PKI}/apiserver.crt"]
    (served,) = [one for one in items if isinstance(one, CertificatesServed)]
    ((name, pem),) = served.certificates
    assert name == "apiserver"
    assert pem != before
    ca = x509.load_pem_x509_certificate(made.hosts["cp1"].file(f"{PKI}/ca.crt"))
    x509.load_pem_x509_certificate(pem).verify_directly_issued_by(ca)


def test_a_name_leaves_others_alone_that_are_due(living_site: Make) -> None:
    made = living_site()
    later(made, 340)
    assert files(ask(made, "cp1", pki.roll, "etcd-peer")) == [f"{PKI}/etcd/peer.key", f"{PKI}/etcd/peer.crt"]


def test_all_is_all_but_what_is_shared(living_site: Make) -> None:
    made = living_site(control_planes=3)
    made.begin()
    assert files(ask(made, "cp2", pki.roll, ALL)) == [path for row in OWN for path in (row.key, row.certificate)]
    assert files(ask(made, "cp2", pki.mend, ALL)) == [ADMIN_CONF], "which nobody runs with"


def test_what_has_ended_is_written_everywhere_before_anybody_waits(living_site: Make) -> None:
    made = living_site(control_planes=3)
    later(made, 400)
    for host in ("cp1", "cp2", "cp3"):
        items = ask(made, host, pki.mend)
        assert {row.certificate for row in OWN} <= set(files(items))
        assert not [one for one in items if not isinstance(one, Operation)], "nobody is waited for"
    (said,) = [one for one in ask(made, "cp1", certs.look) if isinstance(one, Remark)]
    assert "apiserver" in said.text
    assert "etcd-peer ended" in said.text or "etcd-peer," in said.text


def test_what_ends_soon_waits_for_its_hosts_turn(living_site: Make) -> None:
    made = living_site()
    later(made, 340)
    assert files(ask(made, "cp1", pki.mend)) == [ADMIN_CONF, "/etc/kubernetes/super-admin.conf"]
    assert f"{PKI}/apiserver.crt" in files(ask(made, "cp1", pki.roll))


def test_an_ended_authority_is_refused(living_site: Make) -> None:
    made = living_site()
    later(made, 3700)
    with pytest.raises(UnfitHost, match="authority ca, front-proxy-ca, etcd-ca has ended"):
        ask(made, "cp1", certs.look)


def test_without_a_cluster_there_is_nothing_to_renew(site: Make) -> None:
    with pytest.raises(UnfitHost, match="no cluster lives"):
        ask(site(**ECDSA), "cp1", certs.look)


@pytest.mark.parametrize(("value", "names"), [("scheduler.conf", ["kube-scheduler"]), (ALL, None)])
def test_controllers_start_again_with_new_kubeconfigs(living_site: Make, value: str, names: list[str] | None) -> None:
    made = living_site()
    made.begin()
    items = ask(made, "cp1", certs.controllers, value)
    rolled = [one.component for one in items if isinstance(one, PodRolled)]
    assert rolled == (names or ["kube-controller-manager", "kube-scheduler"])
    assert not [one for one in items if isinstance(one, ArgumentsTaken)], "their arguments stay"
    wanted = [SCHEDULER_CONF] if names else [CONTROLLER_MANAGER_CONF, SCHEDULER_CONF]
    assert [title for title in changed(made, "cp1", certs.controllers, value) if title.startswith("file")] == [
        f"file {path}" for path in wanted
    ]


def with_kubelet(made: Any, host: str, *, pem: bytes = b"") -> Any:
    """Give a host a kubelet with certificates."""
    there = Entry(0o120777, target="x")
    made.hosts[host].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: there, KUBELET_SERVING_CURRENT: there}))
    made.hosts[host].commands["sh",] = Completed(0, pem)
    return made


def test_a_kubelet_with_good_certificates_is_left_alone(living_site: Make) -> None:
    made = living_site()
    pem = made.hosts["cp1"].file(f"{PKI}/apiserver.crt")
    assert ask(with_kubelet(made, "cp1", pem=pem), "cp1", certs_kubelet.renew) == []
    assert changed(with_kubelet(made, "w1", pem=pem), "w1", certs_kubelet.renew) == []


def test_a_token_that_a_run_has_left_goes_with_the_next(living_site: Make) -> None:
    made = with_kubelet(living_site(), "w1", pem=b"")
    made.hosts["w1"].commands["sh",] = Completed(0, made.hosts["cp1"].file(f"{PKI}/apiserver.crt"))
    made.hosts["w1"].put(BOOTSTRAP_KUBELET_CONF, b"token", mode=0o600)
    assert changed(made, "w1", certs_kubelet.renew) == [f"absent {BOOTSTRAP_KUBELET_CONF}"]


def test_a_workers_key_never_leaves_it(living_site: Make) -> None:
    made = with_kubelet(living_site(), "w1")  # its certificates cannot be read, so they are due
    items = ask(made, "w1", certs_kubelet.renew)
    assert [type(one) for one in items] == [
        *(TokenPresent, File, Absent, Absent, Unit, KubeletRolled, ClientAsked, NodeReady, Absent),
    ]
    assert files(items) == [BOOTSTRAP_KUBELET_CONF]
    assert items[-1].path == BOOTSTRAP_KUBELET_CONF
    (unit,) = [one for one in items if isinstance(one, Unit)]
    assert f"absent {KUBELET_CLIENT_CURRENT}" in unit.listens
    (node,) = [one for one in items if isinstance(one, NodeReady)]
    assert node.anew


def test_a_control_planes_kubelet_gets_its_own_beforehand(living_site: Make) -> None:
    made = with_kubelet(living_site(), "cp1")
    items = ask(made, "cp1", certs_kubelet.renew, "kubelet-client")
    assert [type(one) for one in items] == [File, Symlink, Unit, KubeletRolled, NodeReady]
    (file,) = [one for one in items if isinstance(one, File)]
    assert file.mode == 0o600
    certificate = x509.load_pem_x509_certificate(file.content.reveal())  # type: ignore[union-attr]
    assert certificate.subject.rfc4514_string() == "CN=system:node:cp1,O=system:nodes"


def test_a_kubelet_that_never_joined_is_no_matter_of_renewal(living_site: Make) -> None:
    assert ask(living_site(), "w1", certs_kubelet.renew, ALL) == []


def test_the_client_certificate_is_waited_for(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = living_site()
    monkeypatch.setattr(certs_kubelet, "kubelet_log", lambda _: [])
    run = talk(made, "w1")
    assert titles(ClientAsked().plan(run)) == ["kubelet.client"]
    made.hosts["w1"].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o120777, target="x")}))
    assert "signed" in ClientAsked().run(run)[0].why


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["apiservr"], "did you mean `apiserver`"),
        (["etcd-ca"], "is an authority"),
        (["nothing-of-it", "sa"], "sa is an"),
    ],
)
def test_names_are_checked_before_any_host_is_asked(names: list[str], said: str) -> None:
    with pytest.raises(InputError) as raised:
        chosen(names, everything=False)
    assert len(raised.value.problems) == len(names)
    assert said in str(raised.value)


def test_what_is_chosen() -> None:
    assert (chosen([], everything=False), chosen([], everything=True)) == (DUE, ALL)
    assert chosen(["apiserver", "admin.conf"], everything=False) == "apiserver,admin.conf"
    assert {"etcd-peer", "super-admin.conf", "kubelet-client", "kubelet-server"} <= set(renewable())
    assert not {"ca", "etcd-ca", "front-proxy-ca", "sa"} & set(renewable())
