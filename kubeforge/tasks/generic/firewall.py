"""Firewalls: nftables by its own file, firewalld and ufw by their commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from kubeforge.engine.local_files import LocalFile
from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import File, Restart, Setting, Unit
from kubeforge.operations.model import Operation
from kubeforge.operations.notified import followed
from kubeforge.operations.shell import join, quote
from kubeforge.tasks.generic.subjects import argv_of, content_of, family, file_beside, local_content
from kubeforge.tasks.registry import task

__all__ = ["firewalld", "nftables", "ufw", "ufw_enabled"]

_RULES: Final = {"debian": "/etc/nftables.conf", "rhel": "/etc/sysconfig/nftables.conf", "suse": "/etc/nftables.conf"}
_SERVICE: Final = "nftables.service"
_UFW_OTHERWISE: Final = "echo 'ufw calls this rule otherwise, and a playbook must call it as ufw does:'"
_PORT: Final = re.compile(r"\d+(-\d+)?/(tcp|udp|sctp|dccp)")
_RUNS: Final = "firewall-cmd -q --state 2>/dev/null"


@task("firewall.nftables", aka=("nftables",))
def nftables(context: Context, *, rules: str | None = None, src: LocalFile | None = None) -> Iterator[Operation]:
    """The host's nftables rules: checked by nft on the host, then put in place, loaded, and loaded at boot.

    Write them so that they can be loaded twice: begin with `flush ruleset`, or with `destroy table …`.

    Args:
        rules: what nft reads; or `src`.
        src: a file beside the playbook, in its `files/` first.
    """
    if (rules is None) == (src is None):
        raise InputError([Problem(message="firewall.nftables: rules are a text (`rules`) or a file (`src`): give one")])
    content = content_of(rules) if rules is not None else local_content(file_beside(context, str(src)))
    file = File(path=_RULES[family(context)], content=content, mode=0o600, validate=("nft", "--check", "--file", "%s"))
    reload = Restart(name=_SERVICE, how="reload")
    listening = list(followed([file], reload))
    yield listening[0]
    yield Unit(name=_SERVICE, state="running")
    yield listening[1]


@task("firewall.firewalld", aka=("firewalld",))
def firewalld(
    context: Context,
    *,
    port: str | None = None,
    service: str | None = None,
    source: str | None = None,
    rich_rule: str | None = None,
    zone: str = "",
    state: Literal["enabled", "disabled"] = "enabled",
) -> Iterator[Operation]:
    """What a zone of firewalld lets through, now and from now on. firewalld must run.

    Args:
        port: `443/tcp`; exactly one of these four is said.
        service: `https`.
        source: an address or network that belongs to the zone.
        rich_rule: as firewall-cmd takes it.
        zone: nothing said: the default one.
        state: enabled or disabled.
    """
    del context
    given = {"port": port, "service": service, "source": source, "rich-rule": rich_rule}
    said = {what: value for what, value in given.items() if value is not None}
    if len(said) != 1:
        raise InputError([Problem(message="firewall.firewalld: say one of port, service, source, rich_rule")])
    ((what, value),) = said.items()
    if what == "port" and not _PORT.fullmatch(value):
        raise InputError([Problem(message=f"firewall.firewalld: {value!r} is no port; write it like 443/tcp")])
    where = (f"--zone={zone}",) if zone else ()
    verb, unless = ("add", "") if state == "enabled" else ("remove", "! ")
    both = [("--permanent", *where), where]  # from now on, and now
    queries = [join(("firewall-cmd", "-q", *place, f"--query-{what}={value}")) for place in both]
    changes = [join(("firewall-cmd", *place, f"--{verb}-{what}={value}")) for place in both]  # -q would hide errors
    asked = [f"if {query}; then echo enabled; else echo disabled; fi" for query in queries]
    yield Setting(
        name=f"firewalld {zone or 'default zone'} {what} {value}",
        probe="\n".join((f"if ! {_RUNS}; then echo not running; exit; fi", *asked)),
        wanted=f"{state}\n{state}",
        lines=(
            f"{_RUNS} || {{ echo 'firewalld does not run: service.running: {{name: firewalld}}' >&2; exit 1; }}",
            *(f"{unless}{query} || {change}" for query, change in zip(queries, changes, strict=True)),
        ),
    )


@task("firewall.ufw", aka=("ufw",))
def ufw(context: Context, *, rule: str, state: Literal["present", "absent"] = "present") -> Iterator[Operation]:
    """A rule of ufw.

    Args:
        rule: as `ufw show added` prints it, without `ufw`: `allow 443/tcp`, `allow from 192.0.2.0/24 to any port 22`.
        state: present or absent.
    """
    del context
    words = argv_of(rule, "the rule")
    said = " ".join(rule.split() if isinstance(rule, str) else words)
    known = f"ufw show added | grep -qFx -e {quote(f'ufw {said}')}"
    added = (join(("ufw", *words)), f"{known} || {{ {_UFW_OTHERWISE}; ufw show added; exit 1; }} >&2")
    yield Setting(
        name=f"ufw {said}",
        probe=f"if {known}; then echo present; else echo absent; fi",
        wanted=state,
        lines=added if state == "present" else (join(("ufw", "--force", "delete", *words)),),
    )


@task("firewall.ufw_enabled")
def ufw_enabled(context: Context, *, enabled: bool = True) -> Iterator[Operation]:
    """Whether ufw is in force. Let SSH in beforehand: `firewall.ufw: {rule: allow 22/tcp}`.

    Args:
        enabled: yes or no.
    """
    del context
    wanted = "active" if enabled else "inactive"
    yield Setting(
        name="ufw",
        probe="ufw status | sed -n 's/^Status: //p'",
        wanted=wanted,
        lines=("ufw --force enable" if enabled else "ufw disable",),
    )
