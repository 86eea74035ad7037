"""Setting, Download, Checkout, Unpacked, Restart, Notified, and what Command learned."""

from __future__ import annotations

import hashlib
import stat

import pytest

from kubeforge.errors import InputError, Unreadable
from kubeforge.operations import Checkout, Command, Download, File, Notified, Package, Restart, Setting, Unpacked
from kubeforge.operations.model import Entry, Observation, UnitState, Verb, fold
from kubeforge.operations.notified import followed, stamp
from kubeforge.secret import Secret

HEX = "a" * 64
NOW, THEN = "1" * 40, "2" * 40


def test_settings() -> None:
    setting = Setting(name="tz", probe="cat /etc/tz", wanted="UTC", lines=("set UTC",), restoring=("set",))
    assert setting.decide(Observation(outputs={"cat /etc/tz": "UTC\n"})) is None
    change = setting.decide(Observation(outputs={"cat /etc/tz": "MET\n"}))
    assert change is not None
    assert (change.title, change.verb, change.why, change.undo) == ("tz", Verb.UPDATE, "is MET", ("set MET",))
    assert setting.decide(Observation().after(change)) is None
    unset = setting.decide(Observation(outputs={"cat /etc/tz": ""}))
    assert unset is not None
    assert (unset.verb, unset.why, unset.undo) == (Verb.CREATE, "is not set", ())


def test_downloads() -> None:
    download = Download(
        path="/opt/x", url="https://example.test/x?a=1&b", sha256=HEX, mode=0o755, env={"https_proxy": "p q"}
    )
    missing = Observation(paths={"/opt/x": None}, hashes={"/opt/x": None})
    change = download.decide(missing)
    assert change is not None
    assert change.lines[0] == "export https_proxy='p q'"
    assert "-- 'https://example.test/x?a=1&b'" in change.lines[3]
    assert f"{HEX} '/opt/.x.kubeforge~' | sha256sum -c" in change.lines[5]
    assert change.lines[-1] == "mv -fT -- '/opt/.x.kubeforge~' /opt/x; trap - EXIT"
    assert download.decide(missing.after(change)) is None
    other = Observation(paths={"/opt/x": Entry(stat.S_IFREG | 0o755)}, hashes={"/opt/x": "b" * 64})
    changed, same = download.decide(other), download.decide(Observation(paths=other.paths, hashes={"/opt/x": HEX}))
    assert changed is not None
    assert (changed.why, same) == ("other content", None)
    modes = Observation(paths={"/opt/x": Entry(stat.S_IFREG | 0o644)}, hashes={"/opt/x": HEX})
    only = download.decide(modes)
    assert only is not None
    assert only.lines == ("chmod -- 0755 /opt/x",)
    with pytest.raises(Unreadable):
        download.decide(Observation(paths={"/opt/x": Entry(stat.S_IFDIR | 0o755)}, hashes={"/opt/x": None}))
    for wrong in ({"sha256": "abc"}, {"url": "example.test"}, {"path": "x"}):
        with pytest.raises(InputError):
            Download(**{"path": "/opt/x", "url": "https://x.test", "sha256": HEX, **wrong})  # type: ignore[arg-type]


def checkout(said: str, **more: object) -> tuple[Checkout, Observation]:
    made = Checkout(path="/srv/app", url="https://git.test/app", **{"version": "main", **more})  # type: ignore[arg-type]
    return made, Observation(outputs={made.probe: said})


def test_checkouts() -> None:
    url = "https://git.test/app"
    for said, why in (
        (f"{NOW}\n{url}\nclean\n{NOW}\n", None),
        (f"\n\nclean\n{NOW}\n", "is missing"),
        (f"{THEN}\n{url}\nclean\n{NOW}\n", f"is at {THEN[:12]}, not {NOW[:12]}"),
        (f"{NOW}\nhttps://other.test\nclean\n{NOW}\n", "comes from elsewhere or is changed"),
    ):
        made, seen = checkout(said)
        changes, after = fold([made], seen)
        assert [change.why for change in changes] == ([] if why is None else [why])
        assert fold([made], after)[0] == []
    made, seen = checkout(f"{THEN}\n{url}\nclean\n{NOW}\n")
    change = made.decide(seen)
    assert change is not None
    assert f"checkout -q --detach {NOW}" in change.lines[-1]
    assert change.undo[0].endswith(f"checkout -q --detach {THEN}")


def test_a_checkout_can_be_planned_before_git_is_there() -> None:
    made, seen = checkout("\n\nclean\nno git\n")
    (change,), after = fold([made], seen)
    assert "so is git" in change.why
    assert change.lines[-1].endswith("checkout -q --force --detach FETCH_HEAD")
    assert fold([made], after)[0] == []


def test_checkouts_that_are_refused() -> None:
    url = "https://git.test/app"
    made, seen = checkout(f"{THEN}\n{url}\nchanged\n{NOW}\n")
    with pytest.raises(Unreadable, match="were changed"):
        made.decide(seen)
    forced, seen = checkout(f"{NOW}\n{url}\nchanged\n{NOW}\n", force=True)
    assert forced.decide(seen) is not None
    nothing, seen = checkout(f"{NOW}\n{url}\nclean\n\n")
    with pytest.raises(Unreadable, match="has no main"):
        nothing.decide(seen)
    exact, _ = checkout("", version=NOW, user="app")
    assert f"echo {NOW}" in exact.probe
    assert "ls-remote" not in exact.probe
    assert "runuser -u app -- " in exact.probe
    for wrong in ({"version": "-x"}, {"version": "a b"}, {"url": ""}):
        with pytest.raises(InputError):
            Checkout(**{"path": "/srv/app", "url": url, **wrong})  # type: ignore[arg-type]


