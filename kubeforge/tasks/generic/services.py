"""Services and units of systemd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from kubeforge.engine.model import Context
from kubeforge.operations import Absent, Directory, File, Restart, Unit
from kubeforge.operations.model import Operation
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import content_of, needed, one_line, unit
from kubeforge.tasks.registry import task

__all__ = ["drop_in", "masked", "reload", "restart", "running", "stopped", "systemd_unit", "timer"]


@task("service.running", aka=("service", "systemd", "systemd_service"))
def running(
    context: Context, *, name: str, enabled: bool | None = True, deadline: float = 120.0
) -> Iterator[Operation]:
    """A service that runs, and starts at boot.

    Args:
        name: `nginx`, or a unit's full name.
        enabled: whether it starts at boot; null: as it is.
        deadline: seconds that starting may take.
    """
    del context
    yield Unit(name=unit(name), enabled=enabled, state="running", deadline=deadline)


@task("service.stopped")
def stopped(context: Context, *, name: str, enabled: bool | None = False) -> Iterator[Operation]:
    """A service that does not run, and does not start at boot.

    Args:
        name: `nginx`, or a unit's full name.
        enabled: whether it starts at boot; null: as it is.
    """
    del context
    yield Unit(name=unit(name), enabled=enabled, state="stopped")


@task("service.masked")
def masked(context: Context, *, name: str, masked: bool = True) -> Iterator[Operation]:
    """A service that nothing can start.

    Args:
        name: `nginx`, or a unit's full name.
        masked: no: it can be started again.
    """
    del context
    yield Unit(name=unit(name), enabled=None, state="stopped" if masked else None, masked=masked)


@task("service.restart", aka=("restarted",))
def restart(context: Context, *, name: str, deadline: float = 120.0) -> Iterator[Operation]:
    """Restart a service. As a handler: when what notifies it changed; as a task: at every apply.

    A restart that a run which was cut off still owed to a handler is made good by the next one.

    Args:
        name: `nginx`, or a unit's full name.
        deadline: seconds that it may take.
    """
    del context
    yield Restart(name=unit(name), deadline=deadline)


@task("service.reload", aka=("reloaded",))
def reload(context: Context, *, name: str, deadline: float = 120.0) -> Iterator[Operation]:
    """Have a service read its configuration again; one that cannot is restarted. Best as a handler.

    Args:
        name: `nginx`, or a unit's full name.
        deadline: seconds that it may take.
    """
    del context
    yield Restart(name=unit(name), how="reload", deadline=deadline)


@task("systemd.unit")
def systemd_unit(
    context: Context,
    *,
    name: str,
    content: str | Secret = "",
    enabled: bool | None = True,
    running: bool | None = True,
    listens: Sequence[str] = (),
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A unit of one's own: its file in /etc/systemd/system, and whether it runs. It restarts when its file changed.

    Args:
        name: the unit's; `app` is app.service.
        content: the unit file.
        enabled: whether it starts at boot; null: as it is.
        running: whether it runs now; null: as it is.
        listens: paths of other files that it reads: it restarts when one of them is changed in this play, too.
        state: present, or absent: stopped, disabled, and its file gone.
    """
    del context
    full = unit(name)
    path = f"/etc/systemd/system/{full}"
    if state == "absent":
        yield Unit(name=full, enabled=False, state="stopped")
        yield Absent(path=path)  # what it held may have been a secret
        return
    needed(f"systemd.unit {name}", content=content)
    yield File(path=path, content=content_of(content))
    heard = (f"file {path}", *(f"file {other}" for other in listens))
    now = None if running is None else "running" if running else "stopped"
    yield Unit(name=full, enabled=enabled, state=now, listens=heard)  # type: ignore[arg-type]  # one of the three


@task("systemd.drop_in")
def drop_in(
    context: Context,
    *,
    unit_name: str,
    name: str = "kubeforge",
    content: str | Secret = "",
    restart: bool = True,
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A drop-in that changes a unit of the distribution: /etc/systemd/system/UNIT.d/NAME.conf.

    Args:
        unit_name: `nginx`, or a unit's full name.
        name: of the file, without `.conf`.
        content: what it holds.
        restart: restart the unit when this changed, if it runs.
        state: present or absent.
    """
    del context
    full = unit(unit_name)
    folder = f"/etc/systemd/system/{full}.d"
    path = f"{folder}/{name}.conf"
    if state == "present":
        needed(f"systemd.drop_in of {unit_name}", content=content)
        yield Directory(path=folder)
        yield File(path=path, content=content_of(content))
    else:
        yield Absent(path=path)  # what it held may have been a secret
    if restart:
        heard = (f"file {path}", f"absent {path}")
        yield Unit(name=full, enabled=None, state=None, listens=heard)


@task("systemd.timer", aka=("timer",))
def timer(
    context: Context,
    *,
    name: str,
    command: str | None = None,
    calendar: str = "",
    user: str = "root",
    persistent: bool = True,
    random_delay: str = "",
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A command that systemd runs at certain times: NAME.timer and NAME.service.

    Args:
        name: of both units.
        command: as `ExecStart=` takes it: an absolute path and its arguments.
        calendar: when, as `OnCalendar=` takes it: `daily`, `Mon..Fri 03:00`.
        user: who runs it.
        persistent: a time that passed while the host was off is made up for.
        random_delay: how long it may wait beyond the time: `10m`.
        state: present or absent.
    """
    del context
    folder = "/etc/systemd/system"
    service, clock = f"{folder}/{name}.service", f"{folder}/{name}.timer"
    if state == "absent":
        yield Unit(name=f"{name}.timer", enabled=False, state="stopped")
        yield Absent(path=clock, reveal=True)
        yield Absent(path=service, reveal=True)
        return
    needed(f"systemd.timer {name}", command=command, calendar=calendar)
    one_line(f"systemd.timer {name}", command=command or "", calendar=calendar, user=user, random_delay=random_delay)
    rows = [f"OnCalendar={calendar}", f"Persistent={'true' if persistent else 'false'}"]
    rows += [f"RandomizedDelaySec={random_delay}"] if random_delay else []
    head = f"# Written by kubeforge.\n[Unit]\nDescription={name}\n\n"
    run = f"[Service]\nType=oneshot\nUser={user}\nExecStart={command}\n"
    when = "[Timer]\n" + "".join(f"{row}\n" for row in rows) + "\n[Install]\nWantedBy=timers.target\n"
    yield File(path=service, content=f"{head}{run}".encode())
    yield File(path=clock, content=f"{head}{when}".encode())
    yield Unit(name=f"{name}.timer", listens=(f"file {clock}", f"file {service}"))
