"""Signals as they come: a real process that plans and applies, and gets SIGINT."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent("""
    import sys, threading, time
    from kubeforge.engine.events import Events
    from kubeforge.engine.executors import ThreadExecutor
    from kubeforge.engine.interrupt import stopped_by_signals
    from kubeforge.errors import Interrupted

    stop, release = threading.Event(), threading.Event()

    def work(job):
        print("begun", job, flush=True)
        if not release.wait(20 if sys.argv[1] == "twice" else 0.5):
            return "ended"

    try:
        with stopped_by_signals(stop, Events([lambda event: print(event.why, flush=True)])):
            done = [job for job, _ in ThreadExecutor(1).each(work, [1, 2, 3], stop=stop.is_set)]
    except Interrupted as error:
        sys.exit(error.exit_code)
    print("done", done, flush=True)
""")


def started(how: str) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun 1\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_lets_what_runs_end(number: signal.Signals) -> None:
    with started("once") as child:
        child.send_signal(number)
        rest, _ = child.communicate(timeout=10)
        assert rest.startswith(f"{number.name}: stopping after what runs now")
        assert rest.endswith("done [1]\n")
        assert child.returncode == 0


def test_the_second_leaves_at_once() -> None:
    with started("twice") as child:
        assert child.stdout is not None
        child.send_signal(signal.SIGINT)
        assert "stopping" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) == 130
