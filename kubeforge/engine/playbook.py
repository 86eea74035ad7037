"""What a playbook says, as frozen values. No parsing here (playbook_loader), no hosts, no I/O.

A playbook is a list of plays; a play says which tasks run on which hosts, how many hosts at a time, and how many may
fail. It has no conditions, no loops and no expressions beyond templated arguments: those are Python, in tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from kubeforge.errors import InputError, Problem

__all__ = ["ALWAYS", "NEVER", "SERIAL", "Order", "Play", "Playbook", "Pool", "Portion", "TaskCall", "suggestion"]


Order = Literal["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"]
"""Ansible's words."""

ALWAYS = "always"
"""A play with this tag runs whatever tags are asked for."""

NEVER = "never"
"""What has this tag runs only where one of its other tags, or this one, is asked for: Ansible's word."""

SERIAL = "serial"
"""A play with this tag takes the sizes of its batches from the command line, where they are given there."""


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return ` (did you mean X?)` for the nearest of `known`, or nothing."""
    near = get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


@dataclass(frozen=True, slots=True)
class Portion:
    """A number of hosts, or a share of them.

    Args:
        amount: hosts, or percent.
        percent: whether `amount` is percent.
    """

    amount: int
    percent: bool = False

    def size(self, total: int) -> int:
        """Return how many of `total` hosts make a batch: rounded down, at least one."""
        return max(1, self.limit(total))

    def limit(self, total: int) -> int:
        """Return how many of `total` hosts may fail: rounded down, possibly none."""
        return math.floor(total * self.amount / 100) if self.percent else self.amount

    @staticmethod
    def of(text: str) -> Portion:
        """Return what `3` or `25%` says.

        Raises:
            ValueError: it is neither.
        """
        return Portion(int(text.removesuffix("%")), percent=text.endswith("%"))

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percent else str(self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Hosts that a play with `by_group` takes together, in batches of their own.

    Args:
        name: of the group.
        hosts: of the group.
        serial: sizes of its batches; empty: the play's.
        most: hosts of it that are worked on at once, whatever `serial` says; None: as many as that.
    """

    name: str
    hosts: frozenset[str]
    serial: tuple[Portion, ...] = ()
    most: Portion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCall:
    """A task and its arguments, as a play lists it.

    Args:
        name: registered name: `os.prepare`.
        arguments: passed by keyword; strings with `{{ … }}` are filled for each host.
        line: 1-based, in the file that lists it.
        file: which that is; None: the playbook's own.
        label: what a handler is notified by.
        own_tags: words that select it beside its name and subject.
        notify: labels of the play's handlers that run when it changed something.
        delegate_to: another host that it is done on, `localhost` for this machine; may be a template.
        run_once: only the first host of the play does it.
        vars: over those of the play.
        become: whether it is done as `become_user`; False: as who logs in; None: nothing is said of it.
        become_user: who does it, where `become`; may be a template; empty: root, or whom the inventory names.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None
    file: str | None = None
    label: str = ""
    own_tags: frozenset[str] = frozenset()
    notify: tuple[str, ...] = ()
    delegate_to: str | None = None
    run_once: bool = False
    vars: Mapping[str, Any] = field(default_factory=dict)
    become: bool | None = None
    become_user: str = ""

    @property
    def tags(self) -> frozenset[str]:
        """Words that select this call: its own, its name and its subject, `os.prepare` and `os`."""
        return self.own_tags | {self.name, self.name.partition(".")[0]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Tasks over hosts. All hosts end a play before the next one begins.

    Args:
        name: unique in its playbook; what plan and console show.
        hosts: pattern over the inventory.
        tasks: in order.
        serial: sizes of the batches of hosts; the last one repeats; empty: all at once.
        by_group: whether the run's pools of hosts come one after the other, each in its own batches.
        run_once: only the first host of the pattern takes part.
        tags: words that select the play.
        max_failures: hosts that may fail before the run stops; 0: the first failure stops it.
        each_batch: whether `max_failures` is of each batch by itself, and none may fail wholly: Ansible's meaning of
            `max_fail_percentage` where there is `serial` (tried with ansible-core).
        ignore_unreachable: whether hosts that cannot be reached when the run is planned are left out, and do not count
            as failed; who is lost later does.
        order: in which its hosts take their turns.
        handlers: run after the tasks, on hosts where a task that notifies them changed something.
        vars: variables for tasks and templated arguments.
        facts: whether the hosts' facts are gathered beforehand; they are still had on demand when not.
        bulk: at most so many hosts at a time whatever `serial` says; None: as many as there are.
        line: 1-based, in the playbook's file.
        hosts_line: where its `hosts` stand, likewise.
    """

    name: str
    hosts: str
    tasks: tuple[TaskCall, ...]
    serial: tuple[Portion, ...] = ()
    by_group: bool = False
    run_once: bool = False
    tags: frozenset[str] = frozenset()
    max_failures: Portion = Portion(0)
    each_batch: bool = False
    ignore_unreachable: bool = False
    vars: Mapping[str, Any] = field(default_factory=dict)
    facts: bool = True
    order: Order = "inventory"
    handlers: tuple[TaskCall, ...] = ()
    bulk: Portion | None = None
    line: int | None = None
    hosts_line: int | None = None

    @property
    def has_once(self) -> bool:
        """Whether anything in it is done by one host only."""
        return self.run_once or any(call.run_once for call in (*self.tasks, *self.handlers))

    def of(self, *, first: bool) -> Play:
        """Return the play of one of its hosts.

        Args:
            first: whether it is the one that does what is done once.
        """
        if first or not self.has_once:
            return self
        tasks = tuple(call for call in self.tasks if not call.run_once)
        return replace(self, tasks=tasks, handlers=tuple(call for call in self.handlers if not call.run_once))

    def batches(self, hosts: Sequence[str], *, everyone: Sequence[str], pools: Sequence[Pool] = ()) -> list[_Batch]:
        """Cut `hosts` into the play's serial batches.

        Args:
            hosts: those with something to do, in order.
            everyone: all hosts of the play: percentages are of these, or of those of a pool among them.
            pools: in order; a host of several belongs to the first. Who is in none comes last.
        """
        cut: list[_Batch] = []
        left, total = list(hosts), list(everyone)
        for pool in pools if self.by_group else ():
            mine = [host for host in left if host in pool.hosts]
            size = sum(host in pool.hosts for host in total)
            cut += _cut(mine, size, pool.serial or self.serial, (pool.most, self.bulk))
            left = [host for host in left if host not in pool.hosts]
            total = [host for host in total if host not in pool.hosts]
        return [*cut, *_cut(left, len(total), self.serial, (self.bulk,))]


