"""The floor: a cluster that is there but for being started, as no tool could have it.

`prepare`, which the clock does not see, makes a whole cluster and takes it apart again: all files, certificates and
units stay where they are, every kubelet has its certificate, etcd has the data of an empty cluster; pods, containers
and network are gone with a reboot. `start` then does only what cannot be done beforehand: start the kubelets, fill the
API as soon as it answers, start the controllers as soon as they may have their leases.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubeforge.cluster.compare import DIGEST
from kubeforge.lab import Host, Lab
from kubeforge.manifests.control_plane import CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.spec import paths
from tests.bench import kubeadm

KINDS = (
    "namespaces,serviceaccounts,configmaps,roles,rolebindings,clusterroles,clusterrolebindings,"
    "services,daemonsets,deployments"
)
OBJECTS = "/root/objects.json"
LATER = tuple(map(manifest_path, (CONTROLLER_MANAGER, SCHEDULER)))
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
EMPTIED = """
systemctl disable --now kubelet
for id in $(ctr -n k8s.io tasks ls -q); do ctr -n k8s.io tasks rm -f "$id"; done
for id in $(ctr -n k8s.io containers ls -q); do ctr -n k8s.io containers rm "$id"; done
rm -rf /var/lib/etcd /var/lib/cni /var/lib/kubelet/pods /etc/cni/net.d/10-flannel.conflist
rm -f /var/lib/kubelet/cpu_manager_state /var/lib/kubelet/memory_manager_state
"""
FOUND = "{bin}/etcdutl snapshot restore {snapshot} --data-dir {data} --name {name} --initial-cluster {name}={url}"


def prepare(lab: Lab, born: Callable[[], None]) -> None:
    """Make the cluster, keep what it holds, and take it apart.

    Args:
        lab: with one control plane.
        born: makes the cluster.
    """
    born()
    found = json.loads(kubeadm.kubectl_output(lab, "get", KINDS, "-A", "-o", "json"))
    plane = lab.host("cp1")
    plane.run(["tee", OBJECTS], stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": ours(found["items"])}))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take_apart, lab.hosts))
    for manifest in LATER:
        plane.run(["mv", manifest, "/root"])
    url = f"https://{plane.address}:{paths.ETCD_PEER_PORT}"
    told = {"bin": paths.BIN, "snapshot": paths.ETCD_FOUNDING, "data": paths.ETCD_DATA, "name": "cp1", "url": url}
    plane.run(["sh", "-euc", f"{FOUND} --initial-advertise-peer-urls {url}".format(**told)])


def ours(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What kubeforge applied, as it was before the API server added to it; namespaces first."""
    kept = [item for item in items if DIGEST in (item["metadata"].get("annotations") or {})]
    for item in kept:
        item.pop("status", None)
        for name in SERVERS_OWN:
            item["metadata"].pop(name, None)
    return sorted(kept, key=lambda item: item["kind"] != "Namespace")


def take_apart(host: Host) -> None:
    """Leave files only."""
    host.run(["sh", "-uc", EMPTIED])
    host.reboot()


def start(lab: Lab) -> None:
    """Start what is there, in the best order we know (docs/adr/0043)."""
    plane, *workers = lab.hosts
    plane.run(["systemctl", "start", "kubelet"])
    until(lab, "apply", "--server-side", "--validate=false", "-f", OBJECTS)
    with ThreadPoolExecutor(8) as pool:
        started = [pool.submit(host.run, ["systemctl", "start", "kubelet"]) for host in workers]
        until(lab, "get", "--raw", "/readyz/poststarthook/rbac/bootstrap-roles")
        for manifest in LATER:
            plane.run(["cp", f"/root/{manifest.rpartition('/')[2]}", manifest])
        for one in started:
            one.result()


def until(lab: Lab, *words: str) -> None:
    """Run kubectl as the user that needs no RBAC, again and again until it succeeds."""
    argv = ["kubectl", f"--kubeconfig={paths.SUPER_ADMIN_CONF}", *words]
    while lab.host("cp1").run(argv, check=False).returncode != 0:
        time.sleep(0.05)
