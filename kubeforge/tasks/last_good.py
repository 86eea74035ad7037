"""What a component ran with before a change: put back when it does not come up, forgotten once it has. No task here.

Which files lie aside is for the component's own module to say; what lies there is on the host, so that a run that was
cut off leaves it to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubeforge.engine.model import ActionContext
from kubeforge.errors import KubeforgeError, OperationFailed
from kubeforge.operations.file import File
from kubeforge.operations.kept_artifact import KeptArtifact
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Entry, Operation, Queries, fold
from kubeforge.operations.symlink import Symlink
from kubeforge.secret import Secret
from kubeforge.tasks.living import folder

__all__ = ["Crashed", "Kept", "failure", "forget", "kept", "put_back"]


Kept = KeptFile | KeptArtifact
"""What has its former state set aside."""


class Crashed(KubeforgeError):
    """It ends as soon as it is started: there is nothing to wait for."""


def kept(run: ActionContext, files: Sequence[Kept]) -> dict[str, bytes | str]:
    """Return what was set aside of these: path -> content of a file, or where a link pointed."""
    seen = run.remote.observe(Queries(stats=tuple(file.aside for file in files)))
    found: dict[str, bytes | str] = {}
    for file in files:
        entry = seen.paths.get(file.aside)
        if isinstance(entry, Entry):
            found[file.path] = entry.target if entry.target is not None else run.remote.read(file.aside)
    return found


def put_back(run: ActionContext, files: Sequence[Kept], *, then: Sequence[Operation] = ()) -> None:
    """Bring back what was set aside of these, as changes of this run like all others.

    Args:
        run: of the action that gives up.
        files: those that were to be changed.
        then: what else is to be done, after them.

    Raises:
        OperationFailed: a change was refused by the host.
        ConnectionFailed: the host cannot be reached.
    """
    modes = {file.path: file.mode for file in files}
    operations = [*(_former(path, old, modes[path]) for path, old in kept(run, files).items()), *then]
    seen = run.remote.observe(Queries.merge(operation.observe() for operation in operations))
    changes, _ = fold(operations, seen)
    results = run.remote.act(changes, seen, run_id=run.run_id)
    if len(results) < len(changes) or any(result.status for result in results):
        last = results[-1] if results else None
        raise OperationFailed(
            f"{last.title if last else 'the first change'} failed",
            host=run.remote.host,
            evidence=last.output.decode(errors="replace").splitlines() if last else (),
        )


def _former(path: str, old: bytes | str, mode: int) -> Operation:
    """A kubeconfig among them holds a key, and a manifest may: no content of theirs is to be printed by anybody."""
    return Symlink(path=path, target=old) if isinstance(old, str) else File(path=path, content=Secret(old), mode=mode)


def forget(run: ActionContext, component: str) -> None:
    """Remove what was set aside: the component serves with what it has now."""
    run.remote.run(["rm", "-rf", "--", folder(component)])


def failure(
    run: ActionContext, error: KubeforgeError, component: str, *, step: str, back: Callable[[], None]
) -> OperationFailed:
    """Go back to what a component ran with before, and return what to say of it all.

    Args:
        run: of the action that gives up.
        error: why.
        component: whose files are set aside.
        step: the action's title.
        back: puts the old files back and waits until the component serves with them.
    """
    try:
        back()
    except KubeforgeError as second:
        now = f"what it ran with before was to be put back, and that did not help: {second.cause}"
    else:
        now = "what it ran with before was put back, and it serves again"
        forget(run, component)
    return OperationFailed(
        f"{error.cause}; {now}",
        host=run.context.host.name,
        step=step,
        evidence=error.evidence,
        remedy="no further host was touched; correct cluster.yml by what it said, then apply again",
    )