_Batch = tuple[str, ...]


def _cut(hosts: Sequence[str], total: int, serial: Sequence[Portion], most: Sequence[Portion | None]) -> list[_Batch]:
    """Cut hosts into batches of these sizes, none bigger than any of `most`; percentages are of `total`."""
    limits = [portion.size(total) for portion in most if portion is not None]
    wanted = [portion.size(total) for portion in serial] or [max(1, len(hosts))]
    sizes = [min([size, *limits]) for size in wanted]
    cut: list[_Batch] = []
    begin = 0
    while begin < len(hosts):
        size = sizes[min(len(cut), len(sizes) - 1)]
        cut.append(tuple(hosts[begin : begin + size]))
        begin += size
    return cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """Plays in order.

    Args:
        name: file name without suffix.
        plays: in order.
        file: path as the user gave it.
        shipped: whether it is one of kubeforge's own, which are for clusters of any shape: its plays may be for nobody.
    """

    name: str
    plays: tuple[Play, ...]
    file: str | None = None
    shipped: bool = False

    @property
    def place(self) -> str:
        """Absolute path of a playbook of one's own, as others may have its name; empty: it has none, or is shipped."""
        return str(Path(self.file).absolute()) if self.file and not self.shipped else ""

    @property
    def tags(self) -> frozenset[str]:
        """Every word that selects something here."""
        words = {tag for play in self.plays for tag in play.tags}
        return frozenset(words | {tag for play in self.plays for call in play.tasks for tag in call.tags})

    def batched(self, serial: Sequence[Portion]) -> Playbook:
        """Return the playbook with other sizes of batches in the plays that leave them to whoever calls.

        Args:
            serial: the last one repeats; empty: nothing is changed.
        """
        if not serial:
            return self
        plays = (replace(play, serial=tuple(serial)) if SERIAL in play.tags else play for play in self.plays)
        return replace(self, plays=tuple(plays))

    def in_bulks(self, most: Portion | None) -> Playbook:
        """Return the playbook with at most so many hosts at a time in each of its plays."""
        return replace(self, plays=tuple(replace(play, bulk=most) for play in self.plays)) if most else self

    def tagged(self, tags: Sequence[str]) -> Playbook:
        """Return what `tags` select: whole plays by their tags, single tasks by name or subject.

        Args:
            tags: none: everything is selected but what never is unless asked for.

        Raises:
            InputError: a tag selects nothing.
        """
        if not tags and NEVER not in self.tags:
            return self
        known = sorted(self.tags)
        unknown = [tag for tag in tags if tag not in self.tags]
        if unknown:
            raise InputError(
                [
                    Problem(message=f"nothing here has the tag {tag!r}{suggestion(tag, known)}", file=self.file)
                    for tag in unknown
                ],
                remedy=f"tags here: {', '.join(known)}",
            )
        return replace(self, plays=tuple(play for each in self.plays if (play := _selected(each, set(tags))).tasks))


def _selected(play: Play, tags: set[str]) -> Play:
    """Return the play with the calls that `tags` select, perhaps none."""
    return replace(play, tasks=tuple(call for call in play.tasks if _is_selected(play, call, tags)))


def _is_selected(play: Play, call: TaskCall, tags: set[str]) -> bool:
    said = play.tags | call.own_tags
    if NEVER in said:  # not by its name or subject, which nobody wrote there
        return bool(said & (tags | {ALWAYS}))
    return not tags or bool((said | call.tags) & (tags | {ALWAYS}))
