"""What a run leaves behind on any console: lines that scroll away. Knows no console."""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.events import (
    ChangeDone,
    Collected,
    Event,
    HostFacts,
    HostFailed,
    PlayDone,
    PlayStarted,
    StepFailed,
    Stopping,
    Warned,
)
from kubeforge.report.words import STYLES, SYMBOLS, counted, failure_lines, span

__all__ = ["scrolled"]


def scrolled(event: Event, *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines that an event leaves behind on any console, each with its style."""
    match event:
        case PlayStarted(play=play, hosts=hosts):
            yield f"{play} ({counted(len(hosts), 'host')})", "bold"
        case PlayDone(play=play, seconds=seconds):
            yield f"  {play}: {span(seconds)}", "dim"
        case ChangeDone(host=host, verb=verb, title=title, why=why) if verbose:
            yield f"  {host}: {SYMBOLS.get(verb, '*')} {title} ({why})", STYLES.get(verb, "")
        case HostFacts(host=host, about=about, seconds=seconds) if verbose:
            yield f"  {host}: {about} ({span(seconds)})", "dim"
        case Collected(host=host, generations=generations, programs=programs, size=size) if verbose:
            gone = f"{counted(generations, 'old generation')} and {counted(programs, 'unused program')}"
            yield f"  {host}: {gone} ({size / 1e6:.0f} MB) are not kept any more", "dim"
        case StepFailed(failure=failure) | HostFailed(failure=failure):
            for number, line in enumerate(failure_lines(failure)):
                yield line, "bold red" if number == 0 else ""
        case Warned(host=host, message=message):
            yield f"warning: {host}: {message}" if host else f"warning: {message}", "yellow"
        case Stopping(why=why):
            yield why, "bold yellow"
