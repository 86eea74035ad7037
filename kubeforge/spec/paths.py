"""Every path, port, name and timeout that is the same on all hosts, in one place.

Kubernetes' paths and ports follow kubeadm (docs of 1.34-1.37); ours are below `STATE`.
"""

from __future__ import annotations

from typing import Final

# kubeforge's own, on every host it has changed
STATE: Final = "/var/lib/kubeforge"
GENERATIONS: Final = f"{STATE}/generations"
LEDGER: Final = f"{GENERATIONS}/ledger"
STORE: Final = f"{STATE}/store/sha256"
RUN_NOTE: Final = f"{STATE}/run"
LOCK: Final = f"{STATE}/lock"
OWED: Final = f"{STATE}/owed"  # a stamp for each handler that was notified and has not run yet
BEFORE: Final = f"{STATE}/before"  # a list of what was in Kubernetes' directories before the first change
REGISTRIES: Final = f"{STATE}/registries"  # the files of ours that tell of registries, a line each
LAST_GOOD: Final = f"{STATE}/last-good"  # what a component ran with before a change that is not proved yet
MOVED_FROM: Final = f"{STATE}/moved-from"  # the address a host had, until everything has followed its new one
UPGRADE: Final = f"{STATE}/upgrade"  # where the last upgrade began
UPGRADE_FINISHED: Final = f"{STATE}/upgrade-finished"
UPGRADE_SERVED: Final = f"{STATE}/upgrade-served"  # on control planes: what the API served before it, a line each
CLUSTER_LOCK: Final = "/run/kubeforge.lock"  # gone after a reboot, so reset has nothing to remove

# operating system
HOSTS: Final = "/etc/hosts"
MODULES: Final = "/etc/modules-load.d/kubeforge.conf"
SYSCTLS: Final = "/etc/sysctl.d/90-kubeforge.conf"

# programs
BIN: Final = "/usr/local/bin"
CNI_BIN: Final = "/opt/cni/bin"
CNI: Final = "/etc/cni"
CNI_CONF: Final = f"{CNI}/net.d"
CNI_TEMPLATE: Final = "/etc/containerd/cni-bridge.conflist.template"
FLANNEL_CONFLIST: Final = f"{CNI_CONF}/10-flannel.conflist"
CONTAINERD_CONFLIST: Final = f"{CNI_CONF}/10-containerd-net.conflist"  # containerd's, out of CNI_TEMPLATE
CNI_DATA: Final = "/var/lib/cni"
FLANNEL_RUN: Final = "/run/flannel"
FLANNEL_SUBNET: Final = f"{FLANNEL_RUN}/subnet.env"
POD_ROUTES: Final = "/etc/kubeforge/pod-routes"
POD_ROUTES_UNIT: Final = "/etc/systemd/system/kubeforge-pod-routes.service"
CNI_BOOT_CLEANUP: Final = "/etc/tmpfiles.d/kubeforge-cni.conf"

# Kubernetes
KUBERNETES: Final = "/etc/kubernetes"
PKI: Final = f"{KUBERNETES}/pki"
ETCD_PKI: Final = f"{PKI}/etcd"
MANIFESTS: Final = f"{KUBERNETES}/manifests"
COMPONENT_CONFIG: Final = f"{KUBERNETES}/config"  # files of ours that components read; names tell their content
ADMIN_CONF: Final = f"{KUBERNETES}/admin.conf"
SUPER_ADMIN_CONF: Final = f"{KUBERNETES}/super-admin.conf"
CONTROLLER_MANAGER_CONF: Final = f"{KUBERNETES}/controller-manager.conf"
SCHEDULER_CONF: Final = f"{KUBERNETES}/scheduler.conf"
KUBELET_CONF: Final = f"{KUBERNETES}/kubelet.conf"
BOOTSTRAP_KUBELET_CONF: Final = f"{KUBERNETES}/bootstrap-kubelet.conf"
KUBELET: Final = "/var/lib/kubelet"
KUBELET_CONFIG: Final = f"{KUBELET}/config.yaml"
KUBELET_INSTANCE_CONFIG: Final = f"{KUBELET}/instance-config.yaml"
KUBELET_FLAGS: Final = f"{KUBELET}/kubeadm-flags.env"
KUBELET_LOGINS: Final = f"{KUBELET}/config.json"  # docker's format; read again every five minutes
KUBELET_PKI: Final = f"{KUBELET}/pki"
KUBELET_CLIENT_CURRENT: Final = f"{KUBELET_PKI}/kubelet-client-current.pem"
KUBELET_SERVING_CURRENT: Final = f"{KUBELET_PKI}/kubelet-server-current.pem"
KUBELET_UNIT: Final = "/etc/systemd/system/kubelet.service"
KUBELET_DROP_IN: Final = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
KUBELET_PLUGINS: Final = "/usr/libexec/kubernetes"
POD_LOGS: Final = "/var/log/pods"
CONTAINER_LOGS: Final = "/var/log/containers"
# where people's own drop-ins of a unit lie: `systemctl edit`, `systemctl set-property`, each with and without --runtime
DROP_IN_FOLDERS: Final = (
    "/etc/systemd/system",
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/run/systemd/system.control",
)
ETCD_DATA: Final = "/var/lib/etcd"
ETCD_MEMBER: Final = f"{ETCD_DATA}/member"
# The one sign of data: an etcd that refuses to start without any leaves the folder and an empty database behind.
ETCD_WAL: Final = f"{ETCD_MEMBER}/wal"
ETCD_DB: Final = f"{ETCD_MEMBER}/snap/db"
ETCD_UNIT: Final = "/etc/systemd/system/etcd.service"
ETCD_USER: Final = "etcd"
ETCD_FOUNDING: Final = f"{STATE}/etcd-founding.db"
SNAPSHOTS: Final = f"{STATE}/snapshots"
SNAPSHOT_DB: Final = "snapshot.db"  # names inside of a snapshot's own folder
SNAPSHOT_PKI: Final = "pki.tar"
SNAPSHOT_ABOUT: Final = "snapshot.json"
ETCD_RESTORE: Final = f"{STATE}/etcd-restore"  # there from the first to the last step of a restore
ETCD_LAST_RESTORE: Final = f"{STATE}/etcd-last-restore"  # what it came to
ETCD_RESTORED: Final = f"{ETCD_MEMBER}/restored"  # the restore that made a member's data
ETCD_SNAPSHOT: Final = "/etc/kubeforge/etcd-snapshot"
ETCD_SNAPSHOT_UNIT: Final = "/etc/systemd/system/kubeforge-etcd-snapshot.service"
ETCD_SNAPSHOT_TIMER: Final = "/etc/systemd/system/kubeforge-etcd-snapshot.timer"

