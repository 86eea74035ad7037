from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeforge.documents import dump
from kubeforge.manifests import control_plane, etcd
from kubeforge.manifests.config_files import ConfigFile, api_server_files, scheduler_files
from kubeforge.manifests.kubeadm_config import cluster_configuration

Check = Callable[[str, str], None]


def flags(pod: dict[str, Any]) -> dict[str, str]:
    listed = pod["spec"]["containers"][0]["command"][1:]
    pairs = [flag.removeprefix("--").split("=", 1) for flag in listed]
    assert len(dict(pairs)) == len(pairs), "a flag stands twice"
    return dict(pairs)


def test_goldens(of_minor: Any, minor: str, golden: Check) -> None:
    spec, inventory, host, images = of_minor.spec, of_minor.inventory, of_minor.first, of_minor.images
    directories = of_minor.facts["cp1"].ca_directories
    pods = {
        "kube-apiserver": control_plane.api_server(spec, inventory, host, images, ca_directories=directories),
        "kube-controller-manager": control_plane.controller_manager(spec, images, ca_directories=directories),
        "kube-scheduler": control_plane.scheduler(spec, images),
        "etcd": etcd.settled(spec, host, images),
        "etcd-founding": etcd.founding(spec, inventory, host, images),
    }
    for name, pod in pods.items():
        golden(f"{minor}/manifests/{name}.yaml", dump(pod))


CONFIGURED = {
    "api_server": {
        "log_level": 4,
        "admission": {
            "enable": ["AlwaysPullImages"],
            "disable": ["DefaultIngressClass"],
            "config": {
                "PodSecurity": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": {"enforce": "baseline", "enforce-version": "latest"},
                }
            },
        },
        "audit": {
            "policy": {
                "omitStages": ["RequestReceived"],
                "rules": [
                    {"level": "None", "nonResourceURLs": ["/healthz*", "/version"]},
                    {"level": "Metadata", "resources": [{"resources": ["secrets", "configmaps"]}]},
                    {"level": "Request", "users": ["alice"], "verbs": ["delete"], "namespaces": ["prod"]},
                ],
            }
        },
        "oidc": [
            {
                "issuer": "https://login.example",
                "audiences": ["kubernetes", "kubectl"],
                "username_claim": "email",
                "groups_claim": "groups",
                "ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            }
        ],
        "authorization": [
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
        ],
    },
    "controller_manager": {"log_level": 3},
    "scheduler": {
        "log_level": 2,
        "config": {"profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "packing"}]},
    },
    "etcd": {"extra_args": {"quota-backend-bytes": "8589934592", "heartbeat-interval": "200"}},
}


def test_goldens_of_a_configured_cluster(sample: Callable[..., Any], golden: Check) -> None:
    cluster = sample(**CONFIGURED)
    spec, inventory, host, images = cluster.spec, cluster.inventory, cluster.first, cluster.images
    pods = {
        "kube-apiserver": control_plane.api_server(spec, inventory, host, images),
        "kube-controller-manager": control_plane.controller_manager(spec, images),
        "kube-scheduler": control_plane.scheduler(spec, images),
        "etcd": etcd.settled(spec, host, images),
        "kubeadm-config": cluster_configuration(spec, inventory, images),
    }
    for name, pod in pods.items():
        golden(f"configured/{name}.yaml", dump(pod))
    files = (*api_server_files(spec), *scheduler_files(spec))
    golden("configured/files.yaml", "".join(f"# --{file.flag}={file.path}\n{file.content.decode()}" for file in files))


def test_a_file_with_other_content_has_another_name(sample: Callable[..., Any]) -> None:
    """So a manifest that goes back finds what it was written for."""

    def file(level: str) -> ConfigFile:
        policy = {"rules": [{"level": level}]}
        (found,) = api_server_files(sample(api_server={"audit": {"policy": policy}}).spec)
        return found

    assert file("None") == file("None")
    assert file("None").path != file("Metadata").path


def test_an_audit_log_on_standard_output_needs_no_folder(sample: Callable[..., Any]) -> None:
    cluster = sample(api_server={"audit": {"log": "-", "policy": {"rules": [{"level": "None"}]}}})
    pod = control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images)
    assert "audit-log" not in {volume["name"] for volume in pod["spec"]["volumes"]}
    assert "audit-log-maxage" not in flags(pod)


