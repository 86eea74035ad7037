"""Whatever is killed, and whenever: `up` completes it, `down` leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kubeforge.errors import LabError
from kubeforge.lab.host import Host
from kubeforge.lab.lab import Lab
from kubeforge.lab.record import LabRecord
from kubeforge.lab.removal import remains, remove

pytestmark = pytest.mark.lab

Enter = Callable[..., subprocess.CompletedProcess[str]]
Namespaces = Callable[[Sequence[Host]], frozenset[str]]
Traces = Callable[..., list[str]]

UP = "from kubeforge.lab.lab import Lab; Lab.up('crash', control_planes=1, workers=1)"


def killed_up(after: float) -> None:
    """Kill a `lab up` with -9 some seconds after its start; its monitors go on."""
    process = subprocess.Popen([sys.executable, "-c", UP], stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    process.wait()


# 0.15 s: the first folder; 0.3-0.8 s: network, keys, file systems; 1 s and more: monitors, boot
@pytest.mark.parametrize("after", [0.15, 0.25, 0.35, 0.45, 0.6, 0.8, 1.0, 1.5])
def test_down_after_a_killed_up(labs_folder: Path, after: float, namespaces: Namespaces, traces: Traces) -> None:
    killed_up(after)
    folder = labs_folder / "crash"
    record = LabRecord.read(folder / "lab.json")
    inside = namespaces(Lab.find("crash").hosts) if record else set()
    if folder.exists():
        remove("crash")
    assert traces(record.number if record else 999, folder, inside) == []


@pytest.mark.parametrize("after", [0.3, random.uniform(0.2, 1.5)], ids=["early", "random"])
def test_up_after_a_killed_up(after: float, enter: Enter, traces: Traces) -> None:
    killed_up(after)
    with Lab.up("crash", control_planes=1, workers=1) as lab:
        for host in lab.hosts:
            assert enter(lab, host.name, "hostname").stdout == f"{host.name}\n", f"killed after {after}"
    assert traces(lab.record.number, lab.paths.folder) == []


@pytest.mark.parametrize("held", [False, True], ids=["before-its-lock", "before-its-boot"])
def test_a_host_that_somebody_else_is_starting_is_started_once(held: bool, enter: Enter, traces: Traces) -> None:
    with Lab.up("crash", control_planes=1, workers=0) as lab:
        host = lab.hosts[0]
        host.kill()
        first = host.launch()
        while held and not host.monitored:
            time.sleep(0.001)
        assert host.state == "off"
        second = host.launch()
        host.launched(second)
        init = host.init
        host.launched(first)
        assert host.init == init is not None
        host.wait()
        assert enter(lab, host.name, "hostname").stdout == f"{host.name}\n"
    assert traces(lab.record.number, lab.paths.folder) == []


def test_down_after_everything_was_killed_and_the_record_is_lost(
    labs_folder: Path, namespaces: Namespaces, traces: Traces
) -> None:
    lab = Lab.up("crash", control_planes=1, workers=1)
    inside = namespaces(lab.hosts)
    lab.paths.record.unlink()
    assert "crash" in remains()
    remove("crash")
    assert traces(lab.record.number, lab.paths.folder, inside) == []


def test_down_after_a_killed_down(labs_folder: Path, namespaces: Namespaces, traces: Traces) -> None:
    lab = Lab.up("crash", control_planes=1, workers=1)
    inside = namespaces(lab.hosts)
    process = subprocess.Popen([sys.executable, "-c", "from kubeforge.lab.removal import remove; remove('crash')"])
    while lab.paths.record.exists():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    remove("crash")
    assert traces(lab.record.number, lab.paths.folder, inside) == []


def test_hosts_start_again_after_the_network_was_lost(enter: Enter) -> None:
    with Lab.up("crash", control_planes=1, workers=0) as lab:
        subprocess.run(["ip", "link", "delete", lab.record.uplink], check=True)
        assert not lab.is_up
        lab.host("cp1").kill()
        with pytest.raises(LabError, match="is down"):
            lab.host("cp1").start()
        assert Lab.up("crash", control_planes=1, workers=0).is_up
        assert enter(lab, "cp1", "true").returncode == 0


def test_refused_without_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code = "from kubeforge.lab.lab import Lab; Lab.up('x')"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code]
    done = subprocess.run(nobody, capture_output=True, text=True, check=False, env={"KUBEFORGE_LABS": str(tmp_path)})
    assert "LabError: a lab needs root" in done.stderr
    assert "with sudo" in done.stderr
    assert not list(tmp_path.iterdir())


def test_refused_where_overlay_is_impossible(tmp_path: Path) -> None:
    """An overlay's upper files may not lie on another overlay: as in most containers."""
    for name in ("lower", "upper", "work", "root"):
        (tmp_path / name).mkdir()
    code = "import sys; from kubeforge.lab.lab import Lab; Lab.up('x')"
    script = (
        'mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/root" && '
        'KUBEFORGE_LABS="$1/root/labs" exec "$2" -c "$3"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not possible here: file system overlay" in done.stderr
    assert "KUBEFORGE_LABS=" in done.stderr
    assert not list((tmp_path / "upper" / "labs").iterdir())