# the API's balancer, under names of our own: a haproxy or keepalived of the host's owner is not touched
OWN_CONFIG: Final = "/etc/kubeforge"
HAPROXY: Final = "/usr/sbin/haproxy"
HAPROXY_CONFIG: Final = f"{OWN_CONFIG}/haproxy.cfg"
HAPROXY_UNIT: Final = "/etc/systemd/system/kubeforge-haproxy.service"
KEEPALIVED: Final = "/usr/sbin/keepalived"
KEEPALIVED_CONFIG: Final = f"{OWN_CONFIG}/keepalived.conf"
KEEPALIVED_UNIT: Final = "/etc/systemd/system/kubeforge-keepalived.service"

# container runtime
CONTAINERD_CONFIG: Final = "/etc/containerd/config.toml"
CONTAINERD_CERTS: Final = "/etc/containerd/certs.d"
CONTAINERD_RUN: Final = "/run/containerd"
CONTAINERD_SOCKET: Final = f"{CONTAINERD_RUN}/containerd.sock"
CONTAINERD_DATA: Final = "/var/lib/containerd"
CONTAINERD_STORE: Final = f"{CONTAINERD_DATA}/io.containerd.metadata.v1.bolt"  # there wherever a containerd has run
CONTAINERD_PROGRAMS: Final = "/opt/containerd"
NRI_RUN: Final = "/run/nri"
CONTAINERD_UNIT: Final = "/etc/systemd/system/containerd.service"
# a drop-in for every scope whose name begins so: each container's
CONTAINER_SCOPES: Final = "/etc/systemd/system/cri-containerd-.scope.d/10-kubeforge.conf"
CRI_ENDPOINT: Final = f"unix://{CONTAINERD_SOCKET}"
CONTAINERD_NAMESPACE: Final = "k8s.io"
COMM: Final = 15  # characters of a process's name that the kernel keeps (proc_pid_comm(5))

# addresses and ports
LOOPBACK: Final = "127.0.0.1"
API_PORT: Final = 6443
BALANCER_PORT: Final = 8443  # beside an API server, which listens on every address
ETCD_CLIENT_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
UNUSED_PORT: Final = 1  # tcpmux (RFC 1078): nobody listens there any more
ETCD_METRICS_PORT: Final = 2381
KUBELET_PORT: Final = 10250
KUBELET_HEALTH_PORT: Final = 10248
KUBE_PROXY_HEALTH_PORT: Final = 10256
CONTROLLER_MANAGER_PORT: Final = 10257
SCHEDULER_PORT: Final = 10259
FLANNEL_VXLAN_PORT: Final = 8472
NODE_PORTS: Final = (30000, 32767)

# deadlines, seconds: how long a condition may take to come true before the run ends with the evidence. Ten times and
# more of what a slow machine needs; nothing waits longer than the condition does.
API_DEADLINE: Final = 180.0
APPLY_DEADLINE: Final = 60.0
NODE_DEADLINE: Final = 180.0
POD_DEADLINE: Final = 30.0  # for each node, where a DaemonSet replaces its pods one after the other
ETCD_DEADLINE: Final = 120.0
ETCD_TURN_DEADLINE: Final = 30.0
ETCD_COUNT_DEADLINE: Final = 30.0  # an election takes seconds; a member that is gone for longer is not waited for
SNAPSHOT_DEADLINE: Final = 600.0  # etcd's largest recommended database, 8 GiB, on a slow disk
CHECK_DEADLINE: Final = 120.0
ENDPOINT_DEADLINE: Final = 60.0  # the API serves already: a balancer only has to notice
BUSY_DEADLINE: Final = 180.0
HOST_AWAY: Final = 45.0
"""Longer than a reboot usually takes; a host that is away for longer is not waited for."""
COMPONENT_DEADLINE: Final = 180.0
KUBELET_FOLLOWS: Final = 30.0  # it begins a new manifest within 1 s, or 15 where it was still ending the old pod
GATE_DEADLINE: Final = 60.0
RELOAD_DEADLINE: Final = 150.0  # the API server looks at its certificates at the latest after a minute
DRAIN_DEADLINE: Final = 600.0  # twenty times what a pod takes to end unless it says otherwise
REBOOT_DEADLINE: Final = 600.0  # a server's firmware takes minutes
APT_DEADLINE: Final = 600.0  # somebody else installs packages there
