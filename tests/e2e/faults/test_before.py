"""Hosts that were somebody's before: what is there stays, down to the byte, and what Kubernetes makes beside it goes.

The tests follow one another in this order, on the same two hosts.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.spec.paths import BEFORE, GENERATIONS, KUBELET, KUBELET_PLUGINS, LEDGER, PKI
from kubeforge.spec.runtime import RUNTIME_DIRECTORIES
from tests.e2e.conftest import documents
from tests.e2e.test_plan_is_true import of
from tests.e2e.test_reset import difference

pytestmark = pytest.mark.lab

NAMES = ("cp1", "w1")
SNAPSHOT = (Path(__file__).parents[1] / "snapshot.sh").read_text()
LANDS = " ".join(one.path for one in RUNTIME_DIRECTORIES if not one.path.startswith(("/run/", "/lib/")))
CONTENTS = f"""
for land in {LANDS} /opt/cni /etc/containerd /usr/local/bin; do
    [ -e "$land" ] || continue
    find "$land" -xdev -printf 'mine %p %y %m %U:%G %l\\n'
    find "$land" -xdev -type f -exec sha256sum {{}} + | sed 's/^/mine /'
done
"""
FLEX = f"{KUBELET_PLUGINS}/kubelet-plugins/volume/exec/mine~driver"
PUT = rf"""
umask 022
install -d -m 0750 -o 33 -g 33 /etc/kubernetes
mkdir -p /etc/kubernetes/pki/mine /etc/cni/net.d {FLEX} {KUBELET}/plugins/mine /var/lib/etcd/default/member \
    /var/lib/containerd/mine /opt/cni/bin /etc/containerd '/etc/kubernetes/my own'
echo mine | tee /etc/kubernetes/mine.yaml '/etc/kubernetes/my own/a b' /etc/kubernetes/pki/mine/server.key \
    /etc/cni/net.d/mine.disabled /opt/cni/bin/mine /opt/cni/bin/bridge /var/lib/etcd/default/member/wal \
    /var/lib/containerd/mine/x /usr/local/bin/kubectl >/etc/containerd/config.toml
