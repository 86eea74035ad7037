"""A cluster that lives is changed: what restarts is told, what does not come up goes back, what is cut off goes on.

One cluster for all of it; its cluster.yml grows from test to test.
"""

from __future__ import annotations

import http.client
import json
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from kubeforge.lab.record import addresses
from tests.e2e.conftest import wait_until
from tests.e2e.faults.neighbours import issuer

pytestmark = pytest.mark.lab

MANIFESTS, LAST_GOOD = "/etc/kubernetes/manifests", "/var/lib/kubeforge/last-good"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def changing(forge: Any) -> Any:
    """A cluster that lives."""
    forge.good()
    return forge


def respec(forge: Any, change: Change) -> None:
    """Change cluster.yml itself."""
    file = forge.inventory / "cluster.yml"
    data = yaml.safe_load(file.read_text())
    change(data)
    file.write_text(yaml.safe_dump(data, sort_keys=False))


@contextmanager
def tried(forge: Any, change: Change) -> Iterator[None]:
    """Change cluster.yml, and change it back in the end."""
    file = forge.inventory / "cluster.yml"
    before = file.read_text()
    try:
        respec(forge, change)
        yield
    finally:
        file.write_text(before)


def section(data: dict[str, Any], *path: str) -> dict[str, Any]:
    for part in path:
        data = data.setdefault(part, {})
    return data


def flag(name: str, value: str, component: str = "api_server") -> Change:
    return lambda data: section(data, component, "extra_args").update({name: value})


def planned(forge: Any) -> dict[str, list[tuple[str, str]]]:
    """Return host -> what a plan has for it: verb and title, in its order; without the proofs: nodes Ready, checks."""
    said = forge.run("plan", "-o", "json").check(0)
    found: dict[str, list[tuple[str, str]]] = {}
    for step in json.loads(said.out)["steps"]:
        listed = [(change["verb"], change["title"]) for change in step["changes"]]
        found.setdefault(step["host"], []).extend(one for one in listed if not one[1].startswith(("checks.", "node ")))
    return {host: listed for host, listed in found.items() if listed}


def command(forge: Any, component: str) -> str:
    """Return the command line of a component that runs on cp1."""
    return str(forge.sh("cp1", f"tr '\\0' ' ' </proc/$(pgrep -o -x {component[:15]})/cmdline"))


def started(forge: Any, host: str, program: str) -> str:
    """Return when a program was started, in a form that says nothing but `the same` or `another`."""
    return str(
        forge.sh(
            host, f"pid=$(pgrep -o -x {program[:15]}); echo $pid; sed 's/.*) //' /proc/$pid/stat | cut -d ' ' -f 20"
        )
    )


def whole(forge: Any) -> None:
    """Nothing waits for anybody: nothing is set aside, nothing is left to do, all is well."""
    assert forge.sh("cp1", f"ls {LAST_GOOD} 2>/dev/null || :") == ""
    # A kubelet that restarts takes its pods for unready for a moment, CoreDNS among them.
    wait_until(lambda: "No changes." in forge.run("plan").out, why=lambda: forge.run("plan").text)
    forge.ready()


def whole_but_for_proofs(forge: Any) -> None:
    """Like `whole`, but kube-proxy may still wait before it asks again for an API that was away: up to a minute."""
    assert forge.sh("cp1", f"ls {LAST_GOOD} 2>/dev/null || :") == ""
    assert planned(forge) == {}
    forge.ready()


