"""What is on a host, by hash: everything that kubeforge manages there."""

from __future__ import annotations

from collections.abc import Iterable

from tests.e2e.faults.conftest import Forge

# Links with their targets, files with their digests and modes; then states of units, images. Not the store: what
# nothing links to any more goes with a later run.
# The kubelet's own certificates and state are Kubernetes', not ours.
_MANAGED = """
for top in /etc/kubernetes /etc/containerd /etc/cni /etc/systemd/system /etc/kubeforge /etc/hosts /etc/sysctl.d \
           /etc/modules-load.d /usr/local/bin /opt/cni/bin; do
    [ ! -e "$top" ] || find "$top" \\( -type l -printf 'link %p %l\\n' \\) -o \\( -type d -printf 'folder %p %m\\n' \\)
    [ ! -e "$top" ] || find "$top" -type f -printf 'mode %p %m %u %g\\n' -exec sha256sum {} +
done
for file in config.yaml instance-config.yaml kubeadm-flags.env; do
    [ ! -e "/var/lib/kubelet/$file" ] || sha256sum "/var/lib/kubelet/$file"
done
find /var/lib/kubeforge -maxdepth 1 -name 'upgrade*' -printf 'record %f\\n'
[ ! -e /var/lib/kubeforge/last-good ] || find /var/lib/kubeforge/last-good -type f -printf 'aside %p\\n'
for unit in kubelet containerd; do echo "unit $unit $(systemctl is-enabled $unit) $(systemctl is-active $unit)"; done
ctr -n k8s.io images ls | awk 'NR > 1 && $1 !~ /^sha256:/ {print "image", $1, $3}'
"""


def state(forge: Forge, hosts: Iterable[str]) -> dict[str, list[str]]:
    """Return host -> one line for everything there, sorted."""
    return {name: sorted(forge.sh(name, _MANAGED).splitlines()) for name in hosts}


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return host -> lines that only one of both has."""
    found = {name: sorted(set(before[name]) ^ set(after[name])) for name in before}
    return {name: lines for name, lines in found.items() if lines}


def reboot_with_a_broken_api_server(forge: Forge, host: str) -> None:
    """Write a manifest that no API server starts with, as another pod, and end the host at once."""
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    broken = r"s/^\( *\)- kube-apiserver$/&\n\1- --no-such-flag/"
    forge.sh(host, f"sed -i -e '{broken}' -e 's/^  uid: .*/  uid: {'f' * 32}/' {manifest}")
    forge.lab.host(host).kill()
    forge.lab.host(host).start()
