"""A lab per file, whose inventory a test writes line by line, and the wire between this machine and the hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubeforge.lab.record import addresses
from kubeforge.spec.releases import RECOMMENDED
from tests.e2e.ha.conftest import QUICK, Ha, made
from tests.e2e.nodes.wire import Wire, watched

SNAPSHOT = Path(__file__).parents[1] / "snapshot.sh"


@dataclass(frozen=True)
class Fleet(Ha):
    """The command on a lab of which some hosts are written in the inventory.

    Args:
        all_hosts: hosts.yml as the lab wrote it, with every host.
        before: what each host was made of before anything was done.
    """

    all_hosts: dict[str, Any] = field(default_factory=dict)
    before: dict[str, list[str]] = field(default_factory=dict)

    def write(self, *names: str) -> None:
        """Write an inventory of these hosts, in this order, each in the group its role gives it."""
        data = json.loads(json.dumps(self.all_hosts))
        for group in data["all"]["children"].values():
            group["hosts"] = {name: group["hosts"][name] for name in names if name in group["hosts"]}
        data["all"]["children"] = {name: group for name, group in data["all"]["children"].items() if group["hosts"]}
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump(data, sort_keys=False))

    def snapshot(self, name: str) -> list[str]:
        """Return what a host is made of: one sorted line per thing."""
        return sorted(set(self.sh(name, SNAPSHOT.read_text()).splitlines()))

    def nodes(self) -> dict[str, bool]:
        """Return whether each node is Ready."""
        found = {}
        for item in self.get("nodes")["items"]:
            conditions = {one["type"]: one["status"] for one in item["status"]["conditions"]}
            found[item["metadata"]["name"]] = conditions.get("Ready") == "True"
        return found

    def members(self, host: str) -> dict[str, bool]:
        """Return the members of etcd, and whether each votes."""
        return {one["name"]: not one.get("isLearner") for one in self.etcdctl(host, "member", "list")["members"]}

    def changed(self) -> dict[str, set[str]]:
        """Return host -> titles of what the last run had planned."""
        plan = json.loads((self.runs()[-1] / "plan.json").read_text())
        found: dict[str, set[str]] = {}
        for step in plan["steps"]:
            found.setdefault(step["host"], set()).update(change["title"] for change in step["changes"])
        return found

    def whole(self) -> None:
        """Fail unless everything is well and nothing is left to do."""
        self.until_good(90)
        self.run("plan", "--detailed-exitcode", *QUICK).check(0, "No changes.")

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        """Listen to what this machine sends to the hosts."""
        _, own = addresses(self.lab.record.number)
        with watched(self.lab.record.uplink, str(own)) as heard:
            yield heard


@contextmanager
def fleet(name: str, *written: str, spec: dict[str, Any] | None = None, **hosts: int) -> Iterator[Fleet]:
    """Make a lab, write some of its hosts into the inventory, and found a cluster on those."""
    with made(name, kubernetes=RECOMMENDED, **hosts) as ha:
        listed = yaml.safe_load((ha.inventory / "hosts.yml").read_text())
        herd = Fleet(ha.lab, ha.inventory, ha.state, ha.environment, listed)
        file = ha.inventory / "cluster.yml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **(spec or {})}))
        herd.write(*written)
        herd.before.update({host.name: herd.snapshot(host.name) for host in ha.lab.hosts})
        herd.apply().check(0)
        herd.until_good(90)
        yield herd