UNKNOWN: dict[str, tuple[Change, str]] = {
    "flag": (flag("profilling", "false"), "kube-apiserver of 1.36 has no flag --profilling; did you mean `profiling`?"),
    "etcd flag": (flag("heartbeat-intervall", "1", "etcd"), "etcd of 1.36 has no flag"),
    "gate": (
        lambda data: section(data, "scheduler", "feature_gates").update(Nonsense=True),
        "kube-scheduler of 1.36 has no such feature gate",
    ),
    "audit policy": (
        lambda data: section(data, "api_server").update(audit={"policy": {"rules": [{"level": "Meta"}]}}),
        "`Meta` is not offered; choose None or Metadata",
    ),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_a_component_does_not_know_is_refused_before_any_host_is_asked(changing: Any, what: str) -> None:
    change, words = UNKNOWN[what]
    with tried(changing, change):
        changing.apply().check(10, "cluster.yml", words)


def test_the_binary_itself_refuses_what_no_table_knows(changing: Any) -> None:
    """A value of the wrong kind: no table has kinds."""
    with tried(changing, flag("max-requests-inflight", "many")):
        said = changing.apply().check(12, "does not take what cluster.yml gives it; nothing was changed")
        said.names("cp1", "arguments of kube-apiserver", 'invalid argument "many"', "correct cluster.yml")
    assert changing.sh("cp1", "ctr -n k8s.io containers ls -q | grep kubeforge-asks || :") == ""
    whole(changing)


def test_what_does_not_come_up_goes_back_also_after_a_killed_run(changing: Any) -> None:
    """A bad audit policy: it is a file of its own, which no `--version` reads."""
    rules = [{"level": "Metadata", "resources": [{"group": "no_group"}]}]
    before = changing.sh("cp1", f"cat {MANIFESTS}/*; ls /etc/kubernetes/config 2>/dev/null || :")
    with tried(changing, lambda data: section(data, "api_server").update(audit={"policy": {"rules": rules}})):
        with changing.started() as run:
            run.until(lambda: run.step("StepStarted", "cp1", "pod kube-apiserver"))
            run.send(signal.SIGKILL)
            run.child.wait(10)
        said = changing.apply().check(13, "Not done:", "no_group")
        said.names("cp1", "pod kube-apiserver", "was put back, and it serves again", "correct cluster.yml")
        assert ("restart", "pod kube-apiserver") in planned(changing)["cp1"], "it is still to be done"
    assert changing.sh("cp1", f"cat {MANIFESTS}/*; ls /etc/kubernetes/config 2>/dev/null || :") == before
    whole_but_for_proofs(changing)


def test_the_host_dies_while_it_is_changed(changing: Any) -> None:
    respec(changing, flag("max-requests-inflight", "501"))
    with changing.started() as run:
        run.until(lambda: run.step("StepStarted", "cp1", "pod kube-apiserver"))
        changing.lab.host("cp1").kill()
        said = run.ended()
    said.check(11, "Not done:").names("cp1", "pod kube-apiserver", "connection", "see that the host is up")
    changing.lab.host("cp1").start()
    changing.apply().check(0)
    assert "--max-requests-inflight=501" in command(changing, "kube-apiserver")
    whole(changing)


def test_new_names_are_served_without_a_restart(changing: Any) -> None:
    before = started(changing, "cp1", "kube-apiserver")
    respec(changing, lambda data: section(data, "pki").update(api_server_sans=["api.example"]))
    assert ("run", "pki.served") in planned(changing)["cp1"]
    changing.apply().check(0)
    shown = ssl.get_server_certificate((changing.lab.host("cp1").address, 6443))
    extensions = x509.load_pem_x509_certificate(shown.encode()).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "api.example" in names.value.get_values_for_type(x509.DNSName)
    assert started(changing, "cp1", "kube-apiserver") == before
    whole(changing)


def test_kubelets_get_their_configuration_and_pods_stay(changing: Any) -> None:
    pods = started(changing, "cp1", "kube-apiserver"), started(changing, "w1", "coredns")
    respec(changing, lambda data: section(data, "kubelet", "config").update(maxPods=77))
    told = planned(changing)
    for host in ("cp1", "w1"):
        assert ("update", "file /var/lib/kubelet/config.yaml") in told[host]
        assert ("restart", "unit kubelet.service") in told[host]
    changing.apply().check(0)
    listed = json.loads(changing.kubectl("get", "nodes", "-o", "json"))["items"]
    assert {node["status"]["capacity"]["pods"] for node in listed} == {"77"}
    assert (started(changing, "cp1", "kube-apiserver"), started(changing, "w1", "coredns")) == pods
    whole(changing)


def test_a_kubelet_that_does_not_come_up_has_its_old_files_back_and_no_other_is_touched(changing: Any) -> None:
    worker = started(changing, "w1", "kubelet")
    with tried(changing, lambda data: section(data, "kubelet", "config").update(cpuManagerPolicy="nonsense")):
        said = changing.apply().check(13, "nonsense")
        said.names("cp1", "kubelet.serves", "was put back, and it serves again", "correct cluster.yml")
    assert started(changing, "w1", "kubelet") == worker
    whole(changing)


def test_the_plan_says_what_restarts_and_apply_does_that(changing: Any) -> None:
    """etcd tuned, audit log, admission plugins, a second scheduler, log levels: one roll."""

    def change(data: dict[str, Any]) -> None:
        rules = [{"level": "Metadata", "resources": [{"resources": ["configmaps"]}]}, {"level": "None"}]
        section(data, "etcd", "extra_args").update({"quota-backend-bytes": "4294967296"})
        section(data, "api_server").update(
            audit={"policy": {"rules": rules}}, admission={"enable": ["AlwaysPullImages"]}, log_level=3
        )
        section(data, "scheduler").update(
            log_level=4, config={"profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "packing"}]}
        )
        section(data, "controller_manager").update(log_level=3)

    kubelets = [started(changing, host, "kubelet") for host in ("cp1", "w1")]
    respec(changing, change)
    told = planned(changing)
    assert set(told) == {"cp1"}
    components = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    manifests = [f"file {MANIFESTS}/{name}.yaml" for name in components]
    assert [title for verb, title in told["cp1"] if title in manifests] == manifests
    assert [title for verb, title in told["cp1"] if verb == "restart"] == [f"pod {name}" for name in components]
    gates = [one for one in told["cp1"] if one[1].endswith(".gate")]
    assert gates == [("run", "etcd.gate"), ("run", "control_plane.gate")]
    changing.apply().check(0)
    assert "--quota-backend-bytes=4294967296" in command(changing, "etcd")
    assert [started(changing, host, "kubelet") for host in ("cp1", "w1")] == kubelets, "nothing else was touched"
    whole(changing)
    changing.kubectl("create", "configmap", "seen")
    log = changing.sh("cp1", "cat /var/log/kubernetes/audit/audit.log")
    assert any('"name":"seen"' in line and '"verb":"create"' in line for line in log.splitlines())
    assert "secrets" not in log
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "packed"},
        "spec": {
            "schedulerName": "packing",
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10.2", "imagePullPolicy": "IfNotPresent"}],
        },
    }
    changing.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    changing.kubectl("wait", "--for=condition=PodScheduled", "pod/packed", "--timeout=30s")
    live = json.loads(changing.kubectl("get", "pod", "packed", "-o", "json"))
    assert live["spec"]["containers"][0]["imagePullPolicy"] == "Always", "the admission plugin"


