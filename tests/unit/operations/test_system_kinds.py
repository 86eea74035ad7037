"""Package, Sysctl, KernelModule, Mount, SwapOff, Image, and diffs."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from kubeforge import operations
from kubeforge.errors import InputError, UnfitHost, Unreadable
from kubeforge.operations import File, Image, KernelModule, Mount, Package, Packages, SwapOff, Sysctl, User
from kubeforge.operations.diffs import attach_diffs, diffable
from kubeforge.operations.model import Entry, LocalContent, MountEntry, Observation, Operation, Queries, Verb, fold
from kubeforge.secret import Secret

ACTIVE = ("grep", "-qv", "^Filename", "/proc/swaps")


def test_every_kind_is_exported() -> None:
    """All subclasses in the package's modules are in `__all__`, each has a kind of its own."""
    kinds = [getattr(operations, name) for name in operations.__all__]
    assert all(issubclass(kind, Operation) for kind in kinds)
    assert len({kind.kind for kind in kinds}) == len(kinds)
    folder = Path(operations.__file__).parent
    classes = {
        line.split("(")[0].removeprefix("class ")
        for path in folder.glob("*.py")
        if path.stem not in ("model", "restore")  # restore serves generations only
        for line in path.read_text().splitlines()
        if line.startswith("class ") and "(Operation)" in line
    }
    assert classes == set(operations.__all__)


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt", "apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install socat || "),
        ("dnf", "dnf -y install socat"),
        ("zypper", "zypper --non-interactive install socat"),
    ],
)
def test_packages(manager: str, command: str) -> None:
    package = Package(name="socat", manager=manager)  # type: ignore[arg-type]  # one of the three
    change = package.decide(Observation(packages={"socat": None}))
    assert change is not None
    assert change.lines[1].startswith(command)
    assert ("apt-get -q update &&" in change.lines[1]) == (manager == "apt")
    assert package.decide(Observation(packages={"socat": "1.7"})) is None
    assert change.guard == Queries(packages=("socat",))
    gone = Package(name="socat", manager=manager, state="absent")  # type: ignore[arg-type]  # one of the three
    removal = gone.decide(Observation(packages={"socat": "1.7"}))
    assert removal is not None
    assert removal.verb is Verb.REMOVE
    assert gone.decide(Observation(packages={"socat": None})) is None


@pytest.mark.parametrize(
    ("words", "manager"),
    [
        ("debian ", "apt-get"),
        ("ubuntu debian", "apt-get"),
        ("rocky rhel centos fedora", "dnf"),
        ("fedora ", "dnf"),
        ("opensuse-leap suse opensuse", "zypper"),
        ("sles suse", "zypper"),
    ],
)
def test_what_the_host_is_tells_what_installs(words: str, manager: str) -> None:
    """Nothing is asked of the host beforehand: it tells along with what is installed."""
    for package in (Package(name="socat"), Packages(names=("socat", "curl"))):
        asked = package.observe()
        change = package.decide(Observation(packages={"socat": None}, outputs=dict.fromkeys(asked.outputs, words)))
        assert change is not None
        assert change.lines[1].startswith(f"{manager} ")
        assert change.guard == Queries(packages=asked.packages)


def test_a_host_of_no_family_where_nothing_is_missing() -> None:
    package = Package(name="socat")
    assert package.decide(Observation(packages={"socat": "1.7"})) is None
    with pytest.raises(UnfitHost, match=r"package socat: a host that calls itself nixos is of no family that is known"):
        package.decide(Observation(packages={"socat": None}, outputs=dict.fromkeys(package.observe().outputs, "nixos")))


def test_several_packages_at_once() -> None:
    packages = Packages(names=("socat", "curl", "git"), manager="dnf")
    change = packages.decide(Observation(packages={"socat": None, "curl": "8", "git": None}))
    assert change is not None
    assert (change.why, change.lines[1]) == ("not installed: socat, git", "dnf -y install socat git")
    assert packages.decide(Observation(packages={"curl": "8"}).after(change)) is None
    with pytest.raises(InputError):
        Packages(names=("a", "-y"))


def test_names_that_are_none() -> None:
    for make in (
        lambda: Package(name="-y"),
        lambda: Package(name="a b"),
        lambda: Sysctl(name="kernel", value="1"),
        lambda: Sysctl(name="net.ipv4.$(id)", value="1"),
        lambda: KernelModule(name="../x"),
        lambda: Image(archive=None, images={}),
        lambda: Mount(path="relative"),
        lambda: User(name="-o"),
        lambda: User(name="Etcd"),
        lambda: User(name="etcd", home="relative"),
    ):
        with pytest.raises(InputError):
            make()


