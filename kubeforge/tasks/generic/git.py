"""Working copies of git repositories."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.model import Context
from kubeforge.operations import Checkout
from kubeforge.operations.model import Operation
from kubeforge.tasks.generic.subjects import Environment, env_of
from kubeforge.tasks.registry import task

__all__ = ["checkout"]


@task("git.checkout", aka=("git",))
def checkout(
    context: Context,
    *,
    url: str,
    dest: str,
    version: str = "HEAD",
    force: bool = False,
    become_user: str = "",
    environment: Environment | None = None,
) -> Iterator[Operation]:
    """A working copy of a git repository at one revision; git must be installed on the host.

    Args:
        url: of the repository; without a password, for plans show it.
        dest: where the working copy is; its parents are made, too.
        version: branch, tag or whole commit; a branch or tag is asked of the repository at every plan.
        force: throw away what was changed in the working copy, and files in its way; otherwise they are an error.
        become_user: who runs git and whose the files are; nothing said: root.
        environment: variables for git: GIT_SSH_COMMAND, https_proxy.
    """
    del context
    yield Checkout(path=dest, url=url, version=version, force=force, user=become_user, env=env_of(environment))
