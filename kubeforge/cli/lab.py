"""`kubeforge lab …`: hosts in namespaces to try kubeforge on. No logic here: see kubeforge.lab."""
# ruff: noqa: PLC0415 - completion and --help of everything else must not wait for what only the lab needs

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from kubeforge.spec.releases import RECOMMENDED

if TYPE_CHECKING:
    from kubeforge.lab.console import ConsoleProgress
    from kubeforge.lab.lab import Lab

__all__ = ["lab"]

_lab_option = click.option("--lab", "lab_name", metavar="NAME", help="Which lab; default: the only one that is up.")


@click.group()
def lab() -> None:
    """Hosts on this machine, in namespaces, to try things on."""


@lab.command()
@click.argument("name", default="lab")
@click.option("--control-planes", default=1, show_default=True, help="Hosts for control planes.")
@click.option("--workers", default=2, show_default=True, help="Hosts for workers.")
@click.option("--etcd", default=0, show_default=True, help="Hosts for etcd alone; 0: it runs on the control planes.")
@click.option("--load-balancers", default=0, show_default=True, help="Hosts for balancers of the API alone.")
@click.option("--kubernetes", default=RECOMMENDED, show_default=True, help="Version that the lab's cluster.yml names.")
def up(name: str, kubernetes: str, **hosts: int) -> None:
    """Make a lab, or complete it: missing hosts are made, hosts that are off are started."""
    from kubeforge.lab.lab import Lab

    with _console() as progress:
        made = Lab.up(name, kubernetes=kubernetes, progress=progress, **hosts)
    _show(made)
    others = [other.name for other in Lab.all() if other.is_up and other.name != made.name]
    inventory = f" -i {made.inventory}" if others else ""
    click.echo(f"\nTry next:\n  kubeforge lab ssh {made.hosts[0].name}\n  kubeforge apply{inventory}", err=True)


@lab.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every lab, and what is left of broken ones.")
def down(name: str | None, everything: bool) -> None:
    """Take a lab down; nothing of it stays."""
    from kubeforge.lab.removal import choose, remains, remove

    with _console() as progress:
        for chosen in remains() if everything else [choose(name)]:
            remove(chosen, progress)


@lab.command()
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(name: str | None, output: str) -> None:
    """Show labs and their hosts."""
    from kubeforge.lab.lab import Lab

    labs = [Lab.find(name)] if name else Lab.all()
    if output == "json":
        import json

        click.echo(json.dumps([_facts(each) for each in labs], indent=2))
        return
    for each in labs:
        _show(each)
    if not labs:
        click.echo("no lab", err=True)


@lab.command(context_settings={"ignore_unknown_options": True})
@_lab_option
@click.option(
    "-l", "--user", default="root", show_default=True, help="root, ops (sudo), or opspw (sudo, password lab)."
)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(lab_name: str | None, user: str, host: str, command: tuple[str, ...]) -> None:
    """Log in to a host, or run a command there."""
    from kubeforge.lab.lab import Lab

    chosen = Lab.find(lab_name)
    argv = chosen.ssh_command(host, user, command)
    os.execvp(argv[0], argv)  # noqa: S606 - the user's terminal goes to ssh itself


@lab.command()
@_lab_option
@click.argument("host")
@click.argument("address", required=False)
def readdress(lab_name: str | None, host: str, address: str | None) -> None:
    """Give a host another address, as DHCP may; the lab's inventory follows, what runs on the host does not."""
    from kubeforge.lab.lab import Lab
    from kubeforge.lab.preflight import need_root

    need_root()
    click.echo(Lab.find(lab_name).readdress(host, address))


def _verb(name: str, text: str) -> None:
    """Add a command that does one thing to one host."""

    @lab.command(name, help=text)
    @_lab_option
    @click.argument("host")
    def command(lab_name: str | None, host: str) -> None:
        from kubeforge.lab.faults import inject
        from kubeforge.lab.lab import Lab
        from kubeforge.lab.progress import timed

        chosen = Lab.find(lab_name).host(host)
        with _console() as progress, timed(progress, f"{name} {host}"):
            inject(name, chosen)


for _name, _text in {
    "reboot": "Reboot a host in order, and wait until it answers.",
    "kill": "Cut a host's power.",
    "start": "Start a host that is off.",
    "stop": "Power a host off in order.",
    "partition": "Cut a host off from the network, until `heal`.",
    "heal": "Connect a host to the network again.",
}.items():
    _verb(_name, _text)


def _facts(chosen: Lab) -> dict[str, object]:
    return {
        "name": chosen.name,
        "up": chosen.is_up,
        "inventory": str(chosen.inventory),
        "hosts": [
            {"name": host.name, "role": host.role, "address": host.address, "state": host.state}
            for host in chosen.hosts
        ],
    }


def _show(chosen: Lab) -> None:
    click.echo(f"lab {chosen.name}: {'up' if chosen.is_up else 'down'}, inventory {chosen.inventory}")
    for host in chosen.hosts:
        click.echo(f"  {host.name:<6} {host.role:<8} {host.address:<13} {host.state}")


def _console() -> ConsoleProgress:
    from kubeforge.lab.console import ConsoleProgress

    return ConsoleProgress()
