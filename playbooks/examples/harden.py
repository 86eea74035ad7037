"""Tasks of harden.yml: what needs a condition is Python, beside the playbook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.api import Context, Operation, task
from kubeforge.tasks.generic.kernel import sysctl

_EVERYWHERE: Final = {
    "kernel.dmesg_restrict": 1,
    "kernel.kptr_restrict": 2,
    "net.ipv4.conf.all.accept_redirects": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.tcp_syncookies": 1,
}


@task("harden.sysctls")
def sysctls(context: Context) -> Iterator[Operation]:
    """Kernel parameters; a host that routes keeps its redirects."""
    routes = "routers" in context.host.groups
    values = {name: value for name, value in _EVERYWHERE.items() if not (routes and name.endswith("redirects"))}
    yield from sysctl(context, values=values, name="50-harden")