def test_users() -> None:
    user, known = User(name="etcd", home="/var/lib/etcd"), ("getent", "passwd", "etcd")
    assert user.decide(Observation(tests={known: 0})) is None
    change = user.decide(Observation(tests={known: 2}))
    assert change is not None
    assert (change.verb, change.guard) == (Verb.CREATE, Queries(tests=(known,)))
    assert change.lines == (
        "useradd --system --user-group --no-create-home --home-dir /var/lib/etcd --shell /usr/sbin/nologin -- etcd",
    )
    assert change.undo == ("userdel -- etcd || [ $? -eq 6 ]",), "one that is gone already is no failure"
    assert user.decide(Observation(tests={known: 2}).after(change)) is None


def test_sysctls() -> None:
    sysctl = Sysctl(name="net.ipv4.tcp_rmem", value="1\t2  3")
    assert sysctl.decide(Observation(sysctls={sysctl.name: "1 2 3"})) is None
    change = sysctl.decide(Observation(sysctls={sysctl.name: "4 5 6"}))
    assert change is not None
    assert change.lines == ("printf '%s\\n' '1 2 3' >/proc/sys/net/ipv4/tcp_rmem",)
    assert change.undo == ("printf '%s\\n' '4 5 6' >/proc/sys/net/ipv4/tcp_rmem",)
    unknown = sysctl.decide(Observation(sysctls={sysctl.name: None}))
    assert unknown is not None
    assert (unknown.why, unknown.undo) == ("is not known to the kernel yet", ())
    dotted = Sysctl(name="net.ipv4.conf.eth0/1.forwarding", value="1").decide(
        Observation(sysctls={"net.ipv4.conf.eth0/1.forwarding": "0"})
    )
    assert dotted is not None
    assert dotted.lines[0].endswith(">/proc/sys/net/ipv4/conf/eth0.1/forwarding")
    slashed = Sysctl(name="net/ipv4/conf/eth0.1/forwarding", value="1")
    asked = slashed.decide(Observation(sysctls={slashed.name: "0"}))
    assert asked is not None
    assert asked.lines == dotted.lines, "as sysctl(8) takes it"


def test_modules() -> None:
    module = KernelModule(name="br_netfilter")
    assert module.decide(Observation(modules={"br_netfilter": True})) is None
    change = module.decide(Observation(modules={"br_netfilter": False}))
    assert change is not None
    assert change.lines[1] == "modprobe -- br_netfilter"
    assert "the host is a container" in change.lines[0]
    assert module.decide(Observation(modules={}).after(change)) is None


SHARE = MountEntry("srv:/x", "nfs4", frozenset({"rw", "ro", "noexec"}), b"raw")
LOOP = MountEntry("/dev/loop0", "ext4", frozenset({"rw"}), b"raw")
DISK = MountEntry("/dev/sdb", "ext4", frozenset({"rw", "relatime"}), b"raw")


@pytest.mark.parametrize(
    ("mount", "now", "lines"),
    [
        (Mount(path="/m", source="/dev/sdb", fstype="ext4"), DISK, None),
        (Mount(path="/m", source="UUID=1-2", fstype="ext4"), DISK, None),
        (
            Mount(path="/m", source="/dev/sdb", fstype="ext4", options=("noatime", "commit=5")),
            DISK,
            ("mount -o remount,noatime,commit=5 -- /m",),
        ),
        (Mount(path="/m", source="/dev/sdb", fstype="ext4"), None, ("mount -t ext4 -- /dev/sdb /m",)),
        (Mount(path="/m", source="/dev/sdc", fstype="ext4"), DISK, ("umount -- /m", "mount -t ext4 -- /dev/sdc /m")),
        (Mount(path="/m", source="/d", options=("bind", "ro")), None, ("mount -t none -o bind,ro -- /d /m",)),
        (Mount(path="/m", source="/d", options=("bind",)), DISK, None),
        (Mount(path="/m", source="/dev/sdb", fstype="auto", options=("rw", "exec")), DISK, None),
        (Mount(path="/m", source="srv:/x/", fstype="nfs"), SHARE, None),
        (Mount(path="/m", source="/disk.img", fstype="ext4", options=("loop",)), LOOP, None),
        (
            Mount(path="/m", source="srv:/x", fstype="nfs", options=("rw", "exec")),
            SHARE,
            ("mount -o remount,rw,exec -- /m",),
        ),
        (Mount(path="/m", state="absent"), None, None),
        (Mount(path="/m", state="absent"), DISK, ("umount -- /m",)),
    ],
)
def test_mounts(mount: Mount, now: MountEntry | None, lines: tuple[str, ...] | None) -> None:
    seen = Observation(mounts={"/m": now})
    change = mount.decide(seen)
    assert (None if change is None else change.lines) == lines
    if change is not None:
        assert mount.decide(seen.after(change)) is None
        assert change.undo or now is not None


FSTAB = b"/dev/a / ext4 rw 0 1\n/dev/b none swap sw 0 0\n# /dev/c none swap sw\n/swap\tswap\tswap\tdefaults\n"


