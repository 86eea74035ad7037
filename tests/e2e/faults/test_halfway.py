"""One birth with every fault that can come while it is under way; after the last one the cluster is good.

The tests follow one another in this order: each leaves the hosts further along, or as they were.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubeforge.artifacts.cache import cache_root

pytestmark = pytest.mark.lab

OnHost = Callable[[str, str, str], AbstractContextManager[None]]
FORGE = Path(sys.executable).parent / "kubeforge"
RUNC = "github.com/opencontainers/runc/releases/download"


@pytest.fixture(scope="module")
def mirror(forge: Any) -> Iterator[Path]:
    """A mirror of the parts, laid out of the cache."""
    folder = forge.state.parent / "mirror"
    subprocess.run(
        [FORGE, "artifacts", "build", "--kubernetes", "1.36.3", "--directory", folder], check=True, capture_output=True
    )
    yield folder
    shutil.rmtree(folder)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a mirror on this machine; yields its URL."""
    argv = [str(FORGE), "artifacts", "serve", "--directory", str(folder), "--bind", "127.0.0.1:0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            line = next(line for line in child.stdout if "http://" in line)
            yield line.partition("'")[2].partition("'")[0]
        finally:
            child.terminate()


def bare_cache(folder: Path, without: str) -> Path:
    """Return a cache that has every blob but one, as links to those of the user's."""
    (folder / "blobs/sha256").mkdir(parents=True)
    for blob in (cache_root() / "blobs/sha256").iterdir():
        if blob.name != without:
            os.link(blob, folder / "blobs/sha256" / blob.name)
    return folder


@pytest.mark.parametrize("way", ["served", "folder"])
def test_a_flipped_bit_in_a_download(forge: Any, mirror: Path, tmp_path: Path, way: str) -> None:
    (path,) = (mirror / RUNC).rglob("runc.amd64")
    good = path.read_bytes()
    digest = hashlib.sha256(good).hexdigest()
    bad = bytes([*good[:5000], good[5000] ^ 1]) + good[5001:]
    sums = hashlib.sha256((mirror / "SHA256SUMS").read_bytes()).hexdigest()
    cache = bare_cache(forge.state.parent / f"cache-{way}", digest)
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(served(mirror)) if way == "served" else str(mirror)
        source = {"source": "mirror", "mirror": where, "sha256": sums}
        mirrored = forge.with_spec(tmp_path, lambda spec: spec.update(artifacts=source))
        mirrored = replace(mirrored, environment={"KUBEFORGE_CACHE": str(cache)})
        path.unlink()  # a link into the cache: its content is not for us to change
        path.write_bytes(bad)
        said = mirrored.apply().check(14, digest, hashlib.sha256(bad).hexdigest(), "runc.amd64", "next: ")
        assert where in said.err, "it says where the file came from"
        assert not (cache / "blobs/sha256" / digest).exists()
        assert [file for name in ("partial", "tmp") for file in (cache / name).glob("**/*") if file.is_file()] == []
        assert forge.untouched()
        path.write_bytes(good)
        mirrored.run("plan", "--detailed-exitcode").check(2)
    shutil.rmtree(cache)


def test_a_list_of_digests_that_is_not_the_pinned_one(forge: Any, mirror: Path, tmp_path: Path) -> None:
    source = {"source": "mirror", "mirror": str(mirror), "sha256": "0" * 64}
    said = forge.with_spec(tmp_path, lambda spec: spec.update(artifacts=source)).apply().check(14, "SHA256SUMS")
    assert "0" * 64 in said.err
    assert forge.untouched()


def test_the_disk_runs_full(forge: Any, on_host: OnHost) -> None:
    path = "/var/lib/kubeforge"
    with on_host("w1", f"mkdir -p {path}; mount -t tmpfs -o size=16m tmpfs {path}", f"umount {path}; rmdir {path}"):
        said = forge.apply("--tags", "prepare").check(13, "Run again to go on")
        assert forge.sh("w1", f"find {path} -type f") == "", "nothing is left behind"
    said.names(
        "w1",
        "before.record, os.prepare",
        "no room left on the file system of /var/lib/kubeforge",
        "make room on the host",
    )
    assert (said.out + said.err).count("no room left on the file system") == 1, "a failure is shown once"


class Terminal:
    """An apply on a terminal, as somebody sits before it."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.text = ""
        own, its = pty.openpty()
        self._own = own
        self._child = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True)
        os.close(its)

    def until(self, words: str, within: float = 60.0) -> None:
        end = time.monotonic() + within
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} does not come\n{self.text[-3000:]}"
            assert self._more(), f"it ended before {words!r}\n{self.text[-3000:]}"

    def say(self, words: str) -> None:
        os.write(self._own, words.encode())

    def ended(self) -> int:
        while self._more():
            pass
        return self._child.wait(10)

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._own)

    def _more(self) -> bool:
        if not select.select([self._own], [], [], 60)[0]:
            return False
        try:
            piece = os.read(self._own, 65536)
        except OSError:  # the other side is closed
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)


@contextmanager
def terminal(forge: Any, *words: str) -> Iterator[Terminal]:
    sitting = Terminal(forge.argv("apply", *words), {**forge.variables, "TERM": "xterm", "NO_COLOR": "1"})
    try:
        yield sitting
    finally:
        sitting.close()


def test_no_is_an_answer(forge: Any) -> None:
    with terminal(forge) as sitting:
        sitting.until("Do this?")
        sitting.say("n\n")
        assert sitting.ended() == 1
    assert "Nothing was done." in sitting.text


def test_changed_by_hand_between_plan_and_apply(forge: Any) -> None:
    """cp1 was prepared by the run before; w1 was not: there a file changes while the question stands."""
    path = "/etc/systemd/system/containerd.service"
    with terminal(forge, "--limit", "w1", "--tags", "prepare") as sitting:
        sitting.until("Do this?")
        forge.sh("w1", f"echo '# by hand' >{path}")
        sitting.say("y\n")
        code = sitting.ended()
    text = " ".join(sitting.text.split())
    assert code == 13, sitting.text[-3000:]
    assert "Traceback" not in text
    assert "w1: before.record, os.prepare" in text
    assert "the host is not as the plan saw it; nothing was done in this step" in text
    assert path in text.partition("not as the plan saw it")[2], "it says what differs"
    assert "next: look at what changed it, then run again" in text
    assert forge.sh("w1", f"cat {path}") == "# by hand\n"
    assert forge.sh("w1", "ls /usr/local/bin") == ""


CONTAINERD = "etc/containerd/config.toml"


def test_a_worker_reboots_while_it_is_prepared(forge: Any) -> None:
    """Either the connection breaks, or what is to be started cannot be any more on a host that goes down."""
    forge.sh("w1", "rm /etc/systemd/system/containerd.service")
    with forge.started() as run:
        run.until((forge.lab.host("w1").files.upper / CONTAINERD).exists)
        forge.lab.host("w1").reboot()
        said = run.ended()
    assert said.code in {11, 13}, said.text
    said.check(said.code, "Not done:", "Run again to go on.").names("w1", "", "", "run again")
    assert "Found etcd" not in said.err, "where a host failed nothing further begins anywhere"


def test_a_power_cut_while_it_is_prepared(forge: Any) -> None:
    """It first hears of the run that was cut off, then loses the host."""
    forge.sh("w1", f"rm /{CONTAINERD}")
    with forge.started() as run:
        run.until((forge.lab.host("w1").files.upper / CONTAINERD).exists)
        forge.lab.host("w1").kill()
        said = run.ended()
    forge.lab.host("w1").start()
    said.check(11, "Not done:", "Run again to go on.")
    said.names("w1", "os.prepare", "the connection broke while a command ran", "see that the host is up and run again")
    assert "warning: w1: run 2" in said.err


def test_interrupted(forge: Any) -> None:
    """Ctrl-C ends what runs, begins nothing more, and says so."""
    with forge.started() as run:
        run.until(lambda: run.step("StepStarted", "w1", "os.prepare"))
        run.send(signal.SIGINT)
        said = run.ended().check(130, "Stopped after", "Not done:", "Run again to go on.")
    assert "made on 1 host." in said.out
    assert "  cp1: control_plane.ready (1 change)" in said.out


def test_the_control_plane_reboots_while_it_starts(forge: Any) -> None:
    """The run either gets over it, or says what happened to which host."""
    with forge.started() as run:
        run.until(lambda: run.step("StepStarted", "cp1", "control_plane.ready"))
        forge.lab.host("cp1").reboot()
        said = run.ended()
    assert said.code in {0, 11}, said.text
    if said.code:
        said.names("cp1", "", "connection", "see that the host is up")
        assert "Run again to go on." in said.out


def test_two_at_once(forge: Any) -> None:
    """The second is told who is there; the first ends well, and after all of this the cluster is good."""
    forge.sh("w1", "rm -f /usr/local/bin/kubectl")  # something to do, whatever became of the run before
    with forge.started() as run:
        run.until(lambda: any(each["event"] == "StepStarted" for each in run.events))
        run.send(signal.SIGSTOP)  # it must not have ended when the second comes
        second = forge.run("reset", "--yes").check(18, "another run works on this cluster")
        run.send(signal.SIGCONT)
        run.ended().check(0)
    second.names("cp1", "lock", "@", "wait until it has ended")
    forge.good()


def test_power_cut_on_a_worker_of_a_good_cluster(forge: Any) -> None:
    forge.lab.host("w1").kill()
    forge.run("plan", "-e", "ansible_timeout=2").check(11).names(
        "w1", "connect", "no answer", "see that the host is up"
    )
    forge.lab.host("w1").start()
    forge.good()


def test_a_file_changed_by_hand_is_put_right(forge: Any) -> None:
    forge.sh("w1", "echo '# by hand' >>/etc/systemd/system/kubelet.service")
    forge.run("plan", "--detailed-exitcode").check(2, "file /etc/systemd/system/kubelet.service")
    forge.good()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another cluster's authority: ca.crt, ca.key."""
    folder = tmp_path_factory.mktemp("foreign")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-days", "365"]
    subprocess.run([*argv, "-keyout", folder / "ca.key", "-out", folder / "ca.crt"], check=True, capture_output=True)
    return folder


AUTHORITY = {
    "ca.crt": ("w1", "kubelet.configure", "is another cluster's", "kubeforge reset --limit w1"),
    "ca.key": ("cp1", "pki", "is not its key", "bring back the pair that belongs together"),
}


@pytest.mark.parametrize("file", AUTHORITY)
def test_another_cluster_s_authority(forge: Any, foreign: Path, on_host: OnHost, file: str) -> None:
    host, *words = AUTHORITY[file]
    target = f"/etc/kubernetes/pki/{file}"
    make = f"cp -p {target} /root/was; cat >{target} <<'END'\n{(foreign / file).read_text()}END\n"
    if file == "ca.key":  # a key is read only where something has to be signed
        make += "mv /etc/kubernetes/pki/apiserver.crt /root/apiserver.crt"
    mend = f"cp -p /root/was {target}; [ ! -e /root/apiserver.crt ] || mv /root/apiserver.crt /etc/kubernetes/pki/"
    with on_host(host, make, mend):
        forge.apply().check(12).names(host, *words)
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")
