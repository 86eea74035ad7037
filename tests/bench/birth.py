"""A cluster's birth on control planes and two workers: kubeforge, plain kubeadm, kubeadm tuned by hand, and the floor.

All three start from the same state of the same lab, parts on the hosts and images loaded by `apply --tags prepare`, and
make the same cluster: flannel, kube-proxy, CoreDNS, no ingress. The floor, with one control plane, is a cluster that
only has to be started (see `prewritten`): no tool can be quicker on the same machine.
The clock starts with the contender's first command and ends when a pod on every worker has resolved
`kubernetes.default.svc.cluster.local` through the cluster's DNS; with several control planes, when all of them have
joined, too. The probe asks anew without waiting for the last answer, for which nslookup itself would wait 5 s.
Contenders take turns, run by run; ratios are made within one turn, because the machine's speed drifts.

    .venv/bin/python -m tests.bench.birth --turns 3
    .venv/bin/python -m tests.bench.birth --turns 3 --control-planes 3 --output build/bench/birth-ha.json
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from kubeforge.lab import Host, Lab
from kubeforge.spec import paths
from kubeforge.spec.model import KeyAlgorithm
from tests.bench import kubeadm, prewritten

LAB = "bench"
PROBE_DEADLINE = 240.0
KUBECONFIG = "/etc/kubernetes/admin.conf"
PROBE = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: dns-probe, namespace: default}
spec:
  selector: {matchLabels: {app: dns-probe}}
  template:
    metadata: {labels: {app: dns-probe}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: probe
          image: docker.io/library/busybox:stable
          imagePullPolicy: Never
          command: [sh, -c, "ask() { nslookup kubernetes.default.svc.cluster.local && >/seen/dns; };
            until [ -e /seen/dns ]; do ask & sleep 0.25; done; exec sleep 600"]
          volumeMounts: [{name: seen, mountPath: /seen}]
      volumes: [{name: seen, emptyDir: {}}]
"""
SEEN = "var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/seen/dns"


def kubeforge(lab: Lab, *words: str) -> None:
    """Run the command as a user would."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("kubeforge")), *words, "-i", str(lab.inventory)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"kubeforge {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def by_kubeforge(lab: Lab) -> None:
    """The contender that is being measured."""
    kubeforge(lab, "apply", "--yes")


FLOOR = "prewritten"
CONTENDERS: dict[str, Callable[[Lab], None]] = {
    "kubeforge": by_kubeforge,
    "kubeadm": kubeadm.plain,
    "kubeadm tuned": kubeadm.tuned,
    FLOOR: prewritten.start,
}


def until(done: Callable[[], bool], deadline: float) -> None:
    """Poll a condition; a deadline that passes is a failed run, not a figure."""
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the probe saw no DNS answer in time")
        time.sleep(0.1)


def watch(lab: Lab, begin: float) -> float:
    """Put the probe there as soon as the API takes it; return seconds until it has an answer on every worker.

    It looks from outside without starting a program, for whatever it takes is missing to the contender.
    """
    deadline = begin + PROBE_DEADLINE
    plane = lab.host("cp1")
    apply = ["kubectl", f"--kubeconfig={KUBECONFIG}", "apply", "--validate=false", "-f", "-"]
    until(lambda: connects(plane.address), deadline)
    until(lambda: plane.run(apply, stdin=PROBE, check=False).returncode == 0, deadline)
    roots = [root_of(host) for host in lab.hosts if host.role == "worker"]
    until(lambda: all(any(root.glob(SEEN)) for root in roots), deadline)
    return time.monotonic() - begin


def connects(address: str) -> bool:
    """Whether an API server listens there."""
    try:
        socket.create_connection((address, paths.API_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def root_of(host: Host) -> Path:
    """A lab host's file system, seen from here."""
    init = host.init
    if init is None:
        raise SystemExit(f"{host.name} is off")
    return Path(f"/proc/{init.pid}/root")


def respec(lab: Lab, algorithm: str | None) -> None:
    """Leave out the ingress, which only one contender would install (the probe's image has come with it).

    Args:
        lab: its hosts are prepared.
        algorithm: of kubeforge's keys; None: its default.
    """
    file = lab.inventory / "cluster.yml"
    spec = yaml.safe_load(file.read_text())
    del spec["addons"]["ingress"]
    if algorithm:
        spec.setdefault("pki", {})["algorithm"] = algorithm
    file.write_text(yaml.safe_dump(spec))


def processor_seconds() -> float:
    """What all processors together have worked since the machine started; nothing else must run during a bench."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measure(name: str, control_planes: int, algorithm: str | None) -> dict[str, float]:
    """One birth on new hosts, in seconds.

    Until DNS answers on every worker; until the contender's last command ended; until both; and how long the machine's
    processors worked meanwhile.
    """
    with Lab.up(LAB, control_planes=control_planes, workers=2) as lab:
        kubeforge(lab, "apply", "--yes", "--tags", "prepare")
        respec(lab, algorithm)
        kubeadm.write_units(lab)
        if name == FLOOR:
            prewritten.prepare(lab, lambda: by_kubeforge(lab))
        seen: list[float] = []
        begin, worked = time.monotonic(), processor_seconds()
        probe = threading.Thread(target=lambda: seen.append(watch(lab, begin)))
        probe.start()
        CONTENDERS[name](lab)
        ended = time.monotonic() - begin
        probe.join()
        if not seen:
            raise SystemExit("no DNS answer; see above")
        worked = processor_seconds() - worked
        return {"dns": seen[0], "command": ended, "whole": max(seen[0], ended), "processor": worked}


def main() -> None:
    """Measure in turns, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--control-planes", type=int, default=1)
    parser.add_argument("--key-algorithm", choices=list(KeyAlgorithm), help="of kubeforge's certificates")
    parser.add_argument("--only", choices=list(CONTENDERS), action="append")
    parser.add_argument("--output", type=Path, default=Path("build/bench/birth.json"))
    options = parser.parse_args()
    names = options.only or [name for name in CONTENDERS if name != FLOOR or options.control_planes == 1]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(options.turns):
        for name in names:
            figures[name].append(measure(name, options.control_planes, options.key_algorithm))
            print(f"turn {turn + 1} {name:14s} {figures[name][-1]}", flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{'':14s} {'minimum':>8s} {'median':>8s} {'processor':>10s}   of kubeadm, same turn (median)")
    # kubeadm's further control planes join long after DNS answers
    clock = "dns" if options.control_planes == 1 else "whole"
    for name, runs in figures.items():
        seconds = [run[clock] for run in runs]
        ratio = ""
        if "kubeadm" in figures:
            ratios = [run[clock] / other[clock] for run, other in zip(runs, figures["kubeadm"], strict=True)]
            ratio = f"{statistics.median(ratios):.2f}"
        worked = statistics.median(run["processor"] for run in runs)
        print(f"{name:14s} {min(seconds):8.1f} {statistics.median(seconds):8.1f} {worked:10.1f}   {ratio}")


if __name__ == "__main__":
    main()
