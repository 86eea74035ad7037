"""THE table: every kind of problem that `status` names, how bad it is, and what mends it. Data.

A remedy is a command wherever there is one; `{where}` is the host, node or addon, other names are given by `judge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.status.model import Problem, Severity

__all__ = ["TABLE", "Row", "problem"]

_CRITICAL, _ERROR, _WARNING, _NOTE = Severity.CRITICAL, Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of problem.

    Args:
        severity: how bad.
        remedy: what mends it.
    """

    severity: Severity
    remedy: str


_LIMITED: Final = "kubeforge apply --limit {where}"
_FOREIGN: Final = (
    "take it into hosts.yml to have kubeforge look after it; to let it go: kubeforge node remove {where} --dead"
)
_LOGS: Final = "; what it said: kubeforge ssh {where} {log}"
_ETCDCTL: Final = (
    "ETCDCTL_CACERT=/etc/kubernetes/pki/etcd/ca.crt ETCDCTL_CERT=/etc/kubernetes/pki/etcd/healthcheck-client.crt"
    " ETCDCTL_KEY=/etc/kubernetes/pki/etcd/healthcheck-client.key"
)
_ON_MEMBER: Final = f"as root on {{member}}: export {_ETCDCTL}; "

TABLE: Final[Mapping[str, Row]] = {
    # the whole cluster
    "control-plane-unreachable": Row(
        _CRITICAL, "see that {hosts} are up and can be entered: kubeforge ssh {first} true"
    ),
    "api-down": Row(_CRITICAL, "kubeforge apply" + _LOGS.replace("{where}", "{first}")),
    "api-refuses": Row(_CRITICAL, "kubeforge apply writes an administrator's kubeconfig that is no longer right anew"),
    "api-down-with-etcd": Row(_CRITICAL, "mend etcd first, as said here; the API servers come back by themselves"),
    "no-kubeconfig": Row(_CRITICAL, "kubeforge apply writes /etc/kubernetes/admin.conf again, or founds the cluster"),
    "etcd-quorum-lost": Row(
        _CRITICAL,
        "bring {missing} back: power and network, then kubeforge apply; only where they are gone for good:"
        " kubeforge etcd recover --from {survivor}, then kubeforge apply",
    ),
    "endpoint-silent": Row(_ERROR, "{mend}"),
    # hosts and nodes
    "host-unreachable": Row(
        _ERROR,
        "see that it is up and can be entered: kubeforge ssh {where} true; gone for good:"
        " kubeforge node remove {where} --dead",
    ),
    "balancer-down": Row(_ERROR, _LIMITED + "; why it stopped: kubeforge ssh {where} journalctl -u '{unit}' -n 30"),
    "kubelet-down": Row(_ERROR, _LIMITED + "; why it stopped: kubeforge ssh {where} journalctl -u kubelet -n 30"),
    "runtime-down": Row(_ERROR, _LIMITED + "; why it stopped: kubeforge ssh {where} journalctl -u containerd -n 30"),
    "node-missing": Row(_ERROR, _LIMITED),
    "node-not-ready": Row(
        _ERROR, _LIMITED + "; what the kubelet says: kubeforge ssh {where} journalctl -u kubelet -n 30"
    ),
    "node-pressure": Row(_WARNING, "kubeforge kubectl -- describe node {where}; then give it room"),
    "node-cordoned": Row(_WARNING, "kubeforge uncordon {where}"),
    "node-foreign": Row(_NOTE, _FOREIGN),
    "serving-certificate-waits": Row(_ERROR, "{mend}"),
    # control plane
    "component-missing": Row(_ERROR, _LIMITED),
    "component-down": Row(_ERROR, _LIMITED + _LOGS),
    "component-leaderless": Row(_ERROR, "kubeforge apply" + _LOGS.replace("{where}", "{first}")),
    # etcd
    "etcd-member-down": Row(_ERROR, _LIMITED + _LOGS),
    "etcd-data-lost": Row(_ERROR, _LIMITED + " takes it in anew, and the others fill it"),
    "etcd-member-missing": Row(_ERROR, _LIMITED),
    "etcd-member-unstarted": Row(_WARNING, "start it, or strike it off: " + _ON_MEMBER + "etcdctl member remove {id}"),
    "etcd-member-foreign": Row(_NOTE, _FOREIGN),
    "etcd-nospace": Row(
        _CRITICAL,
        _ON_MEMBER + "etcdctl compact $(etcdctl endpoint status -w json | grep -o '\"revision\":[0-9]*' | cut -d: -f2);"
        " etcdctl defrag --cluster; etcdctl alarm disarm; to let it grow: etcd.extra_args.quota-backend-bytes in"
        " cluster.yml, kubeforge apply",
    ),
    "etcd-corrupt": Row(
        _ERROR,
        "its data differ from the others': have it filled by them anew. Stop etcd on {where}, move /var/lib/etcd/member"
        " away, kubeforge apply; then " + _ON_MEMBER + "etcdctl alarm disarm",
    ),
    "etcd-learner": Row(_WARNING, "kubeforge apply promotes it once it has caught up"),
    "etcd-lags": Row(
        _WARNING, "look at its disk and network: kubeforge ssh {where} 'grep . /proc/pressure/io'; it may catch up"
    ),
    "etcd-nearly-full": Row(
        _WARNING, _ON_MEMBER + "etcdctl defrag --cluster; to let it grow: etcd.extra_args.quota-backend-bytes"
    ),
    # certificates
    "certificate-expired": Row(_ERROR, "kubeforge certs renew"),
    "certificate-expires": Row(_WARNING, "kubeforge certs renew --hosts {where}"),
    "certificate-unreadable": Row(_ERROR, "move {path} away on {where}, then " + _LIMITED),
    "kubelet-certificate-expired": Row(_ERROR, "kubeforge certs renew kubelet-client kubelet-server --hosts {where}"),
    "kubelet-certificate-not-rotated": Row(
        _WARNING, "its request may wait: kubeforge kubectl -- get csr; " + _LIMITED + " approves it"
    ),
    "authority-expired": Row(
        _CRITICAL,
        "no certificate of it is valid any more; kubeforge cannot make a new authority on a living cluster yet",
    ),
    "authority-expires": Row(
        _WARNING, "plan a new cluster beside it: kubeforge cannot make a new authority on a living cluster yet"
    ),
    "authority-foreign": Row(
        _ERROR,
        "kubeforge reset --limit {where} if it may give up that other cluster; or take it out of hosts.yml",
    ),
    "certificate-key-expired": Row(
        _WARNING,
        "kubeforge token join-command --control-plane makes key and token anew; kubeforge token delete {token} ends"
        " the old one",
    ),
    # versions, addons, runs
    "version-skew": Row(_ERROR, _LIMITED),
    "version-differs": Row(_WARNING, "kubeforge plan shows what cluster.yml changes"),
    "addon-missing": Row(_ERROR, "kubeforge apply"),
    "dns-silent": Row(
        _ERROR,
        "kubeforge kubectl -- get pods -A -o wide --field-selector spec.nodeName={node} shows what runs there (after a"
        " reboot of any node, give it a minute); what DNS says: kubeforge kubectl -- -n kube-system logs"
        " -l k8s-app=kube-dns --tail 20",
    ),
    "addon-not-ready": Row(_ERROR, "kubeforge kubectl -- -n {namespace} describe {workload}"),
    "run-active": Row(_NOTE, "wait until it has ended"),
    "run-interrupted": Row(_WARNING, "kubeforge apply"),
}


def problem(kind: str, where: str, message: str, **names: str) -> Problem:
    """Return a problem of the table, with its remedy filled in.

    Args:
        kind: of the table.
        where: what it is about.
        message: one sentence.
        **names: what the remedy names beside `where`.
    """
    row = TABLE[kind]
    remedy = row.remedy.format(where=where, **names)
    return Problem(kind=kind, severity=row.severity, where=where, message=message, remedy=remedy)
