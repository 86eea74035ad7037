from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster.compare import DIGEST, differences, signed
from kubeforge.cluster.kinds import key_of, sort_key

BASE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "d", "namespace": "n"},
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "a", "image": "i:1", "args": ["x", "y"]}, {"name": "b", "image": "j:1"}],
                "hostNetwork": True,
                "emptyDir": {},
            }
        }
    },
}


def live(**changes: Any) -> dict[str, Any]:
    """Return what an API server makes of BASE: defaults added, empty things dropped."""
    containers = [
        {"name": "a", "image": "i:1", "args": ["x", "y"], "imagePullPolicy": "IfNotPresent"},
        {"name": "b", "image": "j:1", "terminationGracePeriod": 30},
    ]
    spec = {"containers": containers, "hostNetwork": True, "dnsPolicy": "ClusterFirst", **changes}
    metadata = {**signed(BASE)["metadata"], "uid": "1", "resourceVersion": "2"}
    return {**BASE, "metadata": metadata, "spec": {"template": {"spec": spec}}, "status": {"x": 1}}


def test_what_others_add_is_no_difference() -> None:
    assert differences(signed(BASE), live()) == ()


def test_a_missing_object() -> None:
    assert differences(signed(BASE), None) == ("is missing",)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"hostNetwork": False}, "spec.template.spec.hostNetwork"),
        ({"containers": [{"name": "a", "image": "i:1", "args": ["x", "y"]}]}, "spec.template.spec.containers"),
        (
            {"containers": [{"name": "b", "image": "j:2"}, {"name": "a", "image": "i:1", "args": ["x", "y"]}]},
            "spec.template.spec.containers[1].image",
        ),
        (
            {"containers": [{"name": "a", "image": "i:1", "args": ["y", "x"]}, {"name": "b", "image": "j:1"}]},
            "spec.template.spec.containers[0].args[0]",
        ),
    ],
)
def test_what_was_changed_by_hand(changes: dict[str, Any], path: str) -> None:
    assert path in differences(signed(BASE), live(**changes))


def test_order_of_named_items_is_no_difference() -> None:
    turned = list(reversed(live()["spec"]["template"]["spec"]["containers"]))
    assert differences(signed(BASE), live(containers=turned)) == ()


def test_a_field_no_longer_wanted_is_a_difference() -> None:
    less = {**BASE, "spec": {"template": {"spec": {"containers": BASE["spec"]["template"]["spec"]["containers"]}}}}
    assert differences(signed(less), live()) == (f"metadata.annotations.{DIGEST}",)


def test_signing_keeps_annotations_and_the_given_object() -> None:
    own = {**BASE, "metadata": {**BASE["metadata"], "annotations": {"a": "b"}}}
    assert signed(own)["metadata"]["annotations"]["a"] == "b"
    assert DIGEST not in own["metadata"]["annotations"]
    assert signed(BASE) == signed(BASE)


def test_keys_and_order() -> None:
    assert key_of(BASE) == ("apps/v1", "DaemonSet", "n", "d")
    assert sort_key({"kind": "Namespace"}) < sort_key(BASE)