def test_archives() -> None:
    unpacked = Unpacked(path="/opt/app", archive=b"tar", name="app.tgz", strip=1, owner="app")
    nothing = Observation(paths={unpacked.stamp: None})
    change = unpacked.decide(nothing)
    assert change is not None
    assert change.lines[0] == 'tar -x -f "$P" -C /opt/app --no-same-owner --strip-components=1'
    assert change.lines[1].endswith(" | (cd -- /opt/app && xargs -r -d '\\n' chown -h -- app:)")
    assert unpacked.stamp == "/opt/app/.app.tgz.kubeforge"
    assert unpacked.decide(nothing.after(change)) is None
    there = Unpacked(path="/opt/app", archive="/tmp/a.zip", name="a.zip", form="zip")
    stamped = {there.stamp: f"{HEX}\n".encode()}
    entries = {there.stamp: Entry(stat.S_IFREG | 0o644), "/tmp/a.zip": Entry(stat.S_IFREG | 0o644)}
    assert there.decide(Observation(paths=entries, hashes={"/tmp/a.zip": HEX}, contents=stamped)) is None
    again = there.decide(Observation(paths=entries, hashes={"/tmp/a.zip": "b" * 64}, contents=stamped))
    assert again is not None
    assert again.lines[0] == "unzip -q -o /tmp/a.zip -d /opt/app"
    with pytest.raises(Unreadable, match="is missing on the host"):
        there.decide(Observation(paths={"/tmp/a.zip": None}, hashes={"/tmp/a.zip": None}))


RUNS = UnitState(load="loaded", active="active", file="enabled", since=100)
FAILED = UnitState(load="loaded", active="failed", file="enabled")


def test_restarts() -> None:
    change = Restart(name="web.service").decide(Observation(units={"web.service": RUNS}))
    assert change is not None
    assert change.lines == ("systemctl daemon-reload", "systemctl restart -- web.service")
    failed = Restart(name="web.service", how="reload").decide(Observation(units={"web.service": FAILED}))
    assert failed is not None
    assert failed.title == "reload web.service"
    assert failed.lines[1:] == (
        "systemctl reset-failed -- web.service",
        "systemctl reload-or-restart -- web.service",
    )
    with pytest.raises(Unreadable):
        Restart(name="web.service").decide(Observation(units={"web.service": UnitState(load="unknown")}))


def test_who_is_notified() -> None:
    file = File(path="/etc/x", content=b"x")
    telling, told = followed([file], Command(argv=("true",), name="it"))
    path = stamp("command it")
    missing = Observation(paths={"/etc/x": None, path: None}, hashes={"/etc/x": None})
    (written, done), after = fold([telling, told], missing)
    assert (written.title, done.title, done.why) == ("file /etc/x", "command it", "changed: file /etc/x")
    assert written.lines[:2] == ("mkdir -p -- /var/lib/kubeforge/owed", f": >{path}"), "before anything is changed"
    assert done.lines == ("true", f"rm -f -- {path}"), "when all is done"
    assert after.paths[path] is None
    there = {"/etc/x": Entry(stat.S_IFREG | 0o644), path: None}
    same = Observation(paths=there, hashes={"/etc/x": hashlib.sha256(b"x").hexdigest()})
    assert fold([telling, told], same)[0] == []


def test_who_notifies_may_do_more_than_it_foretells_as_before() -> None:
    """A package that notifies a handler brings its folders, too: what follows is looked at again (ADR 96)."""
    file = File(path="/etc/x", content=b"x")
    telling, told = followed([Package(name="nginx")], file)
    assert (telling.open_ended, told.open_ended) == (True, False)
    assert Notified(operation=Package(name="nginx")).open_ended


def test_what_an_earlier_run_owed_is_done() -> None:
    """Killed between a change and its handler: the next run has nothing to change, and the handler still runs."""
    telling, told = followed([File(path="/etc/x", content=b"x")], Command(argv=("true",), name="it"))
    there = {"/etc/x": Entry(stat.S_IFREG | 0o644), stamp("command it"): Entry(stat.S_IFREG | 0o600)}
    left = Observation(paths=there, hashes={"/etc/x": hashlib.sha256(b"x").hexdigest()})
    (change,), after = fold([telling, told], left)
    assert (change.title, change.why) == ("command it", "an earlier run owed it")
    assert fold([telling, told], after)[0] == []


def test_commands_of_others_elsewhere() -> None:
    command = Command(
        argv=("make", "all"), unless=("test", "-e", "done"), user="app", chdir="/srv/app", env={"A": "b c"}, ok=(0, 3)
    )
    (test,) = command.observe().tests
    assert test[:2] == ("sh", "-ec")
    assert "cd -- /srv/app\nexec runuser -u app -- " in test[2]
    assert command.decide(Observation(tests={test: 0})) is None
    change = command.decide(Observation(tests={test: 1}))
    assert change is not None
    assert change.lines[:2] == ("export A='b c'", "cd -- /srv/app")
    assert change.lines[2].startswith("r=0; runuser -u app -- sh -c ")
    assert change.lines[2].endswith(" app make all || r=$?; [ $r -eq 0 ] || [ $r -eq 3 ]")
    removing = Command(argv=("rm", "/x"), removes="/x", stdin=Secret("s"))
    assert removing.decide(Observation(paths={"/x": None})) is None
    due = removing.decide(Observation(paths={"/x": Entry(stat.S_IFREG)}))
    assert due is not None
    assert (due.why, due.lines, due.effect.paths) == ("/x is there", ('rm /x <"$P"',), {"/x": None})
    with pytest.raises(InputError):
        Command(argv=("x",), chdir="srv")
