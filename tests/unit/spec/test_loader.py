from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.model import Inventory
from kubeforge.spec.loader import Examined, examine, load, locate
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.releases import RECOMMENDED, release

Look = Callable[..., Examined]


def test_least_gives_all_defaults(look: Look) -> None:
    examined = look("")
    assert examined.problems == ()
    assert examined.spec is not None
    assert examined.spec.endpoint.kind is EndpointKind.FIRST
    assert examined.spec.network.pods == "10.244.0.0/16"


# each: file, line of the problem, its field, words of its message
WHOLE_FILES = [
    ("", None, None, "the file is empty; it needs at the least `name: demo` and `kubernetes: 1.36.3`"),
    ("# only a comment\n", None, None, "the file is empty"),
    ("- a\n", 1, None, "must be `name: value` lines, and is a list"),
    ("demo\n", 1, None, "is a single value"),
    ("name: demo\nnetwork:\n\tpods: 10.0.0.0/8\n", 3, None, "a tab at the beginning of the line; YAML is"),
    ("name: demo\nkubernetes 1.36.3\n", 2, None, "a name without `:`"),
    ('name: "demo\nkubernetes: 1.36.3\n', 1, None, "a quote is opened and not closed"),
    ("name: demo\nnetwork: {cni: flannel\n", 2, None, "a `{` is opened and not closed"),
    ("name: demo\nsans: [a, b\nkubernetes: 1.36.3\n", 2, None, "a `[` is opened and not closed"),
    ("name: demo\nnetwork:\n  cni: flannel\n   pods: x\n", 4, None, "a `:` where none can be; indent like the line"),
    ("name: demo\nnetwork:\n   cni: flannel\n  pods: x\n", 4, None, "the indentation does not fit"),
    ("name: demo\n---\nname: other\n", 2, None, "more than one document"),
    ("name: *demo\n", 1, None, "an alias (`*name`) without its anchor"),
    ("name: demo\nkubernetes: 1.36.3\nos: &a {sysctls: *a}\n", 3, "os.sysctls", "an alias inside of what it stands"),
    ("name: demo\nkubernetes: {{ version }}\n", 2, "kubernetes", "does a value begin with `{` and need quotes?"),
    ("name: !vault x\nkubernetes: 1.36.3\n", 1, "name", "with tag !vault is not understood here"),
    ("name: demo\nkubernetes: 1.36.3\nname: demo2\n", 3, "name", "given twice; the first is on line 1"),
    ("kubernetes: 1.36.3\n", None, "name", "missing; add `name: demo`"),
    ("name: demo\n", None, "kubernetes", "missing; add `kubernetes: 1.36.3`"),
    ("name:\nkubernetes: 1.36.3\n", 1, "name", "empty; give it text, or leave the line out"),
    ("name: Demo_1\nkubernetes: 1.36.3\n", 1, "name", "`Demo_1` will not do: must be lower-case letters"),
    ("name: demo\nkubernetes: v1.36.3\n", 2, "kubernetes", "`v1.36.3` will not do; write 1.36.3, without v"),
    ("name: demo\nkubernetes: 1.36\n", 2, "kubernetes", "`1.36` is a minor; write a full version, such as 1.36."),
    ("name: demo\nkubernetes: latest\n", 2, "kubernetes", "must be a full version without v"),
    ("name: demo\nkubernetes: 1.30.2\n", 2, "kubernetes", "1.30 is not supported; supported: 1.35, 1.36, 1.37"),
    ("name: [demo]\nkubernetes: 1.36.3\n", 1, "name", "must be text, and is a list"),
]


@pytest.mark.parametrize(("text", "line", "field", "words"), WHOLE_FILES)
def test_what_is_wrong_with_a_file(look: Look, text: str, line: int | None, field: str | None, words: str) -> None:
    examined = look(text, whole=True)
    assert examined.spec is None
    found = [problem for problem in examined.errors if words in problem.message]
    assert len(found) == 1, examined.errors
    assert (found[0].line, found[0].field) == (line, field)
    assert found[0].file == str(examined.file)


# each is added to name and kubernetes (lines 1 and 2)
FIELDS = [
    ("netwrok: {}\n", 3, "netwrok", "unknown field; did you mean `network`?"),
    ("apiServer: {}\n", 3, "apiServer", "did you mean `api_server`?"),
    ("cni: flannel\n", 3, "cni", "unknown field here; it belongs to `network`"),
    ("network:\n  addons: {}\n", 4, "network.addons", "it belongs to the top level"),
    ("addons: {wordpress: {}}\n", 3, "addons.wordpress", "unknown field; known here: ingress"),
    ("network: [1]\n", 3, "network", "must be a section of `name: value` lines, and is a list"),
    ("network:\n  node_mask: big\n", 4, "network.node_mask", "must be a whole number, and is `big`"),
    ("network:\n  node_mask: 31\n", 4, "network.node_mask", "31 is out of range: at most 30"),
    ("network:\n  proxy: ipvs\n", 4, "network.proxy", "Kubernetes deprecates ipvs from 1.35); choose iptables or"),
    ("network: {cni: calico}\n", 3, "network.cni", "`calico` is not offered; choose flannel or bridge"),
    ("addons: {ingress: {kind: nginx}}\n", 3, "addons.ingress.kind", "archived since 2026-03); choose traefik"),
    ("os: {manage_hosts: maybe}\n", 3, "os.manage_hosts", "must be true or false, and is `maybe`"),
    ("pki: {api_server_sans: a.example}\n", 3, "pki.api_server_sans", "must be a list, and is `a.example`"),
    ("scheduler: {extra_args: {v: {}}}\n", 3, "scheduler.extra_args.v", "must be text or a list, and is a section"),
    ("artifacts: {mirror: m, sha256: abc}\n", 3, "artifacts.sha256", "must be 64 hexadecimal digits"),
    (
        "nodes:\n  w1:\n    taints:\n      - key: a\n      - {effect: NoSchedule}\n",
        7, "nodes.w1.taints[1].key", "missing",
    ),
    (
        "nodes:\n  w1:\n    taints:\n      - {key: a, effect: Never}\n",
        6, "nodes.w1.taints[0].effect", "`Never` is not offered; choose NoSchedule or",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "field", "words"), FIELDS)
