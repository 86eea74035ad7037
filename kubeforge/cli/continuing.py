"""Options by which a run goes on with a recorded one, handed over as one value."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only runs need
from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from kubeforge.engine.resume import GoingOn

__all__ = ["Continuing", "begun_anew", "continuing_options"]

_LAST: Final = "last"

_resume = click.option(
    "--resume", is_flag=False, flag_value=_LAST, metavar="[RUN]",
    help="Go on with a recorded run where it failed or was cut off; alone: the last one.",
)  # fmt: skip
_retry = click.option(
    "--retry-failed", is_flag=True, help="Only hosts that failed in the last run (or in --resume's), or did not end it."
)
_doubtful = click.option(
    "--doubtful", type=click.Choice(["redo", "skip"]),
    help="With --resume: what to do with commands of which nobody knows whether they ran.  [default: refuse]",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuing:
    """What the options say.

    Args:
        resume: the run to go on with; None: begin anew.
        retry_failed: whether only hosts that did not end well take part.
        doubtful: `redo` or `skip`.
    """

    resume: str | None = None
    retry_failed: bool = False
    doubtful: str | None = None

    def of(self, cluster: str, playbook: str, file: str | None = None) -> tuple[GoingOn | None, Collection[str] | None]:
        """Return what to go on with, and which hosts alone take part.

        Args:
            cluster: what runs are filed under.
            playbook: its name.
            file: see `Playbook.place`; None: of any.

        Raises:
            InputError: there is no such run, or it left nothing.
        """
        if self.resume is None and not self.retry_failed:
            return None, None
        from kubeforge.engine.journal import runs_folder
        from kubeforge.engine.resume import GoingOn, chosen, unfinished_hosts

        word = self.resume or _LAST
        run = chosen(runs_folder(cluster), word, playbook, refused=self.resume is None, file=file)
        within = unfinished_hosts(run) if self.retry_failed else None
        return GoingOn(run, self.doubtful) if self.resume is not None else None, within


def continuing_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand them over as `continuing`."""

    @wraps(function)
    def command(*, resume: str | None, retry_failed: bool, doubtful: str | None, **given: Any) -> None:
        if doubtful is not None and resume is None:
            raise click.UsageError("--doubtful says how to go on with a run: give --resume, too")
        function(continuing=Continuing(resume=resume, retry_failed=retry_failed, doubtful=doubtful), **given)

    return _resume(_retry(_doubtful(command)))


def begun_anew(function: Callable[..., None]) -> Callable[..., None]:
    """Hand over a `continuing` that says nothing, for verbs that have no such options."""

    @wraps(function)
    def command(**given: Any) -> None:
        function(continuing=Continuing(), **given)

    return command