def fstab(content: bytes, active: int) -> Observation:
    return Observation(
        paths={"/etc/fstab": Entry(stat.S_IFREG | 0o664, "root", "disk")},
        hashes={"/etc/fstab": hashlib.sha256(content).hexdigest()},
        contents={"/etc/fstab": content},
        tests={ACTIVE: active},
    )


def test_swap() -> None:
    off = SwapOff()
    change = off.decide(fstab(FSTAB, 0))
    assert change is not None
    assert change.lines[0] == "swapoff -a"
    assert change.payload == (
        b"/dev/a / ext4 rw 0 1\n# off by kubeforge: /dev/b none swap sw 0 0\n"
        b"# /dev/c none swap sw\n# off by kubeforge: /swap\tswap\tswap\tdefaults\n"
    )
    assert change.payload_mode == 0o664
    assert any("root:disk" in line for line in change.lines)
    assert off.decide(fstab(FSTAB, 0).after(change)) is None
    assert off.decide(fstab(b"", 1)) is None
    only_active = off.decide(fstab(b"", 0))
    assert only_active is not None
    assert (only_active.lines, only_active.payload, only_active.why) == (("swapoff -a",), None, "is in use")
    only_file = off.decide(fstab(FSTAB, 1))
    assert only_file is not None
    assert (only_file.verb, only_file.undo) == (Verb.UPDATE, ())
    missing = Observation(paths={"/etc/fstab": None}, tests={ACTIVE: 2})
    assert off.decide(missing) is None
    with pytest.raises(Unreadable, match="could not be read"):
        off.decide(Observation(paths={"/etc/fstab": Entry(stat.S_IFREG | 0o600)}, tests={ACTIVE: 1}))


def test_images_of_an_archive(tmp_path: Path) -> None:
    archive = LocalContent(path=tmp_path / "a.tar", sha256="0" * 64, size=1)
    image = Image(archive=archive, images={"r/a:1": "sha256:aa", "r/b:1": "sha256:bb"})
    assert image.title == "image r/a:1 and 1 more"
    have = Observation(images={"r/a:1": "sha256:aa", "r/b:1": "sha256:bb"})
    assert image.decide(have) is None
    change = image.decide(Observation(images={"r/a:1": "sha256:aa", "r/b:1": "sha256:old"}))
    assert change is not None
    assert (change.payload, change.lines) == (archive, ('ctr -n k8s.io images import "$P"',))
    assert change.why == "missing or other: r/b:1"
    assert image.decide(have.after(change)) is None
    none = image.decide(Observation(images={"r/a:1": None, "r/b:1": None}))
    assert none is not None
    assert len(none.effect.images) == 2


def test_images_of_a_registry() -> None:
    image = Image(archive=None, images={"r/a:1": "sha256:aa", "r/b:1": ""})
    change = image.decide(Observation(images={"r/a:1": None, "r/b:1": None}))
    assert change is not None
    assert change.payload is None
    assert change.lines[0] == "ctr -n k8s.io images pull r/a:1"
    assert "grep -F -- sha256:aa" in change.lines[3]
    assert change.lines[-1] == "ctr -n k8s.io images pull r/b:1"
    assert image.decide(Observation(images={"r/a:1": "sha256:aa", "r/b:1": "sha256:any"})) is None


def seen_files(**contents: bytes) -> Observation:
    paths = {f"/{name}": Entry(stat.S_IFREG | 0o644) for name in contents}
    return Observation(
        paths=paths, hashes={f"/{name}": hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    )


def test_diffs() -> None:
    old = {"/text": b"1\n", "/binary": b"\0", "/secret": b"s", "/big": b"x" * 65537, "/latin": b"\xe9"}
    seen = seen_files(**{name[1:]: content for name, content in old.items()}).overlaid(
        Observation(paths={"/new": None}, hashes={"/new": None})
    )
    writes = [
        File(path="/text", content=b"2\n"),
        File(path="/text", content=b"3\n"),
        File(path="/binary", content=b"text"),
        File(path="/secret", content=Secret("other")),
        File(path="/big", content=b"small"),
        File(path="/latin", content=b"plain"),
        File(path="/new", content=b"new\n"),
    ]
    changes, _ = fold(writes, seen)
    assert diffable(changes) == ("/text", "/binary", "/big", "/latin")
    diffs = {change.title: change.diff for change in attach_diffs(changes, old)[2:]}
    assert diffs.pop("file /new") is not None
    assert set(diffs.values()) == {None}
    first, second = attach_diffs(changes, old)[:2]
    assert first.diff is not None
    assert second.diff is not None
    assert (first.diff.before, first.diff.after) == ("1\n", "2\n")
    assert (second.diff.before, second.diff.after) == ("2\n", "3\n")
    assert attach_diffs(changes[:1], {})[0].diff is None  # not known: nothing is made up
