"""Certificates as a table for a terminal, and what is wrong with them in lines for a monitor."""

from __future__ import annotations

from typing import Final

from kubeforge.cluster.certificates import Listed, Listing, State
from kubeforge.report.tables import plain_table
from kubeforge.report.words import counted

__all__ = ["as_text", "findings"]

_TITLES: Final = ("CERTIFICATE", "HOST", "LEFT", "ENDS", "ISSUER", "FOR", "FILE")
_WIDE: Final = (*_TITLES[:4], "SUBJECT", *_TITLES[4:])
_NONE: Final = "-"
_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def as_text(listing: Listing, *, wide: bool = False) -> str:
    """Return the table; how a certificate stands is said at the end of its line, where it does not stand well.

    Args:
        listing: the certificates.
        wide: with subjects.
    """
    rows = ((*_row(one, wide=wide), _mark(one)) for one in listing.certificates)
    table = plain_table((*(_WIDE if wide else _TITLES), ""), rows)
    return table + "".join(f"{line}\n" for line in _silent(listing))


def findings(listing: Listing) -> str:
    """Return a line for each certificate that is not well, the worst first, and one for the whole."""
    wrong = [one for one in listing.certificates if one.state is not State.VALID]
    lines = [*map(_finding, wrong), *_silent(listing)]
    total, first = len(listing.certificates), next(iter(listing.certificates), None)
    if first is None:
        summary = "no certificate was found: no cluster lives on these hosts"
    elif wrong:
        summary = f"{len(wrong)} of {counted(total, 'certificate')} not well"
    else:
        summary = f"{total} valid; the first to end is {first.name} on {first.host}, {_left(first)} left"
    return "".join(f"{line}\n" for line in (*lines, summary))


def _finding(one: Listed) -> str:
    about = f"{one.host}: {one.name} ({one.path})"
    if one.state is State.SOON:
        return f"{about} ends in {_left(one)}"
    if one.state is State.ENDED:
        return f"{about} ended {_span(-(one.seconds or 0))} ago"
    return f"{about} is {one.state.value}"


def _silent(listing: Listing) -> list[str]:
    return [f"{host}: could not be asked: {why}" for host, why in listing.silent.items()]


def _mark(one: Listed) -> str:
    return " " if one.state is State.VALID else f"!! {one.state.value}"


def _row(one: Listed, *, wide: bool) -> tuple[str, ...]:
    ends = _NONE if one.ends is None else one.ends.strftime("%Y-%m-%d %H:%M")
    head = (one.name, one.host, _left(one), ends)
    rest = (one.issuer or _NONE, ",".join(one.sans) or _NONE, one.path)
    return (*head, one.subject or _NONE, *rest) if wide else (*head, *rest)


def _left(one: Listed) -> str:
    if one.seconds is None:
        return _NONE
    return f"-{_span(-one.seconds)}" if one.seconds < 0 else _span(one.seconds)


def _span(seconds: int) -> str:
    """Return a span as one number: days, where it is less than two, hours, and so on."""
    for size, sign in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {sign}"
    return f"{seconds} s"