printf '{{}}' >{KUBELET}/config.json
chmod 0600 {KUBELET}/config.json /etc/kubernetes/pki/mine/server.key
chmod 0755 /var/lib/etcd /opt/cni/bin/* /usr/local/bin/kubectl
chown 33:33 /etc/kubernetes/mine.yaml /etc/containerd/config.toml /opt/cni/bin/bridge
printf '#!/bin/sh\necho %s\n' \''{{"status":"Success","capabilities":{{"attach":false}}}}'\' >{FLEX}/driver
chmod 0755 {FLEX}/driver
ln -s mine.yaml /etc/kubernetes/link.yaml
mount -t tmpfs mine {KUBELET}/plugins/mine
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's own: ca.crt, ca.key."""
    folder = tmp_path_factory.mktemp("authority")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=our house", "-days", "3650"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign"]
    subprocess.run(
        [*argv, *usage, "-keyout", folder / "ca.key", "-out", folder / "ca.crt"], check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def owned(forge: Any, authority: Path) -> Iterator[dict[str, list[str]]]:
    """What the hosts are made of when somebody has used them, and kubeforge has not been there."""
    for name in NAMES:
        forge.sh(name, PUT)
    for file, mode in (("ca.crt", "0640"), ("ca.key", "0400")):
        text = (authority / file).read_text()
        forge.sh("cp1", f"cat >{PKI}/{file} <<'END'\n{text}END\nchown 33:33 {PKI}/{file}; chmod {mode} {PKI}/{file}")
    yield snapshots(forge)
    for name in NAMES:
        forge.sh(name, f"! mountpoint -q {KUBELET}/plugins/mine || umount {KUBELET}/plugins/mine")


def snapshots(forge: Any) -> dict[str, list[str]]:
    return {name: sorted(set(forge.sh(name, SNAPSHOT + CONTENTS).splitlines())) for name in NAMES}


def shown_and_done(forge: Any) -> tuple[dict[str, dict[str, str]], str]:
    """Reset; return of every host what the plan showed (title -> why), and what was said; it did exactly that."""
    said = forge.run("reset", "--yes", "-o", "json").check(0)
    plan, result = documents(said.out)
    for name in NAMES:
        planned = [{**change, "host": step["host"]} for step in plan["steps"] for change in step["changes"]]
        assert of(name, result["done"]) == of(name, planned)
    whys = {
        name: {
            change["title"]: change["why"]
            for step in plan["steps"]
            if step["host"] == name
            for change in step["changes"]
        }
        for name in NAMES
    }
    return whys, said.err


def test_an_authority_that_was_there_becomes_the_cluster_s(forge: Any, authority: Path, owned: Any) -> None:
    plan = json.loads(forge.run("plan", "-o", "json").check(0).out)
    (noted, *_) = [step["changes"][0] for step in plan["steps"] if step["host"] == "cp1"]
    assert noted["title"] == f"listing {BEFORE}"
    assert "/etc/kubernetes, /etc/cni, /usr/libexec/kubernetes, /var/lib/kubelet" in noted["why"]
    forge.good()
    assert forge.sh("cp1", f"cat {PKI}/ca.crt") == (authority / "ca.crt").read_text()
    assert forge.sh("cp1", f"openssl verify -CAfile {PKI}/ca.crt {PKI}/apiserver.crt").endswith("OK\n")
    assert forge.sh("w1", f"cat {PKI}/ca.crt") == (authority / "ca.crt").read_text()


def test_reset_leaves_what_was_there_and_nothing_else(forge: Any, authority: Path, owned: dict[str, list[str]]) -> None:
    forge.sh("w1", "echo late >/etc/kubernetes/late.yaml; mkdir /var/lib/etcd/late; echo x >/var/lib/etcd/late/x")
    shown, _ = shown_and_done(forge)
    assert shown["cp1"]["clear /etc/kubernetes"] == (
        "all but what was there before: link.yaml, mine.yaml, my own/a b, pki/ca.crt, pki/ca.key, pki/mine/server.key"
    )
    assert shown["w1"]["clear /etc/kubernetes"].endswith("with it goes what kubeforge does not know: late.yaml")
    assert shown["cp1"]["clear /var/lib/etcd"] == "all but what was there before: default"
    assert shown["cp1"]["clear /opt/containerd"] == "was not there before"
    after = snapshots(forge)
    found = {name: difference(owned[name], after[name]) for name in NAMES}
    assert not any(found.values()), json.dumps(found, indent=1)
    for file in ("ca.crt", "ca.key"):
        assert forge.sh("cp1", f"cat {PKI}/{file}") == (authority / file).read_text()
    assert forge.sh("w1", f"findmnt -n -o SOURCE {KUBELET}/plugins/mine") == "mine\n"
    forge.run("reset", "--yes").check(0, "No changes.")


def test_without_a_list_nothing_is_lost(forge: Any, authority: Path, owned: dict[str, list[str]]) -> None:
    """A cluster of a kubeforge that made no list: what may be somebody's is left, and named."""
    for name in NAMES:
        forge.sh(name, f"mkdir -p -m 0700 {GENERATIONS}; : >{LEDGER}")  # so it passes for a host with a cluster
    forge.good()
    for name in NAMES:
        forge.sh(name, f"! ls {BEFORE} 2>/dev/null; echo late >/etc/kubernetes/late.yaml")
    forge.sh("w1", STASH)
    shown, said = shown_and_done(forge)
    assert not [title for title in shown["cp1"] if title.startswith("clear ")]
    words = " ".join(said.split())
    assert "/etc/kubernetes (kubelet.conf, late.yaml, link.yaml, mine.yaml, my own/a b, pki/mine/server.key)" in words
    assert "/var/lib/kubelet, /var/lib/etcd, /var/lib/containerd" in words
    after = snapshots(forge)
    for name in NAMES:
        mine = {line for line in owned[name] if line.startswith(("mine ", "path /etc", "content /etc", "mount "))}
        # containerd closes its own directory to others, and nobody knows that it was open
        assert mine - set(after[name]) == {"mine /var/lib/containerd d 755 0:0 "}
        assert not any("kubelet.service" in line or "apiserver.crt" in line for line in after[name])
    assert forge.sh("cp1", f"cat {PKI}/ca.key") == (authority / "ca.key").read_text()


# a runtime of somebody's own, as a distribution's package brings it, with an image and a container that runs;
# without --local the stream from containerd may end before its last part is written (seen twice, exit code 0)
STASH = """
mkdir -p /srv/mine
for name in containerd containerd-shim-runc-v2 ctr runc; do cp -L "/usr/local/bin/$name" /srv/mine/; done
image=$(ctr -n k8s.io images ls -q | grep pause: | head -n 1)
ctr -n k8s.io images export --local /srv/mine/pause.tar "$image"
echo "$image" >/srv/mine/image
"""
RUN = """
cat >/lib/systemd/system/containerd.service <<'END'
[Service]
Environment=PATH=/srv/mine:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/srv/mine/containerd
Type=notify
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable -q --now containerd
PATH=/srv/mine:$PATH
ctr -n mine images import --local /srv/mine/pause.tar >/dev/null
ctr -n mine images tag "$(cat /srv/mine/image)" mine:twice >/dev/null
ctr -n mine images rm --sync mine:twice >/dev/null  # collects what the import has left over, as any removal does
ctr -n mine run -d --null-io "$(cat /srv/mine/image)" keeper
"""
LIVES = """
PATH=/srv/mine:$PATH
ctr namespaces ls -q
ctr -n mine images ls -q
ctr -n mine tasks ls | grep keeper
find /var/lib/containerd/io.containerd.content.v1.content/blobs -type f | sort
ctr -n mine snapshots ls
systemctl show -p FragmentPath -p ActiveState -p UnitFileState containerd
"""
END = """
PATH=/srv/mine:$PATH
ctr -n mine tasks kill -s KILL keeper; ctr -n mine tasks rm -f keeper || :
systemctl disable -q --now containerd
rm -r /srv/mine /lib/systemd/system/containerd.service; systemctl daemon-reload
"""


@pytest.fixture
def runtime(forge: Any, owned: Any) -> Iterator[str]:
    """A containerd of somebody's on w1, on hosts that nobody has used otherwise; what it holds."""
    for name in NAMES:
        forge.sh(name, f"umount {KUBELET}/plugins/mine; rm -rf {LANDS} /opt/cni /etc/containerd /usr/local/bin/*")
    forge.sh("w1", RUN)
    yield forge.sh("w1", LIVES)
    forge.sh("w1", END)


def test_a_container_of_somebody_s_goes_on_running(forge: Any, runtime: str) -> None:
    forge.good()
    assert "RUNNING" in forge.sh("w1", "ctr -n mine tasks ls"), "the runtime was replaced under it"
    shown, _ = shown_and_done(forge)
    assert shown["w1"]["containers of Kubernetes"].endswith("what others keep in containerd stays")
    assert forge.sh("w1", LIVES) == runtime
