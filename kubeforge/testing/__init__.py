r"""For tests of your own: hosts in memory for tasks and playbooks, lab hosts for everything else. A public interface.

In memory, nothing needs root or a network:

    from kubeforge.testing import MemoryHost, MemorySite

    def test_motd():
        web = MemoryHost("web1")
        MemorySite(web).converge("- play: Greet\n  hosts: all\n  tasks:\n    - site.motd: {text: hello}\n")
        assert web.file("/etc/motd") == b"hello\n"

On real hosts, by the fixtures of `kubeforge.testing.plugin`, which pytest finds by itself: `kubeforge_lab`,
`kubeforge_hosts`, `kubeforge_apply`. See docs/testing.md. They need the extra: `pip install 'kubeforge[testing]'`.
The names below are imported when first used: pytest loads the plugin, and so this package, in every session.
"""

# ruff: noqa: PLC0415 - importing late is the point, see above
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeforge.testing.memory import MemorySite, ordinary_facts
    from kubeforge.transport.memory import RUNNING, MemoryHost

__all__ = ["RUNNING", "MemoryHost", "MemorySite", "ordinary_facts"]


def __getattr__(name: str) -> object:
    if name in {"MemorySite", "ordinary_facts"}:
        from kubeforge.testing import memory as site

        return getattr(site, name)
    if name in {"RUNNING", "MemoryHost"}:
        from kubeforge.transport import memory as host

        return getattr(host, name)
    raise AttributeError(name)