def test_what_is_wrong_with_a_field(look: Look, text: str, line: int, field: str, words: str) -> None:
    (problem,) = look(text).problems
    assert (problem.line, problem.field) == (line, field)
    assert words in problem.message


def test_all_at_once(look: Look) -> None:
    """A field that cannot be read does not hide what the rules find in the others."""
    examined = look(
        "network: {proxy: ipvs, services: 10.244.0.0/16}\nscheduler: {feature_gates: {foo: true}}\nnods: {}\n"
    )
    assert [problem.field for problem in examined.errors] == [
        "network.proxy",
        "network.pods",
        "scheduler.feature_gates.foo",
        "nods",
    ]


def test_rules_say_nothing_of_fields_that_cannot_be_read(look: Look) -> None:
    """A stand-in version must not be judged."""
    examined = look("name: demo\nkubernetes: 1.30\nendpoint: {kind: external, address: [a]}\n", whole=True)
    assert [problem.field for problem in examined.errors] == ["kubernetes", "endpoint.address"]


def test_scalars_are_taken_as_written(look: Look) -> None:
    spec = look(
        "api_server: {extra_args: {v: 4, profiling: false, vmodule: 2026-11-21, runtime-config: [1, 0x10]}}\n"
        "os: {sysctls: {vm.swappiness: 010}}\nnodes: {w1: {labels: {rack: 12, on: yes, version: 1.30}}}\n"
    ).spec
    assert spec is not None
    assert spec.api_server.extra_args == {
        "v": "4",
        "profiling": "false",
        "vmodule": "2026-11-21",
        "runtime-config": ["1", "0x10"],
    }
    assert spec.os.sysctls == {"vm.swappiness": "010"}
    assert spec.nodes["w1"].labels == {"rack": "12", "on": "yes", "version": "1.30"}


def test_an_empty_section_is_none(look: Look) -> None:
    examined = look("network:\naddons:\n  ingress:\nnodes:\n  w1:\nkubelet:\n  config:\n")
    assert examined.problems == ()
    assert examined.spec is not None
    assert examined.spec.addons.ingress is None


def test_anchors_and_merges(look: Look) -> None:
    spec = look("nodes:\n  cp1: &a\n    labels: {disk: ssd}\n  w1:\n    <<: *a\n").spec
    assert spec is not None
    assert spec.nodes["w1"].labels == {"disk": "ssd"}


def test_not_utf8(tmp_path: Path, usual_inventory: Callable[..., Inventory]) -> None:
    (tmp_path / "cluster.yml").write_bytes(b"name: \xff\n")
    (problem,) = examine(tmp_path, usual_inventory()).problems
    assert problem.message == "not UTF-8 text (byte 6)"


def test_no_file(tmp_path: Path, usual_inventory: Callable[..., Inventory]) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, usual_inventory())
    assert f"{tmp_path}/cluster.yml: there is no such file" in str(caught.value)
    assert "at the least with `name: demo`" in str(caught.value)


def test_refusal_says_what_next(tmp_path: Path, usual_inventory: Callable[..., Inventory]) -> None:
    (tmp_path / "cluster.yml").write_text("name: demo\nkubernetes: 1.36.3\nnods: {}\n")
    with pytest.raises(InputError) as caught:
        load(tmp_path, usual_inventory())
    assert str(caught.value).splitlines() == [
        "1 problem in the input",
        f"    {tmp_path}/cluster.yml:3: nods: unknown field; did you mean `nodes`?",
        f"  next: correct {tmp_path}/cluster.yml, then: kubeforge validate -i {tmp_path}",
    ]


def test_where_the_spec_lies(tmp_path: Path) -> None:
    assert locate(tmp_path) == tmp_path / "cluster.yml"
    assert locate(tmp_path / "hosts.yml") == tmp_path / "cluster.yml"
    (tmp_path / "cluster.yaml").touch()
    assert locate(tmp_path) == tmp_path / "cluster.yaml"
    assert locate(tmp_path / "cluster.yml") == tmp_path / "cluster.yml"


def test_a_relative_mirror_lies_beside_the_spec(look: Look) -> None:
    examined = look(f"artifacts: {{mirror: parts, sha256: {'0' * 64}}}\n")
    assert examined.spec is not None
    assert examined.spec.artifacts.mirror == str(examined.file.parent / "parts")


def test_recommended_is_supported() -> None:
    assert release(RECOMMENDED).minor == "1.36"


LOGIN = "containerd: {logins: {registry.example: {username: puller, %s}}}\n"


def test_a_password_may_lie_in_a_file_of_its_own(look: Look, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    spec = look(LOGIN % "password_file: password").spec
    assert spec is not None
    login = spec.containerd.logins["registry.example"]
    assert login.password is not None
    assert login.password.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(spec) + str(spec) + spec.model_dump_json()


def test_a_password_that_cannot_be_read(look: Look) -> None:
    (problem,) = look(LOGIN % "password_file: nowhere").errors
    assert problem.message.endswith("/nowhere cannot be read: No such file or directory")
    assert (problem.line, problem.field) == (3, 'containerd.logins["registry.example"].password_file')
