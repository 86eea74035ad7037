"""The command line: which verbs there are, and in which module. No logic here nor in the modules.

Modules are imported when their verb is called, and import the rest of kubeforge inside their functions, so that
`kubeforge --help` and shell completion stay quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from kubeforge import __version__
from kubeforge.cli.boundary import guarded
from kubeforge.cli.lazy import LazyGroup, Verb
from kubeforge.collector import collect_rarely

__all__ = ["VERBS", "main", "root"]

_CLUSTER: Final = "Cluster"
_MAINTENANCE: Final = "Maintenance"
_LOOK: Final = "Look and talk"
_HOSTS: Final = "Any hosts"
_AROUND: Final = "Around it"

VERBS: Final = {
    "validate": Verb("validate", "validate", "Check inventory and cluster.yml; asks no host.", _CLUSTER),
    "plan": Verb("lifecycle", "plan", "Show what apply would do; changes nothing.", _CLUSTER),
    "apply": Verb("lifecycle", "apply", "Make the hosts what the spec says.", _CLUSTER),
    "upgrade": Verb("upgrade", "upgrade", "Another version: what it would meet, there, and back.", _CLUSTER),
    "reset": Verb("lifecycle", "reset", "Take the cluster off its hosts.", _CLUSTER),
    "node": Verb("node", "node", "Hosts come and go: add, remove, replace them; the dead, too.", _CLUSTER),
    "token": Verb("token", "token", "Bootstrap tokens, and the command by which a host joins with kubeadm.", _CLUSTER),
    "etcd": Verb("etcd", "etcd", "The cluster's store: members, snapshots, room, recovery.", _CLUSTER),
    "certs": Verb("certs", "certs", "The cluster's certificates: list, check, renew.", _CLUSTER),
    "cordon": Verb("maintenance", "cordon", "Let no new pods come to nodes; what runs there stays.", _MAINTENANCE),
    "drain": Verb("maintenance", "drain", "Let the pods of nodes go elsewhere, node after node.", _MAINTENANCE),
    "uncordon": Verb("maintenance", "uncordon", "Let new pods come to nodes again.", _MAINTENANCE),
    "patch": Verb(
        "maintenance",
        "patch",
        "Upgrade the packages and the kernel of the hosts, in batches, with reboots where they are needed.",
        _MAINTENANCE,
    ),
    "restart": Verb(
        "maintenance",
        "restart",
        "Restart kubelets or container runtimes, host after host; containers go on.",
        _MAINTENANCE,
    ),
    "status": Verb(
        "status", "status", "Show what the cluster is like now, and for everything that is wrong what mends it.", _LOOK
    ),
    "kubeconfig": Verb("access", "kubeconfig", "Print the administrator's kubeconfig, or merge it into yours.", _LOOK),
    "kubectl": Verb(
        "access", "kubectl", "Run kubectl as administrator, through an SSH tunnel to a control plane.", _LOOK
    ),
    "ssh": Verb("access", "ssh", "Log in to a host, or run a command there, as the inventory's user.", _LOOK),
    "exec": Verb("adhoc", "exec_", "Run a command on hosts and show what it prints, line by line as it comes.", _LOOK),
    "copy": Verb(
        "adhoc", "copy", "Copy a file or a folder of this machine to hosts; what is there already is left.", _HOSTS
    ),
    "fetch": Verb(
        "adhoc",
        "fetch",
        "Copy a file from hosts to this machine: to HOST/PATH below a folder, readable by you alone.",
        _LOOK,
    ),
    "facts": Verb(
        "adhoc",
        "facts",
        "Show what hosts are: distribution, kernel, processors, memory, addresses, and all that tasks know of them.",
        _LOOK,
    ),
    "runs": Verb("records", "runs", "Runs that were recorded: list them, show one, compare two.", _LOOK),
    "report": Verb(
        "records", "report", "Make one HTML page out of a run, to be opened anywhere without a network.", _LOOK
    ),
    "inventory": Verb("inventory", "inventory", "Hosts, groups and variables, as the inventory gives them.", _LOOK),
    "playbook": Verb("playbook", "playbook", "Playbooks of your own: run, check, and their JSON Schema.", _HOSTS),
    "artifacts": Verb("artifacts", "artifacts", "Binaries and images: list, fetch, build, serve.", _AROUND),
    "lab": Verb("lab", "lab", "Hosts on this machine, in namespaces, to try things on.", _AROUND),
    "schema": Verb("about", "schema", "Print the JSON Schema of cluster.yml, for editors.", _AROUND),
    "completion": Verb("about", "completion", "Print the completion script of a shell.", _AROUND),
    "version": Verb("about", "version", "Show versions.", _AROUND),
}


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
    },
    epilog="Begin with: kubeforge lab up, kubeforge plan, kubeforge apply.",
)
@click.version_option(__version__, prog_name="kubeforge")
def root() -> None:
    """Bare Linux hosts to a Kubernetes cluster you can trust, over SSH."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Args:
        arguments: without the program's name; None: the process's own.
    """
    collect_rarely()
    sys.exit(guarded(root, sys.argv[1:] if arguments is None else arguments, "kubeforge"))
