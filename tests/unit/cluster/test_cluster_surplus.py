"""What somebody added to a living object is found by its owner, shown, and taken out again."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from kubeforge.cluster.compare import differences, signed, texts
from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.surplus import immutable, surplus, without


def claim(manager: str, fields: dict[str, Any], *, subresource: str = "") -> Obj:
    entry = {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}
    return {**entry, "subresource": subresource} if subresource else entry


def config_map(**data: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        "data": data,
    }


def living(obj: Obj, *claims: Obj, **changes: Any) -> Obj:
    """Return what an API server has after we applied `obj` and others made their claims."""
    said = signed(obj)
    ours = {"manager": "kubeforge", "operation": "Apply", "fieldsV1": {"f:data": {"f:Corefile": {}}}}
    metadata = {**said["metadata"], "uid": "1", "resourceVersion": "7", "managedFields": [ours, *claims]}
    return {**said, "metadata": metadata, **changes}


WANTED = config_map(Corefile=".:53")
BOTH = {"Corefile": ".:53", "extra": "x"}
EXTRA: dict[str, Any] = {"f:data": {"f:extra": {}}}


def test_a_key_added_by_hand_is_a_difference_though_the_digest_is_the_same() -> None:
    live = living(WANTED, claim("kubectl-edit", EXTRA), data=BOTH)
    assert differences(signed(WANTED), live) == ("data.extra (added by kubectl-edit)",)


@pytest.mark.parametrize("manager", ["kube-controller-manager", "kubelet", "kubectl-rollout", "kubeforge"])
def test_what_components_add_is_none(manager: str) -> None:
    assert differences(signed(WANTED), living(WANTED, claim(manager, EXTRA), data=BOTH)) == ()


def test_defaults_and_subresources_are_none() -> None:
    assert differences(signed(WANTED), living(WANTED, data=BOTH)) == ()
    scaled = claim("kubectl", EXTRA, subresource="scale")
    assert differences(signed(WANTED), living(WANTED, scaled, data=BOTH)) == ()


def test_labels_and_annotations_of_others_are_theirs() -> None:
    live = living(WANTED, claim("kubectl-label", {"f:metadata": {"f:labels": {"f:team": {}}}}))
    live["metadata"]["labels"] = {"team": "a"}
    assert differences(signed(WANTED), live) == ()


def test_taking_out_leaves_what_is_ours_and_forgets_the_claim() -> None:
    live = living(WANTED, claim("kubectl-edit", EXTRA), claim("kubelet", {}), data=BOTH)
    pruned = without(live, surplus(WANTED, live))
    assert pruned["data"] == {"Corefile": ".:53"}
    assert pruned["metadata"]["resourceVersion"] == "7", "guards against what others do meanwhile"
    assert [entry["manager"] for entry in pruned["metadata"]["managedFields"]] == ["kubeforge", "kubelet"]
    assert live["data"] == BOTH, "a copy"


def deployment(*containers: Obj, **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": list(containers), **spec}},
        },
    }


A = {"name": "a", "image": "i:1", "env": [{"name": "X", "value": "1"}]}


def test_items_of_named_lists_are_surplus_whoever_added_them() -> None:
    wanted = deployment(A)
    more = {**A, "env": [{"name": "Y", "value": "2"}, *A["env"], {"name": "Z", "value": "3"}]}
    live = living(deployment({"name": "sidecar", "image": "j"}, more))
    assert [str(one) for one in surplus(wanted, live)] == [
        "spec.template.spec.containers[0]",
        "spec.template.spec.containers[1].env[0]",
        "spec.template.spec.containers[1].env[2]",
    ]
    assert without(live, surplus(wanted, live))["spec"] == wanted["spec"]
    assert differences(signed(wanted), live)


def test_a_field_added_inside_of_a_named_item() -> None:
    tree: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"a"}': {"f:tty": {}}}}}}}
    live = living(deployment(A), claim("kubectl-patch", tree))
    live["spec"] = deployment({**A, "tty": True, "imagePullPolicy": "Always"})["spec"]
    (found,) = surplus(deployment(A), live)
    assert str(found) == "spec.template.spec.containers[0].tty (added by kubectl-patch)"


@pytest.mark.parametrize("meant", [False, 0, "", [], {}])
def test_what_is_wanted_empty_is_looked_at_where_it_is_there(meant: Any) -> None:
    """`automountServiceAccountToken: false` turned to true was not seen."""
    wanted = deployment(A, field=meant)
    kept = living(wanted)
    assert differences(signed(wanted), kept) == ()
    dropped = deepcopy(kept)
    del dropped["spec"]["template"]["spec"]["field"]
    assert differences(signed(wanted), dropped) == (), "the API server drops what is empty"
    if meant != {}:
        turned = deepcopy(kept)
        turned["spec"]["template"]["spec"]["field"] = [{"name": "x"}] if meant == [] else True
        assert differences(signed(wanted), turned)


def binding(role: str) -> Obj:
    return {"kind": "RoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": role}}


def test_what_no_update_can_change() -> None:
    assert immutable(binding("a"), binding("b")) == "roleRef"
    assert immutable(binding("a"), binding("a")) == ""
    assert immutable(WANTED, {**WANTED, "immutable": True}) == "immutable"
    assert immutable(WANTED, WANTED) == ""
    service = {"kind": "Service", "spec": {"clusterIP": "10.96.0.10"}}
    assert immutable(service, {"kind": "Service", "spec": {"clusterIP": "10.96.9.9"}}) == "spec.clusterIP"
    assert immutable({"kind": "Service", "spec": {}}, {"kind": "Service", "spec": {"clusterIP": "x"}}) == ""


def test_texts_show_what_differs_and_nothing_else() -> None:
    live = living(
        WANTED, claim("kubectl-edit", EXTRA), data={**BOTH, "Corefile": ".:53 {}\n"}, immutable=False, status={"x": 1}
    )
    before, after = texts(WANTED, live)
    assert "extra: x" in before
    assert "Corefile: |" in before
    assert not any(word in before for word in ("managedFields", "uid", "immutable", "status", "kubeforge.dev"))
    assert "extra" not in after
    assert texts(WANTED, None)[0] == ""
    same = texts(WANTED, living(WANTED))
    assert same[0] == same[1]


def test_texts_show_what_we_set_earlier_and_no_longer_want() -> None:
    live = living(config_map(Corefile=".:53", old="1"))
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:data": {"f:Corefile": {}, "f:old": {}}}
    assert "old: '1'" in texts(WANTED, live)[0]
    assert surplus(WANTED, live) == (), "apply takes it back by itself"


def test_texts_of_lists_keep_the_order_of_what_is_wanted() -> None:
    b = {"name": "b", "image": "j:1"}
    before, after = texts(deployment(A, b), living(deployment({**b, "image": "j:2"}, A)))
    assert [line for line in before.splitlines() if line not in after.splitlines()] == ["      - image: j:2"]
