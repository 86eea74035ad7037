"""The facts of many hosts, without a playbook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kubeforge.engine.events import Failure
from kubeforge.engine.executors import Executor
from kubeforge.engine.facts import gather
from kubeforge.engine.gather import FactsReader
from kubeforge.engine.model import Facts
from kubeforge.engine.prepared import guarded
from kubeforge.operations.model import Queries
from kubeforge.transport.base import Remote

__all__ = ["Surveyed", "survey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A host's facts, or why there are none."""

    host: str
    facts: Facts | None = None
    failure: Failure | None = None


def survey(
    hosts: Sequence[str], remote_of: Callable[[str], Remote], executor: Executor, reader: FactsReader = gather
) -> list[Surveyed]:
    """Ask hosts what they are, some at once; in the order given.

    Args:
        hosts: names.
        remote_of: connects to one.
        executor: what runs the hosts.
        reader: asks one.
    """

    def one(host: str) -> Surveyed:
        try:
            facts, _ = reader(remote_of(host), Queries(), lambda _what: None)
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return Surveyed(host=host, failure=guarded(error, host=host, step="facts"))
        return Surveyed(host=host, facts=facts)

    found = dict(executor.each(one, hosts))
    return [found[host] for host in hosts]
