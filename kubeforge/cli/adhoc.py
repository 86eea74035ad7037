"""`kubeforge exec`, `copy`, `fetch` and `facts`: hosts by pattern. No logic here: see engine.adhoc."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import run_options

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.runs import Choices
    from kubeforge.cli.session import Given
    from kubeforge.engine.adhoc import Answer
    from kubeforge.engine.executors import Executor
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.inventory.model import Inventory

__all__ = ["copy", "exec_", "facts", "fetch"]

_DEADLINE: Final = 300.0
_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=_DEADLINE, show_default=True, metavar="SECONDS",
    help="A command that takes longer is ended, on each host.",
)  # fmt: skip
_parallel = click.option("-f", "--forks", "--parallel", type=click.IntRange(min=1), help="Hosts worked on at once.")
_pattern = click.argument("pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """Which hosts a verb is about, and how they are reached: what its options say."""

    inventory_path: Given
    variables: Mapping[str, str]
    asked: Asked
    forks: int | None
    pattern: str


def _asking(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options and the pattern, and hand them over as `asking`."""

    @wraps(function)
    def command(
        *,
        inventory_path: Given,
        variables: Mapping[str, str],
        asked: Asked,
        forks: int | None,
        pattern: str,
        **given: Any,
    ) -> None:
        asking = _Asking(inventory_path=inventory_path, variables=variables, asked=asked, forks=forks, pattern=pattern)
        function(asking=asking, **given)

    return options.inventory(options.variables(options.passwords()(_parallel(_pattern(command)))))


@click.command("exec", cls=options.CommandBehind)
@_asking
@_timeout
@click.option("-g", "--grouped", is_flag=True, help="Show each different output once, with the hosts that gave it.")
@options.output("table", "json", "yaml")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_(
    ctx: click.Context, *, asking: _Asking, timeout: float, output: str, command: tuple[str, ...], grouped: bool
) -> None:
    """Run a command on hosts and show what it prints, line by line as it comes.

    PATTERN is as in Ansible: `web:&eu:!db`. One word is a line for the shell there; several are a command with its
    arguments. It runs as root where the inventory says become. Leaves with 13 where it failed anywhere.
    """
    from kubeforge.cli.answers import answer as answer_with
    from kubeforge.cli.boundary import console
    from kubeforge.operations.shell import join
    from kubeforge.report.adhoc import Lines, as_data, print_ends, print_groups

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("what shall be run?")
    if words[0].startswith("-"):
        raise click.UsageError(f"`{words[0]}` is no command; put `--` before the command and options before that")
    line = words[0] if len(words) == 1 else join(words)
    with _chosen(asking) as chosen:
        live = output == "table" and not grouped
        shown = Lines(chosen.hosts) if live else None
        answers = chosen.ask(line, timeout, shown)
    if output != "table":
        answer_with(as_data(answers), output)
    elif grouped:
        print_groups(answers, console(stderr=False))
    if output == "table":
        print_ends(answers, console(stderr=True))
    ctx.exit(_code(answers))


@click.command()
@_pattern
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("target")
@run_options
@click.option("--owner", default="root", show_default=True, help="User there.")
@click.option("--group", default="root", show_default=True, help="Group there.")
@click.option("--mode", help="Permission bits, 0644.  [default: 0644; 0755 for what is executable here]")
@click.option("-C", "--check", is_flag=True, help="Show what would be done; change nothing.")
@click.option("-D", "--diff", is_flag=True, help="Show what changes inside of files.")
@options.yes
def copy(
    choices: Choices,
    *,
    pattern: str,
    source: Path,
    target: str,
    owner: str,
    group: str,
    mode: str | None,
    check: bool,
    diff: bool,
    yes: bool,
) -> None:
    """Copy a file or a folder of this machine to hosts; what is there already is left.

    TARGET is the new path itself, on each host. The plan is shown first, and exactly that is done.
    """
    from kubeforge.cli.books import opened_call
    from kubeforge.cli.lifecycle import carry_out, confirmed
    from kubeforge.cli.runs import refuse_without_terminal
    from kubeforge.engine.playbook import TaskCall

    if not yes and not check:
        refuse_without_terminal("copy")
    said = {"src": str(source.absolute()), "dest": target, "owner": owner, "group": group}
    call = TaskCall(name="file.copy", arguments={**said, **({"mode": mode} if mode else {})})
    with opened_call(choices, f"Copy {source}", pattern, call) as run:
        made = run.plan(diff=diff)
        if check:
            run.show_plan(made, diff=diff)
            click.get_current_context().exit(made.exit_code)
        carry_out(run, made, diff=diff, agreed=confirmed(yes=yes))


