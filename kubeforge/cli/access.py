"""Verbs that lead to the cluster's API and to its hosts: `kubeconfig`, `kubectl`, `ssh`."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kubeforge.cli import options
from kubeforge.spec.suggestions import did_you_mean

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.session import Given
    from kubeforge.inventory.model import Inventory
    from kubeforge.secret import Secret
    from kubeforge.spec.model import ClusterSpec
    from kubeforge.transport.connect import Connections

__all__ = ["kubeconfig", "kubectl", "ssh"]

_DEFAULT: Final = "~/.kube/config"
_LOOPBACK: Final = "127.0.0.1"
_SERVER_NAME: Final = "kubernetes"  # a name that every API server's certificate has


@click.command()
@options.inventory
@options.variables
@click.option("--merge", is_flag=True, help=f"Merge it into a file, by default $KUBECONFIG or {_DEFAULT}.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; alone: merge into it.")
@click.option(
    "--server", metavar="URL", help="Of the API, as you reach it.  [default: its endpoint or a control plane]"
)
@options.passwords()
def kubeconfig(
    inventory_path: Given,
    variables: Mapping[str, str],
    output: Path | None,
    server: str | None,
    *,
    asked: Asked,
    merge: bool,
) -> None:
    """Print the administrator's kubeconfig, or merge it into yours.

    Who has it can do everything in the cluster; files are written so that only you can read them.
    """
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input
    from kubeforge.cluster.kubeconfig import merge_into, named
    from kubeforge.spec.addresses import api_endpoint, endpoint_kind, local_api
    from kubeforge.spec.model import EndpointKind

    inventory, spec = examine_input(inventory_path, variables).required()
    with entering(inventory, asked) as (known, connections):
        host, admin = _admin(known, connections)
    # With a balancer on the nodes alone there is no one address for others: a control plane that lives is told.
    local = endpoint_kind(spec, inventory) is EndpointKind.LOCALHOST
    outside = local_api(inventory.hosts[host]) if local else api_endpoint(spec, inventory)
    config = named(admin, name=spec.name, server=server or f"https://{outside}")
    if not merge and output is None:
        click.echo(config.reveal(), nl=False)
        return
    target = output or _own_file()
    merge_into(target, config)
    click.echo(f"{target}: context {spec.name} added, and current", err=True)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@options.inventory
@options.variables
@options.passwords()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def kubectl(
    ctx: click.Context,
    inventory_path: Given,
    variables: Mapping[str, str],
    arguments: tuple[str, ...],
    *,
    asked: Asked,
) -> None:
    """Run kubectl as administrator, through an SSH tunnel to a control plane.

    Everything from the first word that is no option of ours is kubectl's; `--` makes that plain.
    The machine's own kubectl is used where its version fits the cluster's, else the one from the artifacts.
    """
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input
    from kubeforge.cluster import kubectl as program
    from kubeforge.cluster.kubeconfig import named
    from kubeforge.spec.paths import API_PORT
    from kubeforge.transport.forward import forward_local

    found = examine_input(inventory_path, variables)
    inventory, spec = found.required()
    binary = program.on_path(spec.kubernetes) or _cached(spec, found.path)
    with entering(inventory, asked) as (known, connections):
        host, admin = _admin(known, connections)
        transport = connections.get(known.hosts[host])
        with forward_local(transport, _LOOPBACK, API_PORT, on_error=lambda e: click.echo(e, err=True)) as port:
            server = f"https://{_LOOPBACK}:{port}"
            config = named(admin, name=spec.name, server=server, tls_server_name=_SERVER_NAME)
            code = program.run(binary, arguments, config)
    ctx.exit(code)


@click.command(cls=options.CommandBehind)
@options.inventory
@options.variables
@options.passwords(become=False)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def ssh(
    ctx: click.Context,
    inventory_path: Given,
    variables: Mapping[str, str],
    host: str,
    command: tuple[str, ...],
    *,
    asked: Asked,
) -> None:
    """Log in to a host, or run a command there, as the inventory's user.

    The host's key is checked as in every run. One word is a command line for the shell there; several are a command
    with its arguments.
    """
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import inventory_of
    from kubeforge.operations.shell import join
    from kubeforge.transport.interactive import interactive
    from kubeforge.transport.ssh import SshTransport

    inventory = inventory_of(inventory_path, variables)
    if host not in inventory.hosts:
        raise click.UsageError(f"there is no host {host} in the inventory{did_you_mean(host, inventory.hosts)}")
    if not (command or sys.stdin.isatty()):
        raise click.UsageError("standard input is no terminal to log in from: give a command")
    with entering(inventory, asked) as (known, connections):
        transport = connections.get(known.hosts[host])
        if not isinstance(transport, SshTransport):
            raise click.UsageError(f"{host} is this machine (ansible_connection: local)")
        line = command[0] if len(command) == 1 else join(command) or None
        code = interactive(transport, line)
    ctx.exit(code)


def _admin(inventory: Inventory, connections: Connections) -> tuple[str, Secret]:
    """Return the administrator's kubeconfig, and the host it comes from."""
    from kubeforge.cluster.kubeconfig import fetch
    from kubeforge.inventory.model import Host
    from kubeforge.transport.base import Remote
    from kubeforge.transport.remote import ShellRemote

    def remote(host: Host) -> Remote:
        return ShellRemote(connections.get(host))

    return fetch([partial(remote, host) for host in inventory.control_planes])


def _own_file() -> Path:
    """Return the file kubectl itself would write to: the first of $KUBECONFIG, else the default."""
    import os

    listed = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return Path(listed[0] if listed else _DEFAULT).expanduser()


def _cached(spec: ClusterSpec, path: Path) -> Path:
    """Return the artifacts' kubectl for this machine."""
    from kubeforge.artifacts.console import ConsoleProgress
    from kubeforge.artifacts.source import machine_arch
    from kubeforge.cli.session import supplier

    with ConsoleProgress() as progress:
        parts = supplier(spec, path, progress)([machine_arch()])
    return parts.files["kubectl", machine_arch()].path
