"""Changing what lives: what is written when. On hosts in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Entry, Observation
from kubeforge.spec.paths import PKI
from kubeforge.tasks import (
    control_plane,
    etcd,
    living,
    pki,
)
from kubeforge.tasks.rolling import Spared
from tests.unit.tasks.rolling_site import (
    APISERVER,
    ECDSA,
    NEW,
    Make,
    actions,
    given,
    titles,
)


def test_a_cluster_that_is_founded_has_nothing_to_roll(site: Make) -> None:
    made = site(control_planes=3, **ECDSA)
    assert actions(given(made, "cp1")) == []
    assert f"file {APISERVER}" in titles(made.ask("cp1", control_plane.server))


def test_what_lives_as_it_shall_has_nothing_to_roll(living_site: Make) -> None:
    made = living_site(control_planes=2)
    for host in ("cp1", "cp2"):
        items = given(made, host)
        assert actions(items) == []
        assert not [title for title in titles(items) if title.startswith("pod ")]


def test_a_changed_flag_is_written_only_where_its_host_has_its_turn(living_site: Make) -> None:
    made = living_site(control_planes=2, **NEW)
    for host in ("cp1", "cp2"):
        assert f"file {APISERVER}" not in titles(made.ask(host, control_plane.server))
        assert titles(made.ask(host, control_plane.roll)) == [
            "arguments of kube-apiserver",
            "control_plane.gate",
            f"file {APISERVER}",
            "pod kube-apiserver",
        ]
        assert made.ask(host, control_plane.ready) == [], "it may be silent because of what is to be changed"


def test_an_etcd_that_is_changed_later_is_not_waited_for_before(living_site: Make) -> None:
    made = living_site(etcd={"extra_args": {"quota-backend-bytes": "4294967296"}})
    assert made.ask("cp1", etcd.ready) == []
    assert made.ask("cp1", control_plane.ready) == []


@pytest.mark.parametrize("component", ["etcd", "kube-apiserver"])
def test_what_an_earlier_run_left_is_judged_before_anything_waits_for_it(living_site: Make, component: str) -> None:
    """It may never serve: then the old files must come back, not a deadline."""
    made = living_site()
    assert titles(made.ask("cp1", control_plane.ready)) == ["control_plane.ready"]
    made.hosts["cp1"].overlay(Observation(paths={living.folder(component): Entry(0o040700)}))
    made.begin()
    assert made.ask("cp1", control_plane.ready) == []
    assert f"pod {component}" in titles(given(made, "cp1"))
    assert (made.ask("cp1", etcd.ready) == []) is (component == "etcd")


def test_another_text_of_the_same_pod_restarts_nothing(living_site: Make) -> None:
    """The kubelet would not either, so nobody waits for it."""
    made = living_site(control_planes=2)
    text = made.hosts["cp2"].file(APISERVER) + b"# somebody was here\n"
    made.hosts["cp2"].write(APISERVER, text)
    made.begin()
    assert actions(given(made, "cp2", control_plane.roll)) == []
    assert made.apply("cp2", control_plane.server) == [f"file {APISERVER}"]


def test_a_manifest_that_is_no_pod_is_replaced_with_care(living_site: Make) -> None:
    made = living_site(control_planes=2)
    made.hosts["cp2"].write(APISERVER, b"kind: [Pod")
    made.begin()
    assert "pod kube-apiserver" in titles(made.ask("cp2", control_plane.roll))


def test_a_manifest_that_is_gone_stops_nobody_so_it_is_written_at_once(living_site: Make) -> None:
    made = living_site(control_planes=2)
    path = manifest_path("kube-scheduler")
    made.hosts["cp2"].overlay(Observation(paths={path: None}, hashes={path: None}))
    assert [f"file {path}"] == made.apply("cp2", control_plane.controllers)
    assert actions(given(made, "cp2")) == []


def test_a_founder_that_is_behind_the_others_is_not_rolled(living_site: Make) -> None:
    """A birth that was cut off: the other lives already, this one has no manifest yet."""
    made = living_site(control_planes=2)
    for name in ("kube-apiserver", "kube-controller-manager"):
        path = manifest_path(name)
        made.hosts["cp2"].overlay(Observation(paths={path: None}, hashes={path: None}))
    assert f"file {APISERVER}" in titles(made.ask("cp2", control_plane.server))
    assert actions(given(made, "cp2", control_plane.roll)) == []


def test_a_birth_that_never_served_is_put_right_at_once(site: Make) -> None:
    """Members that cannot serve alone must not wait for one another."""
    made = site(control_planes=2, **ECDSA)
    for host in ("cp1", "cp2"):
        made.apply(host, control_plane.server)
    again = site(control_planes=2, **ECDSA, **NEW)
    again.hosts = made.hosts
    assert again.apply("cp1", control_plane.server) == [f"file {APISERVER}"]
    assert given(again, "cp1", control_plane.roll) == []


def test_etcd_is_stopped_only_behind_a_gate_of_its_own(living_site: Make) -> None:
    made = living_site(control_planes=3, etcd={"extra_args": {"heartbeat-interval": "200"}})
    path = manifest_path("etcd")
    assert f"file {path}" not in titles(made.ask("cp1", etcd.member))
    gate = next(item for item in made.ask("cp1", etcd.roll) if isinstance(item, Spared))
    assert (gate.etcd, len(gate.servers)) == (True, 3), "the API server beside it goes with it"


def test_new_names_reissue_certificates_host_by_host(living_site: Make) -> None:
    made = living_site(control_planes=2, pki={"algorithm": "ECDSA-P256", "api_server_sans": ["api.example"]})
    names = [f"file {PKI}/apiserver.key", f"file {PKI}/apiserver.crt"]
    assert not set(names) & set(titles(made.ask("cp2", pki.control_plane)))
    assert titles(made.ask("cp2", pki.roll)) == [*names, "pki.served"]
    assert made.apply("cp2", pki.roll) == names
    made.begin()
    assert made.ask("cp2", pki.roll) == []


def test_a_controllers_kubeconfig_that_expires_restarts_it(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = living_site()
    made.vault.once("now", lambda: datetime.now(tz=UTC) + timedelta(days=340))
    told = titles(made.ask("cp1", control_plane.roll))
    assert told == [
        "arguments of kube-controller-manager",
        f"file {manifest_path('kube-controller-manager')}",
        "file /etc/kubernetes/controller-manager.conf",
        "pod kube-controller-manager",
        "arguments of kube-scheduler",
        f"file {manifest_path('kube-scheduler')}",
        "file /etc/kubernetes/scheduler.conf",
        "pod kube-scheduler",
    ]
    changed = made.apply("cp1", control_plane.roll)
    assert changed == ["file /etc/kubernetes/controller-manager.conf", "file /etc/kubernetes/scheduler.conf"]
    assert "file /etc/kubernetes/scheduler.conf" not in titles(made.ask("cp1", pki.control_plane))


def test_files_of_the_api_server_come_first_and_go_last(living_site: Make) -> None:
    def audited(level: str) -> dict[str, Any]:
        return {"api_server": {"audit": {"policy": {"rules": [{"level": level}]}}}}

    made = living_site(audited("Metadata"), **audited("Request"))
    old = made.hosts["cp1"].file(APISERVER).decode().partition("audit-policy-file=")[2].splitlines()[0]
    written = made.apply("cp1", control_plane.server)
    (new,) = [title.removeprefix("file ") for title in written]
    assert "/audit-policy-" in new
    assert new != old
    told = titles(made.ask("cp1", control_plane.roll))
    assert told[-2:] == ["pod kube-apiserver", f"absent {old}"]


def test_power_that_goes_while_a_manifest_is_replaced(living_site: Make) -> None:
    """The old one lies aside and none is there: the cluster lives all the same; the new one is written and judged."""
    made = living_site(controller_manager={"extra_args": {"concurrent-gc-syncs": "30"}})
    path = manifest_path("kube-controller-manager")
    aside = {living.folder("kube-controller-manager"): Entry(0o040700), path: None}
    made.hosts["cp1"].overlay(Observation(paths=aside, hashes={path: None}))
    made.begin()
    assert living.is_founded(made.context("cp1", control_plane.roll))
    assert f"file {path}" in titles(made.ask("cp1", control_plane.controllers))
    assert "pod kube-controller-manager" in titles(made.ask("cp1", control_plane.roll))
