"""Every name, number and time limit of the lab, in one place."""

from __future__ import annotations

from typing import Final

DEFAULT_NAME: Final = "lab"
NAME_PATTERN: Final = r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?"
VERSION_PATTERN: Final = r"1\.\d+\.\d+"

# folders
LABS_VARIABLE: Final = "KUBEFORGE_LABS"
LABS_FOLDER: Final = "/var/lib/kubeforge/labs"
MACHINE_FOLDER: Final = "/run/kubeforge"
"""Machine-wide state that lives until the next boot of the machine: the lock of all labs, saved sysctls."""

# addresses: host number n of a role has the address 10.77.N.(first + n)
SUBNET: Final = "10.77.{number}.0/24"
LAB_NUMBERS: Final = range(256)
PREFIX: Final = 24
GATEWAY: Final = 1
"""Last byte of the bridge's address in the management namespace."""
UPLINK: Final = 254
"""Last byte of the machine's own address in the lab's network."""
VIRTUAL: Final = 251
"""Last byte of the address that balancers on hosts of their own share."""
ROLES: Final = {"cp": (10, 20), "etcd": (30, 20), "worker": (50, 200), "balancer": (1, 9)}
"""Role -> (last address byte before its first host, most hosts)."""
PREFIXES: Final = {"cp": "cp", "etcd": "e", "worker": "w", "balancer": "lb"}
"""Role -> what its hosts' names begin with."""

# links and cgroups of lab number N; link names have at most 15 bytes
UPLINK_NAME: Final = "kflab{number}"
BRIDGE_NAME: Final = "kfbr0"
UPLINK_PEER: Final = "uplink"
PORT_NAME: Final = "v-{host}"
CGROUP_NAME: Final = "kflab{number}"
MONITORS: Final = "monitors"
"""Cgroup of a lab's monitors, beside its hosts' ones."""

# what a lab asks of the machine
INOTIFY_INSTANCES: Final = ("fs.inotify.max_user_instances", 8192)
"""All hosts' root processes share the machine's limit; 128 is enough for 5 to 8 Kubernetes nodes."""
NEEDED_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")
"""What kubelets and containerd ask for; without them pods have no limits and kubelets refuse to start."""

# time limits, seconds
BOOT_DEADLINE: Final = 90.0
SHUTDOWN_DEADLINE: Final = 120.0
"""In order: systemd gives a unit that does not stop 90 s (DefaultTimeoutStopSec) before it kills it."""
STOP_DEADLINE: Final = 30.0
POLL: Final = 0.03
BOOT_LOOP: Final = (50, 2.0)
"""A host that reboots this often in a row, each time within so many seconds, is given up."""

CONSOLE_TAIL: Final = 20
"""Lines of a host's console that an error shows."""

# inside a host
REAL_DISK: Final = "/var/lib"
"""Not on the overlay: containerd's snapshotter makes overlays of its own below it."""
DROPPED_CAPABILITIES: Final = {"SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_TIME": 25}
"""Capability -> its number (linux/capability.h): what would reach the whole machine."""
MACHINE_SYSCTLS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "vm/swappiness": "60",
    "vm/max_map_count": "262144",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/pid_max": "4194304",
    "kernel/core_pattern": "core",
    "kernel/core_uses_pid": "1",
    "kernel/sysrq": "0",
    "kernel/printk": "4 4 1 7",
    "kernel/kptr_restrict": "1",
    "fs/inotify/max_user_instances": "8192",
    "fs/inotify/max_user_watches": "524288",
    "fs/file-max": "2466177",
    "fs/protected_hardlinks": "1",
    "fs/protected_symlinks": "1",
    "fs/protected_fifos": "1",
    "fs/protected_regular": "1",
}
"""Kernel parameters without a namespace that a host may want to write; each host gets a file of its own over them."""
BOOT_ID: Final = "kernel/random/boot_id"
DEVICES: Final = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "fuse": (10, 229),
    "net/tun": (10, 200),
}
"""Character devices of a host: name -> (major, minor)."""
