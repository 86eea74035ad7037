"""Runs kubectl with a kubeconfig that is on no disk: it lies in a memory file that only the child inherits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from kubeforge.errors import ArtifactError
from kubeforge.secret import Secret
from kubeforge.spec.releases import parse
from kubeforge.spec.skew import skew_problem

__all__ = ["on_path", "run"]

_NAME: Final = "kubectl"
_PATIENCE: Final = 10.0  # seconds for a program that should answer in a tenth of one


def on_path(kubernetes: str) -> Path | None:
    """Return the machine's own kubectl, if its version may speak to that of the cluster.

    Args:
        kubernetes: the cluster's version, without `v`.
    """
    found = shutil.which(_NAME)
    if found is None:
        return None
    version = _version(found)
    return Path(found) if version and skew_problem(_NAME, version, kubernetes) is None else None


def _version(program: str) -> str | None:
    """Return what a kubectl says of itself, without `v`; None: it says nothing of use."""
    try:
        done = subprocess.run(
            [program, "version", "--client", "--output=json"], capture_output=True, timeout=_PATIENCE, check=True
        )
        version = json.loads(done.stdout)["clientVersion"]["gitVersion"].removeprefix("v")
        parse(version)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return str(version)


def run(program: Path, arguments: Sequence[str], kubeconfig: Secret) -> int:
    """Run kubectl on this terminal and wait for its end.

    Args:
        program: kubectl, or a program that is kubectl when it is called so.
        arguments: after its name.
        kubeconfig: the only one it sees.

    Returns:
        Its exit code; 128 + the signal that ended it.

    Raises:
        ArtifactError: it cannot be started.
    """
    with _handed_over(kubeconfig) as (path, descriptors), _interrupts_left_to_the_child():
        environment = {**os.environ, "KUBECONFIG": path}
        try:
            child = subprocess.Popen(
                [_NAME, *arguments], executable=program, env=environment, pass_fds=descriptors
            )  # the child shares terminal, standard input and output
        except OSError as error:
            raise ArtifactError(
                f"{program} cannot be started: {error.strerror}", step="kubectl", remedy="put kubectl on PATH"
            ) from error
        with child:
            code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _handed_over(kubeconfig: Secret) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give a kubeconfig a path for a child; yield it and the descriptors the child must inherit."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubeconfig")
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, kubeconfig.reveal())
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)
    else:  # not Linux
        with tempfile.TemporaryDirectory() as folder:  # 0700
            path = Path(folder) / "kubeconfig"
            path.touch(mode=0o600)
            path.write_bytes(kubeconfig.reveal())
            yield str(path), ()


@contextmanager
def _interrupts_left_to_the_child() -> Iterator[None]:
    """Let Ctrl-C reach kubectl, which shares our terminal, and not end us before it has ended."""

    def nothing(_number: int, _frame: FrameType | None) -> None:
        """A handler, unlike SIG_IGN, is not inherited."""

    before = signal.signal(signal.SIGINT, nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
