"""The production `Remote`: speaks the observe/act protocol over any `Transport`. Holds no state but the transport."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kubeforge.errors import KubeforgeError, OperationFailed
from kubeforge.operations.attributes import beside
from kubeforge.operations.model import Change, Observation, Queries, Result
from kubeforge.operations.shell import join, quote
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.transport.base import ByteSocket, Completed, Transport
from kubeforge.transport.protocol import act, observe
from kubeforge.transport.protocol.framing import HEAD, encode, new_nonce

__all__ = ["OBSERVE_DEADLINE", "ShellRemote"]

OBSERVE_DEADLINE = 120.0
"""Seconds for one observation: hashing what is on a slow disk takes its time."""

_FILE_DEADLINE = 60.0
_LINES_SHOWN = 20


class ShellRemote:
    """One host with POSIX sh, tar and coreutils, reached by a transport.

    Args:
        transport: moves the bytes; root by sudo is its matter.
        state: kubeforge's folder on the host.
        shell: the POSIX shell there.
    """

    def __init__(self, transport: Transport, *, state: str = paths.STATE, shell: str = "sh") -> None:
        self._transport = transport
        self._state = state
        self._shell = shell

    @property
    def host(self) -> str:
        """Inventory name."""
        return self._transport.host

    @property
    def transport(self) -> Transport:
        """What the bytes go through, for measuring round trips."""
        return self._transport

    def observe(self, queries: Queries) -> Observation:
        """Answer `queries` in one read-only round trip; no round trip when nothing is asked."""
        if not queries:
            return Observation()
        nonce = new_nonce()
        script = observe.script(queries, nonce)
        # constant: no login shell has to quote anything of ours; `-s` would be slower
        command = f"exec {self._shell} -c 'eval \"$(cat)\"'"
        done = self._transport.run(command, (script,), deadline=OBSERVE_DEADLINE)
        try:
            return observe.parse(queries, nonce, done.stdout, done.stderr)
        except KubeforgeError as error:
            raise self._named(error, "observe") from error.__cause__

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        """Carry out `changes` in order in one exec; see `Remote.act`."""
        if not changes:
            return []
        prepared = act.prepare(changes, seen, run_id=run_id)
        command = act.command(self._state, self._shell)
        try:
            done = self._transport.run(command, prepared.chunks(), deadline=prepared.deadline)
            return prepared.parse(done.stdout, done.stderr)
        except KubeforgeError as error:
            raise self._named(error, "act") from error.__cause__

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,
        expect: Sequence[int] = (0,),
    ) -> Completed:
        """Run one command; see `Remote.run`."""
        done = self._script(f"exec {join(argv)}", stdin, deadline)
        if done.status not in expect:
            raise OperationFailed(
                f"ended with status {done.status}",
                host=self.host,
                step=join(argv),
                evidence=(done.stderr or done.stdout).decode("utf-8", "replace").splitlines()[-_LINES_SHOWN:],
                remedy="look at what it printed",
            )
        return done

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        done = self._script(f"exec cat -- {quote(path)}", b"", _FILE_DEADLINE)
        if done.status != 0:
            raise self._failed("read", path, done)
        return done.stdout

    def write(self, path: str, content: bytes | Secret, *, mode: int = 0o600) -> None:
        """Write a file atomically, outside of any plan."""
        temporary, target = quote(beside(path)), quote(path)
        script = f"umask 077; rm -f -- {temporary} && cat >{temporary} && chmod -- {mode:04o} {temporary} && "
        done = self._script(f"{script}mv -fT -- {temporary} {target}", content, _FILE_DEADLINE)
        if done.status != 0:
            raise self._failed("write", path, done)

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        """Open a TCP stream from the remote host to `host:port`."""
        return self._transport.open_tunnel(host, port)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._transport.close()

    def _script(self, line: str, stdin: bytes | Secret, deadline: float) -> Completed:
        """Run a script with standard input of its own: its first line is the script.

        A line that was cut off is not run, because `read` fails without a newline.
        """
        return self._transport.run(
            f"exec {self._shell} -c 'IFS= read -r s && eval \"$s\"'", _line_then(line, stdin), deadline=deadline
        )

    def _failed(self, verb: str, path: str, done: Completed) -> OperationFailed:
        said = done.stderr.decode("utf-8", "replace").strip()
        return OperationFailed(
            said.rpartition(": ")[2] or f"status {done.status}",
            host=self.host,
            step=f"{verb} {path}",
            evidence=said.splitlines()[-_LINES_SHOWN:],
            remedy="look at the path on the host",
        )

    def _named(self, error: KubeforgeError, step: str) -> KubeforgeError:
        """Put the host's name on an error that was raised where it is not known."""
        error.host = error.host or self.host
        error.step = error.step or step
        return error


def _line_then(script: str, stdin: bytes | Secret) -> Iterable[bytes]:
    """Yield the script as one line, then the input; newlines inside quoted words go through a variable."""
    head = HEAD.replace("\n", "; ")
    body = script.replace("\n", "'\"$n\"'")
    newline = "n=$(printf '\\nx'); n=${n%x}; " if "\n" in script else ""

    def chunks() -> Iterator[bytes]:
        yield encode(f"{head}{newline}{body}\n")
        content = stdin.reveal() if isinstance(stdin, Secret) else stdin
        if content:
            yield content

    return chunks()