@click.command()
@_asking
@_timeout
@click.option("--to", "target", type=click.Path(path_type=Path, file_okay=False), default=".", help="A folder here.")
@click.argument("path")
@click.pass_context
def fetch(ctx: click.Context, *, asking: _Asking, timeout: float, target: Path, path: str) -> None:
    """Copy a file from hosts to this machine: to HOST/PATH below a folder, readable by you alone."""
    from kubeforge.cli.boundary import console
    from kubeforge.engine.fetching import Fetching, fetch_line
    from kubeforge.report.adhoc import print_ends

    with _chosen(asking) as chosen, Fetching(target, path) as fetching:
        answers = [fetching.done(answer) for answer in chosen.ask(fetch_line(path), timeout, fetching)]
    for file in fetching.files:
        click.echo(str(file))
    print_ends(answers, console(stderr=True))
    ctx.exit(_code(answers))


@click.command()
@_asking
@options.output("table", "json", "yaml")
@click.pass_context
def facts(ctx: click.Context, *, asking: _Asking, output: str) -> None:
    """Show what hosts are: distribution, kernel, processors, memory, addresses, and all that tasks know of them."""
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.engine.surveying import survey
    from kubeforge.report.facts import as_data, print_facts

    with _chosen(asking) as chosen:
        found = survey(chosen.hosts, chosen.remotes.remote, chosen.executor)
    if output == "table":
        print_facts(found, console(stderr=False))
    else:
        answer(as_data(found), output)
    ctx.exit(max((one.failure.exit_code for one in found if one.failure), default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """The hosts a verb is about, and what reaches them."""

    hosts: Sequence[str]
    remotes: ConnectedRemotes
    executor: Executor

    def ask(self, line: str, timeout: float, sink: Any) -> list[Answer]:
        """Run a line on all; in the order of the inventory."""
        from kubeforge.engine.adhoc import everywhere

        heard = sink or (lambda _host, _piece: None)
        found: dict[str, Answer] = {}
        for answer in everywhere(
            line, self.hosts, self.remotes.open_stream, executor=self.executor, deadline=timeout, sink=heard
        ):
            found[answer.host] = answer
            if hasattr(sink, "end"):
                sink.end(answer.host)
        return [found[host] for host in self.hosts if host in found]


@contextmanager
def _chosen(asking: _Asking) -> Iterator[_Chosen]:
    from kubeforge.cli.facts_first import with_facts
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import inventory_of
    from kubeforge.engine.executors import MAX_THREADS, ThreadExecutor
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.inventory.patterns import depends_on_facts, select

    inventory = inventory_of(asking.inventory_path, asking.variables, facts_come=True)
    is_open = depends_on_facts(inventory, asking.pattern)
    if not is_open:
        select(inventory, asking.pattern)  # before anybody is asked for a password
    with entering(inventory, asking.asked) as (told, connections):
        read = partial(_with_told, asking.inventory_path, asking.variables)
        known = with_facts(told, read, connections, pattern=asking.pattern, forks=asking.forks) if is_open else told
        hosts = [host.name for host in select(known, asking.pattern)]
        remotes = ConnectedRemotes(known, connections)
        yield _Chosen(hosts=hosts, remotes=remotes, executor=ThreadExecutor(asking.forks or MAX_THREADS))


def _with_told(given: Given, variables: Mapping[str, str], facts: Mapping[str, Mapping[str, Any]]) -> Inventory:
    from kubeforge.cli.session import inventory_of

    return inventory_of(given, variables, facts=facts)


def _code(answers: Sequence[Answer]) -> int:
    """Return the exit code: that of what kept a host from answering, else 13 where a command failed."""
    from kubeforge.errors import OperationFailed

    codes = [one.failure.exit_code if one.failure else OperationFailed.exit_code for one in answers if not one.good]
    return codes[0] if codes else 0
