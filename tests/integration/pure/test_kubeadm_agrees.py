"""What kubeadm itself writes for the same cluster, compared field by field with what kubeforge writes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kubeforge.addons import coredns, kube_proxy
from kubeforge.addons.model import Cluster
from kubeforge.documents import dump, dump_all
from kubeforge.manifests import control_plane, etcd, kubelet, objects
from kubeforge.manifests.kubeadm_config import cluster_configuration
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import TABLE, Identity, Kind, request
from kubeforge.pki.issue import Authority
from kubeforge.pki.verify import reasons
from kubeforge.spec.model import KeyAlgorithm

pytestmark = pytest.mark.lab
Pki = Callable[[Any], tuple[dict[str, bytes], dict[str, Authority]]]


class Kubeadm:
    """kubeadm in a root of its own, with a cluster's configuration."""

    def __init__(self, program: Path, root: Path, cluster: Any) -> None:
        self.program, self.root, self.cluster = program, root, cluster
        for folder in (
            "etc/ssl/certs",
            "tmp",
            "var/lib",
            *(path.strip("/") for path in cluster.facts["cp1"].ca_directories),
        ):
            (root / folder).mkdir(parents=True)
        init = {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": cluster.first.address, "bindPort": 6443},
            "nodeRegistration": {"name": "cp1", "criSocket": "unix:///run/containerd/containerd.sock"},
        }
        ours = cluster_configuration(cluster.spec, cluster.inventory, cluster.images)
        (root / "etc/kubeadm.yaml").write_text(dump_all([init, ours, kubelet.cluster_configuration(cluster.spec)]))

    def run(self, *words: str) -> str:
        return self.bare(*words, "--config", "/etc/kubeadm.yaml")

    def bare(self, *words: str) -> str:
        command = [str(self.program), "--rootfs", str(self.root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")


@pytest.fixture(params=["RSA-2048", "ECDSA-P256"])
def kubeadm(request: pytest.FixtureRequest, version: str, program: Any, sample: Any, tmp_path: Path) -> Kubeadm:
    spec = {"pki": {"algorithm": request.param, "api_server_sans": ["lb.example.net", "203.0.113.5"], "days": 200}}
    return Kubeadm(program("kubeadm"), tmp_path / "root", sample(version, **spec))


def fields(pem: bytes) -> dict[str, Any]:
    """Return everything of a certificate that is not random, with times as distances."""
    found = x509.load_pem_x509_certificate(pem)
    extensions = [
        (type(extension.value).__name__, extension.critical, _words(extension.value)) for extension in found.extensions
    ]
    key = found.public_key()
    return {
        "subject": [(part.oid.dotted_string, part.value) for part in found.subject],
        "issuer": found.issuer.rfc4514_string(),
        # kubeadm takes the time twice for a kubeconfig, so a second may lie between
        "minutes": round((found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() / 60),
        "extensions": extensions,
        "key": (type(key).__name__, len(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))),
        "hash": getattr(found.signature_hash_algorithm, "name", None),
    }


def _words(value: x509.ExtensionType) -> str:
    if isinstance(value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier):
        return "of the key"
    return repr(value)


def test_certificates(kubeadm: Kubeadm, make_pki: Pki) -> None:
    kubeadm.run("init", "phase", "certs", "all")
    ours, _ = make_pki(kubeadm.cluster)
    identity = Identity.of(kubeadm.cluster.spec, kubeadm.cluster.inventory, kubeadm.cluster.first)
    for row in TABLE:
        theirs_key = kubeadm.file(row.key).read_bytes()
        assert theirs_key.splitlines()[0] == ours[row.key].splitlines()[0], row.name
        theirs = kubeadm.file(row.certificate).read_bytes()
        if row.kind is Kind.KEY_PAIR:
            assert theirs.splitlines()[0] == ours[row.certificate].splitlines()[0]
            continue
        assert fields(ours[row.certificate]) == fields(theirs), row.name
        signer = kubeadm.file(f"/etc/kubernetes/pki/{_stem(row.signer)}.crt").read_bytes() if row.signer else None
        assert reasons(request(row, identity), theirs, now=datetime.now(UTC), signer=signer) == (), (
            f"we would keep their {row.name}"
        )


def _stem(name: str) -> str:
    return next(row.stem for row in TABLE if row.name == name)


def test_kubeconfigs(kubeadm: Kubeadm, make_pki: Pki) -> None:
    kubeadm.run("init", "phase", "certs", "all")
    kubeadm.run("init", "phase", "kubeconfig", "all")
    ours, _ = make_pki(kubeadm.cluster)
    for config in kubeconfigs.TABLE:
        theirs = kubeadm.file(config.path).read_bytes()
        assert _shape(theirs) == _shape(ours[config.path]), config.path
        assert fields(kubeconfigs.public_parts(theirs)[2]) == fields(kubeconfigs.public_parts(ours[config.path])[2])


def _shape(content: bytes) -> Any:
    """Return a kubeconfig without what is random in it."""
    document = yaml.safe_load(content)
    for part in (document["clusters"][0]["cluster"], document["users"][0]["user"]):
        for key in part:
            part[key] = "…" if key.endswith("-data") else part[key]
    return document


CONFIGURED = {
    "api_server": {
        "log_level": 4,
        "admission": {
            "enable": ["AlwaysPullImages"],
            "disable": ["DefaultIngressClass"],
            "config": {"PodSecurity": {}},
        },
        "audit": {"policy": {"rules": [{"level": "Metadata"}]}},
        "oidc": [{"issuer": "https://login.example", "audiences": ["kubectl"]}],
        "authorization": [{"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}],
    },
    "controller_manager": {"log_level": 3},
    "scheduler": {
        "config": {"profiles": [{"schedulerName": "default-scheduler"}]},
        "feature_gates": {"AllAlpha": False},
    },
    "etcd": {"extra_args": {"quota-backend-bytes": "8589934592"}},
}


def test_a_configured_cluster_is_what_kubeadm_would_upgrade(
    version: str, program: Any, sample: Any, tmp_path: Path
) -> None:
    """Flags and volumes of files of ours stand in kubeadm-config, too."""
    cluster = sample(version, control_planes=3, **CONFIGURED)
    agree(Kubeadm(program("kubeadm"), tmp_path / "root", cluster), etcd_too=False)


def test_static_pods_byte_for_byte(kubeadm: Kubeadm) -> None:
    agree(kubeadm, etcd_too=True)


def agree(kubeadm: Kubeadm, *, etcd_too: bool) -> None:
    """Fail unless kubeadm writes the same static pods; its etcd knows itself only, as members come by joining."""
    kubeadm.run("init", "phase", "control-plane", "all")
    kubeadm.run("init", "phase", "etcd", "local")
    sample = kubeadm.cluster
    spec, images, folders = sample.spec, sample.images, sample.facts["cp1"].ca_directories
    ours = {
        "kube-apiserver": control_plane.api_server(
            spec, sample.inventory, sample.first, images, ca_directories=folders
        ),
        "kube-controller-manager": control_plane.controller_manager(spec, images, ca_directories=folders),
        "kube-scheduler": control_plane.scheduler(spec, images),
        "etcd": etcd.settled(spec, sample.first, images),
    }
    if not etcd_too:
        del ours["etcd"]
    for name, pod in ours.items():
        theirs = kubeadm.file(f"/etc/kubernetes/manifests/{name}.yaml").read_text()
        if sample.spec.minor == "1.35" and name == "kube-controller-manager":
            theirs = _without_flexvolume(theirs)
        del pod["metadata"]["uid"]  # kubeadm leaves it to the kubelet, see manifests.static_pod.identified
        assert dump(pod) == theirs, name


def _without_flexvolume(text: str) -> str:
    """kubeadm 1.35 mounts a folder for FlexVolumes, deprecated since 1.23 and dropped by kubeadm 1.36; we never do."""
    pod = yaml.safe_load(text)
    spec = pod["spec"]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "flexvolume-dir"]
    (container,) = spec["containers"]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "flexvolume-dir"]
    return dump(pod)


def test_addons(kubeadm: Kubeadm) -> None:
    sample = kubeadm.cluster
    cluster = Cluster(spec=sample.spec, inventory=sample.inventory, facts=sample.facts, images=sample.images)
    for name, module in (("kube-proxy", kube_proxy), ("coredns", coredns)):
        theirs = _by_key(yaml.safe_load_all(kubeadm.run("init", "phase", "addon", name, "--print-manifest")))
        ours = _by_key(module.objects(cluster))
        assert theirs.keys() == ours.keys()
        for key, made in ours.items():
            if key == ("ConfigMap", "kube-proxy"):
                assert _embedded(made) == {**_embedded(theirs[key]), "mode": "iptables"}
            else:
                assert _bare(made) == _bare(theirs[key]), key


def _by_key(documents: Any) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one for one in documents if one}


def _embedded(config_map: Any) -> Any:
    """Return what kube-proxy's ConfigMap says, without kubeadm's empty fields."""
    data = {name: yaml.safe_load(text) for name, text in config_map["data"].items()}
    return {"kubeconfig": data["kubeconfig.conf"], **_said(data["config.conf"])}


def _said(value: Any) -> Any:
    """Drop fields that say nothing: null, empty, zero."""
    if isinstance(value, list):
        return [_said(part) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _said(part) for key, part in value.items()}
    return {key: part for key, part in kept.items() if part not in (None, "", 0, "0", "0s", {}, [])}


def _bare(value: Any) -> Any:
    """Drop what the addons' docstrings say differs, and what the API defaults."""
    if isinstance(value, list):
        return [_bare(part) for part in value]
    if not isinstance(value, dict):
        return value
    differs = {"periodSeconds", "resourceVersion"}  # readiness every second; kubeadm's way to update a Service
    if value.get("kind") == "Group":
        differs.add("apiGroup")  # the API fills it in
    if "kubeforge/configuration" in (value.get("annotations") or {}):
        differs.add("annotations")  # another configuration of kube-proxy is another pod
    if "serviceAccountName" in value:
        differs |= {"securityContext", "topologySpreadConstraints"}  # seccomp RuntimeDefault; never all on one node
    return {key: _bare(part) for key, part in value.items() if key not in differs and part is not False}


def test_cluster_configuration_is_taken_and_kept(kubeadm: Kubeadm) -> None:
    """kubeadm reads what we upload and would write the same again."""
    kubeadm.run("config", "validate")
    kubeadm.bare("config", "migrate", "--old-config", "/etc/kubeadm.yaml", "--new-config", "/etc/new.yaml")
    written = {one["kind"]: one for one in yaml.safe_load_all((kubeadm.root / "etc/new.yaml").read_text())}
    sample = kubeadm.cluster
    made = objects.cluster_objects(sample.spec, sample.inventory, sample.images, ca=b"")
    uploaded = next(one for one in made if one["metadata"]["name"] == "kubeadm-config")
    assert yaml.safe_load(uploaded["data"]["ClusterConfiguration"]) == written["ClusterConfiguration"]


def test_kubeadm_renews_what_we_wrote(kubeadm: Kubeadm, make_pki: Pki) -> None:
    """`certs renew all` copies names, usages and SANs from our certificates, with our authorities."""
    files, authorities = make_pki(kubeadm.cluster)
    for path, content in files.items():
        kubeadm.file(path).parent.mkdir(parents=True, exist_ok=True)
        kubeadm.file(path).write_bytes(content)
    kubeadm.run("certs", "renew", "all")
    identity = Identity.of(kubeadm.cluster.spec, kubeadm.cluster.inventory, kubeadm.cluster.first)
    for row in TABLE:
        if row.kind is Kind.LEAF:
            renewed = kubeadm.file(row.certificate).read_bytes()
            assert renewed != files[row.certificate]
            signer = authorities[row.signer or ""].certificate
            assert reasons(request(row, identity), renewed, now=datetime.now(UTC), signer=signer) == (), row.name
    listed = kubeadm.run("certs", "check-expiration")
    assert "invalid" not in listed.lower()
    assert listed.count("ca ") >= 3


def test_every_algorithm_is_kubeadms(program: Callable[[str], Path]) -> None:
    said = subprocess.run(
        [program("kubeadm"), "config", "print", "init-defaults"], capture_output=True, text=True, check=True
    )
    assert f"encryptionAlgorithm: {KeyAlgorithm.RSA_2048.value}" in said.stdout