def test_people_log_in_with_tokens_of_an_issuer(changing: Any, tmp_path: Path) -> None:
    """And what the test before wanted becomes another audit policy, and less of admission."""
    files = changing.sh("cp1", "ls /etc/kubernetes/config")
    with issuer(addresses(changing.lab.record.number)[1], tmp_path) as people:
        one = {"issuer": people.url, "audiences": ["kubectl"], "username_claim": "email", "groups_claim": "groups"}

        def change(data: dict[str, Any]) -> None:
            data["api_server"]["audit"]["policy"]["rules"].insert(0, {"level": "None", "users": ["x"]})
            del data["api_server"]["admission"]  # nothing here could be pulled
            data["api_server"]["oidc"] = [{**one, "ca": people.ca}]

        respec(changing, change)
        changing.apply().check(0)
        whole(changing)
        now = changing.sh("cp1", "ls /etc/kubernetes/config")
        assert now != files
        assert now.count("audit-policy-") == 1, "the one before has gone"
        token = people.token(aud="kubectl", email="alice@example", groups=["ops"])
        wrong = people.token(aud="other", email="alice@example")
        answers = asked(changing, token), asked(changing, wrong)
    (status, told), (refused, _) = answers
    assert (status, refused) == (201, 401)
    assert told["status"]["userInfo"]["username"] == "oidc:alice@example"
    assert "oidc:ops" in told["status"]["userInfo"]["groups"]


def asked(forge: Any, token: str) -> tuple[int, dict[str, Any]]:
    """Ask the API server who we are."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    address = forge.lab.host("cp1").address
    with closing(http.client.HTTPSConnection(address, 6443, context=context, timeout=20)) as connection:
        connection.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


PROXY: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"conntrak": {"min": 1}}, 'unknown field \\"conntrak\\"'),
    "value": ({"detectLocalMode": "Guess"}, "DetectLocalMode"),
}


@pytest.mark.parametrize("what", PROXY)
def test_a_configuration_that_kube_proxy_does_not_take_is_refused(changing: Any, what: str) -> None:
    config, words = PROXY[what]
    with tried(changing, lambda data: section(data, "kube_proxy", "config").update(config)):
        said = changing.apply().check(12, "nothing was changed", words)
        said.names("cp1", "addons.apply", "kube-proxy does not take what cluster.yml gives it", "correct kube_proxy")
    whole(changing)


def test_kube_proxy_gets_its_configuration(changing: Any) -> None:
    respec(changing, lambda data: section(data, "kube_proxy").update(log_level=3))
    proxy = [f"object {kind} kube-system/kube-proxy" for kind in ("ConfigMap", "DaemonSet")]
    assert [title for _, title in planned(changing)["cp1"]] == proxy, "and its pods are made anew"
    changing.apply().check(0)
    whole(changing)
