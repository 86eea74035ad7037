"""What goes: a file that is set aside, names of images."""

from __future__ import annotations

import stat

import pytest

from kubeforge.errors import InputError
from kubeforge.operations.image_absent import ImagesAbsent
from kubeforge.operations.kept_absent import KeptAbsent
from kubeforge.operations.model import Entry, Observation, Verb, fold

FILE = Entry(stat.S_IFREG | 0o600)
GONE = KeptAbsent(path="/m/pod.yaml", aside="/kept/pod.yaml")
IMAGES = ImagesAbsent(images=("a:1", "b c:2"), why="came with the upgrade")


def seen(now: Entry | None, aside: Entry | None = None) -> Observation:
    return Observation(
        paths={"/m/pod.yaml": now, "/kept/pod.yaml": aside}, hashes={"/m/pod.yaml": "d" if now else None}
    )


def test_a_file_goes_and_lies_aside() -> None:
    change = GONE.decide(seen(FILE))
    assert change is not None
    assert (change.verb, change.effect.paths["/m/pod.yaml"]) == (Verb.REMOVE, None)
    assert change.effect.paths["/kept/pod.yaml"] == FILE
    assert change.effect.hashes == {"/m/pod.yaml": None, "/kept/pod.yaml": "d"}
    copied = next(index for index, line in enumerate(change.lines) if "cp -pT" in line)
    removed = next(index for index, line in enumerate(change.lines) if line.startswith("rm -f"))
    assert copied < removed, "nothing goes before its copy is there"
    assert fold([GONE, GONE], seen(FILE))[0] == [change], "a second time there is nothing to do"


def test_what_lies_aside_already_stays() -> None:
    change = GONE.decide(seen(FILE, aside=FILE))
    assert change is not None
    assert not [line for line in change.lines if "cp " in line]


def test_where_nothing_is_nothing_goes() -> None:
    assert GONE.decide(seen(None)) is None
    with pytest.raises(InputError):
        KeptAbsent(path="/m/pod.yaml", aside="kept")


def test_names_of_images_that_are_there_go() -> None:
    change = IMAGES.decide(Observation(images={"a:1": None, "b c:2": "sha256:0"}))
    assert change is not None
    assert change.why == "came with the upgrade: b c:2"
    assert change.lines == ("ctr -n k8s.io images rm 'b c:2' >/dev/null",)
    assert IMAGES.decide(Observation(images={"a:1": None}).after(change)) is None
