from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from kubeforge.documents import dump_all
from kubeforge.manifests import etcd, objects
from kubeforge.manifests.control_plane import controller_manager_extra
from kubeforge.manifests.kubeadm_config import cluster_configuration
from kubeforge.manifests.rbac import cluster_rbac

CA = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


def key(made: dict[str, Any]) -> str:
    namespace = made["metadata"].get("namespace")
    return f"{made['kind']} {namespace + '/' if namespace else ''}{made['metadata']['name']}"


def test_goldens(of_minor: Any, minor: str, golden: Callable[[str, str], None]) -> None:
    made = objects.cluster_objects(of_minor.spec, of_minor.inventory, of_minor.images, ca=CA)
    golden(f"{minor}/objects.yaml", dump_all(made))


def test_what_the_contract_names_is_there(sample: Callable[..., Any]) -> None:
    cluster = sample()
    made = {key(one) for one in objects.cluster_objects(cluster.spec, cluster.inventory, cluster.images, ca=CA)}
    system = ("kubeadm:nodes-kubeadm-config", "kubeadm:kubelet-config", "kubeadm:kubeadm-certs")
    assert made >= {f"Role kube-system/{name}" for name in system}
    assert made >= {f"RoleBinding kube-system/{name}" for name in system}
    assert made >= {
        "Role kube-public/kubeadm:bootstrap-signer-clusterinfo",
        "RoleBinding kube-public/kubeadm:bootstrap-signer-clusterinfo",
        "ClusterRole kubeadm:get-nodes",
        "ConfigMap kube-system/kubeadm-config",
        "ConfigMap kube-system/kubelet-config",
        "ConfigMap kube-public/cluster-info",
    }
    assert made >= {
        f"ClusterRoleBinding kubeadm:{name}"
        for name in (
            "kubelet-bootstrap",
            "get-nodes",
            "node-autoapprove-bootstrap",
            "node-autoapprove-certificate-rotation",
            "cluster-admins",
            "apiserver-kubelet-client",
        )
    }
    assert len(made) == len(objects.cluster_objects(cluster.spec, cluster.inventory, cluster.images, ca=CA))


def test_bindings_point_at_what_exists() -> None:
    made = cluster_rbac()
    roles = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in made}
    for one in made:
        if one["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            reference = one["roleRef"]
            namespace = one["metadata"].get("namespace") if reference["kind"] == "Role" else None
            here = (reference["kind"], namespace, reference["name"]) in roles
            assert here or reference["name"].startswith(("system:", "cluster-admin")), key(one)


def test_extra_arguments_are_the_manifests(sample: Callable[..., Any]) -> None:
    """What a manifest says beyond kubeadm's defaults must be here, or kubeadm upgrade drops it."""
    cluster = sample(scheduler={"extra_args": {"v": "4"}}, etcd={"extra_args": {"quota-backend-bytes": "8589934592"}})
    said = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
    listed = {
        "controllerManager": controller_manager_extra(cluster.spec),
        "scheduler": [("v", "4")],
    }
    for component, arguments in listed.items():
        assert said[component]["extraArgs"] == [{"name": name, "value": value} for name, value in arguments]
    assert said["etcd"]["local"]["extraArgs"] == [
        {"name": name, "value": value} for name, value in etcd.member_extra(cluster.spec)
    ]
    assert said["apiServer"]["extraArgs"] == [{"name": "shutdown-send-retry-after", "value": "true"}]


def test_an_api_server_among_others_is_left_alone_before_it_ends(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=3)
    said = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
    listed = [(one["name"], one["value"]) for one in said["apiServer"]["extraArgs"]]
    assert listed == [
        ("shutdown-delay-duration", "3s"),
        ("shutdown-send-retry-after", "true"),
        ("shutdown-watch-termination-grace-period", "2s"),
    ]


def test_only_what_kubeadm_would_choose_otherwise_is_said(sample: Callable[..., Any]) -> None:
    cluster = sample()
    said = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
    assert said["etcd"]["local"]["imageTag"] == cluster.images["etcd"].rpartition(":")[2]
    assert "imageRepository" not in said["etcd"]["local"]
    assert said["dns"] == {}
    assert said["imageRepository"] == "registry.k8s.io"
    own = {name: f"mirror.example.net:5000/k8s/{name}:v9" for name in cluster.images}
    said = cluster_configuration(cluster.spec, cluster.inventory, own)
    assert said["imageRepository"] == "mirror.example.net:5000/k8s"
    assert said["dns"] == {"imageRepository": "mirror.example.net:5000/k8s", "imageTag": "v9"}
    assert said["etcd"]["local"]["imageTag"] == "v9"


def test_etcd_apart_and_many_control_planes(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=3, etcd={"topology": "external"}, pki={"api_server_sans": ["lb.example.net"]})
    said = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
    assert said["apiServer"]["certSANs"] == ["lb.example.net", "localhost", "127.0.0.1"]
    assert said["etcd"]["external"]["endpoints"][2] == "https://192.0.2.13:2379"
    assert said["controlPlaneEndpoint"] == "192.0.2.11:6443", "kubeadm join asks it before the host has a balancer"


def test_who_joins_has_no_balancer_of_its_own_yet(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=3)
    made = objects.cluster_objects(cluster.spec, cluster.inventory, cluster.images, ca=CA)
    info = next(one for one in made if one["metadata"]["name"] == "cluster-info")
    server = yaml.safe_load(info["data"]["kubeconfig"])["clusters"][0]["cluster"]["server"]
    assert server == "https://192.0.2.11:6443"


def test_cluster_info_is_what_a_joining_node_reads(sample: Callable[..., Any]) -> None:
    cluster = sample()
    made = objects.cluster_objects(cluster.spec, cluster.inventory, cluster.images, ca=CA)
    info = next(one for one in made if one["metadata"]["name"] == "cluster-info")
    server = yaml.safe_load(info["data"]["kubeconfig"])["clusters"][0]["cluster"]["server"]
    assert server == "https://192.0.2.11:6443"


def test_kubeadm_hears_of_certificates_that_live_for_hours(sample: Callable[..., Any]) -> None:
    cluster = sample(pki={"validity": "90m"})
    told = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
    assert told["certificateValidityPeriod"] == "1h30m0s"
    assert told["caCertificateValidityPeriod"] == "87600h0m0s"