def test_founders_start_together(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=3)
    everybody = "cp1=https://192.0.2.11:2380,cp2=https://192.0.2.12:2380,cp3=https://192.0.2.13:2380"
    for host in cluster.inventory.control_planes:
        said = flags(etcd.founding(cluster.spec, cluster.inventory, host, cluster.images))
        assert (said["initial-cluster"], said["initial-cluster-state"]) == (everybody, "new")
        assert said["name"] == host.name


def test_new_is_never_left_behind(sample: Callable[..., Any]) -> None:
    """It is etcd's default too: a member that lost its data would boot a cluster of its own (kubespray#13261)."""
    cluster = sample(control_planes=3)
    said = flags(etcd.settled(cluster.spec, cluster.first, cluster.images))
    assert said["initial-cluster-state"] == "existing"
    assert said["initial-cluster"] == "cp1=https://192.0.2.11:2380", "with the others it would come in under its old id"
    assert ("initial-cluster-state", "existing") in etcd.member_extra(cluster.spec)


def test_the_command_line_says_who_is_there(sample: Callable[..., Any]) -> None:
    cluster = sample()
    members = {"cp1": "https://192.0.2.11:2380", "cp9": "https://192.0.2.19:2380"}
    said = etcd.arguments(cluster.spec, cluster.first, members=members)
    assert "--initial-cluster=cp1=https://192.0.2.11:2380,cp9=https://192.0.2.19:2380" in said
    assert said[-1] == "--initial-cluster-state=existing"


def test_what_the_spec_adds_replaces_and_comes_last(sample: Callable[..., Any]) -> None:
    cluster = sample(
        api_server={
            "extra_args": {"authorization-mode": "RBAC", "tls-sni-cert-key": ["a,b", "c,d"], "audit-log-path": "-"},
            "feature_gates": {"Zeta": True, "Alpha": False},
        }
    )
    pod = control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images)
    assert pod["spec"]["containers"][0]["command"][-6:] == [
        "--audit-log-path=-",
        "--authorization-mode=RBAC",
        "--feature-gates=Alpha=false,Zeta=true",
        "--shutdown-send-retry-after=true",
        "--tls-sni-cert-key=a,b",
        "--tls-sni-cert-key=c,d",
    ]


def test_structured_authorization_excludes_the_mode(sample: Callable[..., Any]) -> None:
    cluster = sample(api_server={"extra_args": {"authorization-config": "/etc/kubernetes/authz.yaml"}})
    said = flags(control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images))
    assert "authorization-mode" not in said


def test_etcd_keeps_its_own_gate(sample: Callable[..., Any]) -> None:
    cluster = sample(etcd={"feature_gates": {"LeaseCheckpoint": True}})
    said = flags(etcd.settled(cluster.spec, cluster.first, cluster.images))
    assert said["feature-gates"] == "InitialCorruptCheck=true,LeaseCheckpoint=true"


def test_tuning_is_in_extra_args_so_that_kubeadm_keeps_it(sample: Callable[..., Any]) -> None:
    cluster = sample(network={"node_mask": 26})
    said = flags(control_plane.controller_manager(cluster.spec, cluster.images))
    for name, value in control_plane.controller_manager_extra(cluster.spec):
        assert said[name] == value
    assert said["kube-api-qps"] == "1000"
    assert said["node-cidr-mask-size"] == "26"


def test_probe_follows_the_bind_address(sample: Callable[..., Any]) -> None:
    cluster = sample(scheduler={"extra_args": {"bind-address": "0.0.0.0"}})
    probe = control_plane.scheduler(cluster.spec, cluster.images)["spec"]["containers"][0]["readinessProbe"]
    assert "host" not in probe["httpGet"], "kubelet then takes the pod's address"


def test_etcd_apart(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=2, etcd={"topology": "external"})
    said = flags(control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images))
    assert said["etcd-servers"] == "https://192.0.2.11:2379,https://192.0.2.12:2379"


def test_ipv6_has_its_brackets(sample: Callable[..., Any]) -> None:
    from kubeforge.inventory.model import Connection, Host

    cluster = sample()
    host = Host(name="cp1", connection=Connection(address="2001:db8::11"))
    said = flags(etcd.settled(cluster.spec, host, cluster.images))
    assert said["listen-client-urls"] == "https://[::1]:2379,https://[2001:db8::11]:2379"
    assert said["listen-metrics-urls"] == "http://[::1]:2381"
