"""Verbs about kubeforge itself: `schema`, `completion`, `version`."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

import click

from kubeforge.cli import options

__all__ = ["completion", "schema", "version"]

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@options.output("json", "yaml")
def schema(output: str) -> None:
    r"""Print the JSON Schema of cluster.yml, for editors.

    Write it beside your inventory and name it in the first line of cluster.yml:

    \b
      kubeforge schema > cluster.schema.json
      # yaml-language-server: $schema=cluster.schema.json
    """
    from kubeforge.cli.answers import answer
    from kubeforge.spec.schema import schema as made

    answer(made(), output)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
      bash:  echo 'eval "$(kubeforge completion bash)"' >> ~/.bashrc
      zsh:   echo 'eval "$(kubeforge completion zsh)"' >> ~/.zshrc
      fish:  kubeforge completion fish > ~/.config/fish/completions/kubeforge.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None, "click knows all of _SHELLS"
    root = ctx.find_root()
    script = made(root.command, {}, root.info_name or "kubeforge", "_KUBEFORGE_COMPLETE")
    click.echo(script.source())


@click.command()
@options.output("table", "json", "yaml")
def version(output: str) -> None:
    """Show versions."""
    import platform

    from kubeforge import __version__
    from kubeforge.cli.answers import answer
    from kubeforge.spec.releases import RELEASES

    if output == "table":
        click.echo(f"kubeforge {__version__} (Python {platform.python_version()})")
        for row in RELEASES:
            parts = f"etcd {row.etcd}, containerd {row.containerd}, CoreDNS {row.coredns}"
            click.echo(f"Kubernetes {row.minor}, newest known {row.kubernetes}, until {row.end_of_life}: {parts}")
        return
    from dataclasses import asdict

    data = {"kubeforge": __version__, "python": platform.python_version(), "kubernetes": [asdict(r) for r in RELEASES]}
    answer(data, output)
