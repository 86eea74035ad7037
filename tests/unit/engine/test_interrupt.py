"""Signals as they come: a real process that plans and applies, and gets SIGINT."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent("""
    import sys, threading
    from kubeforge.engine.events import Events
    from kubeforge.engine.executors import ThreadExecutor
    from kubeforge.engine.interrupt import interruptible
    from kubeforge.errors import Interrupted

    stop, release = threading.Event(), threading.Event()
    events = Events([lambda event: print(event.why, flush=True)])

    def one(job):
        print("begun", job, flush=True)
        release.wait(0.5)

    def jobs():
        done = [job for job, _ in ThreadExecutor(1).each(one, [1, 2, 3], stop=stop.is_set)]
        print("done", done, flush=True)

    def swallows():
        while not release.is_set():
            try:
                print("begun 1", flush=True)
                release.wait(20)
            except Interrupted:
                print("swallowed", flush=True)

    def fails():
        raise LookupError("as it is")

    try:
        interruptible({"jobs": jobs, "swallows": swallows, "fails": fails}[sys.argv[1]], stop, events)
    except Interrupted as error:
        sys.exit(error.exit_code)
    except LookupError as error:
        sys.exit(f"raised {error}")
""")


def started(work: str) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, work], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun 1\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_lets_what_runs_end(number: signal.Signals) -> None:
    with started("jobs") as child:
        child.send_signal(number)
        rest, _ = child.communicate(timeout=10)
        assert rest.startswith(f"{number.name}: stopping after what runs now")
        assert rest.endswith("done [1]\n")
        assert child.returncode == 0


def test_the_second_leaves_at_once_whatever_the_work_is_at() -> None:
    with started("swallows") as child:
        assert child.stdout is not None
        child.send_signal(signal.SIGINT)
        assert "stopping" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) == 130


def test_what_the_work_raises_is_raised() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "fails"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "raised as it is\n")
