"""Each rule has examples that break it; the message's words, the place, and whether it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load as load_inventory
from kubeforge.inventory.model import Host, Inventory
from kubeforge.spec.document import read
from kubeforge.spec.loader import Examined, examine
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.shape import shape
from kubeforge.spec.validate import INVENTORY_RULES, RULES, validate

Look = Callable[..., Examined]
Digest = "0" * 64

# text added to name and kubernetes, line, field, words, warning
SPEC = [
    # versions
    ("artifacts: {source: mirror}\n", 3, "artifacts.source", "artifacts.mirror names none", False),
    ("artifacts:\n  mirror: /m\n", 3, "artifacts.sha256", "needs artifacts.sha256: `sha256sum SHA256SUMS`", False),
    (f"artifacts: {{sha256: '{Digest}'}}\n", 3, "artifacts.sha256", "a digest without artifacts.mirror", False),
    (
        f"artifacts: {{mirror: ftp://m, sha256: '{Digest}'}}\n",
        3, "artifacts.mirror", "`ftp://m` is neither a directory nor an http(s) URL", False,
    ),
    (
        f"artifacts: {{mirror: /m, sha256: '{Digest}', source: upstream}}\n",
        3, "artifacts.mirror", "not used, because source is `upstream`", True,
    ),
    ("containerd: {mirrors: {'https://a': []}}\n", 3, 'containerd.mirrors["https://a"]', "no scheme, no path", False),
    ("containerd: {mirrors: {'*': [m]}}\n", 3, 'containerd.mirrors["*"][0]', "`m` is not an http(s) URL", False),
    ("os: {sysctls: {swap: 1}}\n", 3, "os.sysctls.swap", "not a kernel parameter, such as", False),
    ("os: {sysctls: {net.ipv4.ip_forward: 0}}\n", 3, 'os.sysctls["net.ipv4.ip_forward"]', "must stay 1", False),
    # networks
    ("network:\n  pods: 10.96.0.0/16\n", 4, "network.pods", "pods 10.96.0.0/16 and Services 10.96.0.0/12", False),
    ("network: {services: 10.244.64.0/20}\n", 3, "network.pods", "overlap", False),
    ("network: {pods: lots}\n", 3, "network.pods", "`lots` is not a network; write address/prefix", False),
    ("network: {pods: 10.1.0.0}\n", 3, "network.pods", "lacks its prefix length, such as 10.1.0.0/16", False),
    ("network: {pods: 10.1.2.0/16}\n", 3, "network.pods", "the network is 10.1.0.0/16", False),
    ("network: {pods: 'fd00::/64'}\n", 3, "network.pods", "IPv6 networks are not built yet", False),
    ("network: {pods: '10.1.0.0/16,fd00::/64'}\n", 3, "network.pods", "dual stack", False),
    ("network: {pods: 127.0.0.0/16}\n", 3, "network.pods", "overlaps 127.0.0.0/8, which is loopback", False),
    ("network: {services: 10.0.0.0/11}\n", 3, "network.services", "too large: Kubernetes takes /12 at most", False),
    ("network: {services: 10.3.0.0/29}\n", 3, "network.services", "too small: it has 8 addresses", False),
    ("network: {node_mask: 15}\n", 3, "network.node_mask", "/15 for one node is larger than all of pods", False),
    ("network: {pods: 10.0.0.0/10, services: 172.16.0.0/16, node_mask: 27}\n", 3, "network.node_mask",
     "Kubernetes takes /26 at most", False),
    ("network: {pods: 10.1.0.0/24}\n", 3, "network.pods", "holds 1 parts of /24, and there are 2 nodes", False),
    ("network: {pods: 10.1.0.0/23}\n", 3, "network.pods", "no node can be added later", True),
    ("network: {node_mask: 26}\n", 3, "network.node_mask", "62 addresses for up to 110 pods", True),
    ("network: {domain: Cluster.Local}\n", 3, "network.domain", "is not a DNS name in lower case", False),
    # access
    ("endpoint: {kind: external}\n", 3, "endpoint", "external needs endpoint.address", False),
    ("endpoint: {kind: haproxy}\n", 3, "endpoint", "haproxy needs endpoint.address: a free address", False),
    ("endpoint: {kind: haproxy, address: api.a}\n", 3, "endpoint.address", "`api.a` is a name; haproxy moves", False),
    ("endpoint: {kind: haproxy, address: 192.0.2.101}\n", 3, "endpoint.address", "192.0.2.101 is w1's own", False),
    ("endpoint: {kind: haproxy, address: 192.0.2.9, port: 6443}\n", 3, "endpoint.port",
     "port 6443 is the API servers' own on cp1; leave it out for 8443", False),
    ("endpoint: {kind: kube-vip, address: 192.0.2.9, port: 443}\n", 3, "endpoint.port", "listen on 6443", False),
    ("endpoint: {kind: localhost, address: 192.0.2.9}\n", 3, "endpoint.address", "not used: localhost needs", True),
    ("endpoint: {router_id: 256}\n", 3, "endpoint.router_id", "255", False),
    ("endpoint: {kind: external, address: 'https://a:6443'}\n", 3, "endpoint.address", "no scheme, no port", False),
    ("endpoint:\n  port: 443\n", 4, "endpoint.port", "API servers listen on 6443", False),
    ("pki: {api_server_sans: [ok.example, 192.0.2.1, '*.ok', 'a b']}\n", 3, "pki.api_server_sans[3]", "neither", False),
    ("pki:\n  days: 20\n  ca_days: 10\n", 4, "pki.days", "20 days would outlive their CA of 10 days", False),
    ("pki:\n  validity: 30s\n", 4, "pki.validity", "less than 60 s: they would end while they are", False),
    ("pki:\n  validity: 300h\n  ca_days: 10\n", 4, "pki.validity", "300h would outlive their CA of 10 days", False),
    ("addons: {ingress: {http_port: 443}}\n", 3, "addons.ingress.https_port", "cannot both have port 443", False),
    ("addons: {ingress: {http_port: 10250}}\n", 3, "addons.ingress.http_port", "taken by the kubelet", False),
    ("addons: {ingress: {http_port: 30080}}\n", 3, "addons.ingress.http_port", "one of the NodePorts", False),
    # components
    ("scheduler:\n  extra_args:\n    --v: 2\n", 5, "scheduler.extra_args.--v", "write the flag's name only", False),
    ("etcd: {extra_args: {quota_bytes: 2}}\n", 3, "etcd.extra_args.quota_bytes", "`quota-bytes: VALUE`", False),
    ("api_server: {extra_args: {feature-gates: A=true}}\n", 3, "api_server.extra_args.feature-gates",
     "set api_server.feature_gates instead", False),
    ("controller_manager: {extra_args: {cluster-cidr: 10.0.0.0/8}}\n", 3,
     "controller_manager.extra_args.cluster-cidr", "it follows from network.pods", False),
    ("kubelet: {extra_args: {node-labels: a=b}}\n", 3, "kubelet.extra_args.node-labels", "nodes.HOST.labels", False),
    ("kubelet: {extra_args: {pod-infra-container-image: pause}}\n", 3,
     "kubelet.extra_args.pod-infra-container-image", "the kubelet of 1.36 has no such flag", False),
    ("kubelet: {config: {clusterDomain: a}}\n", 3, "kubelet.config.clusterDomain", "from network.domain", False),
    ("kube_proxy: {config: {mode: nftables}}\n", 3, "kube_proxy.config.mode", "from network.proxy", False),
    ("kubelet: {config: {kind: KubeletConfiguration}}\n", 3, "kubelet.config.kind", "leave this out", False),
    ("etcd: {feature_gates: {initial-corrupt-check: true}}\n", 3, "etcd.feature_gates.initial-corrupt-check",
     "CamelCase; InitialCorruptCheck?", False),
    ("containerd: {logins: {'https://a': {username: u, password: p}}}\n", 3, 'containerd.logins["https://a"]',
     "no scheme", False),
    ("containerd: {logins: {a: {username: 'u:v', password: p}}}\n", 3, "containerd.logins.a.username", "colon", False),
    ("containerd: {logins: {a: {username: u}}}\n", 3, "containerd.logins.a", "needs password or password_file", False),
    # what a component does not know
    ("api_server: {extra_args: {profilling: false}}\n", 3, "api_server.extra_args.profilling",
     "kube-apiserver of 1.36 has no flag --profilling; did you mean `profiling`?", False),
    ("etcd: {extra_args: {heartbeat: 1}}\n", 3, "etcd.extra_args.heartbeat", "etcd of 1.36 has no flag", False),
    ("kubelet: {extra_args: {max-pod: 1}}\n", 3, "kubelet.extra_args.max-pod", "did you mean `max-pods`?", False),
    ("scheduler: {feature_gates: {Nonsense: true}}\n", 3, "scheduler.feature_gates.Nonsense",
     "kube-scheduler of 1.36 has no such feature gate", False),
    ("kubelet: {feature_gates: {NodeSwap: false}}\n", 3, "kubelet.feature_gates.NodeSwap",
     "this gate is settled: it can only be true; leave it out", False),
    ("api_server: {admission: {enable: [AlwaysPullImage]}}\n", 3, "api_server.admission.enable[0]",
     "has no admission plugin AlwaysPullImage; did you mean `AlwaysPullImages`?", False),
    ("api_server: {admission: {config: {PodSecurityPolicy: {}}}}\n", 3,
     "api_server.admission.config.PodSecurityPolicy", "has no admission plugin", False),
    # what is said twice
    ("scheduler: {log_level: 3, extra_args: {v: 4}}\n", 3, "scheduler.extra_args.v", "scheduler.log_level says", False),
    ("api_server: {oidc: [{issuer: 'https://a', audiences: [b]}], extra_args: {oidc-client-id: c}}\n", 3,
     "api_server.extra_args.oidc-client-id", "excluded by api_server.authentication", False),
    # what an API server would not start with
    ("api_server: {audit: {log: audit.log, policy: {rules: [{level: None}]}}}\n", 3, "api_server.audit.log",
     "give an absolute path", False),
    ("api_server: {audit: {policy: {rules: [{level: None, namespaces: [a], nonResourceURLs: [/x]}]}}}\n", 3,
     "api_server.audit.policy.rules[0].nonResourceURLs", "two rules of it", False),
    ("api_server: {audit: {policy: {rules: [{level: None, nonResourceURLs: ['/a*b']}]}}}\n", 3,
     "api_server.audit.policy.rules[0].nonResourceURLs", "may have one `*`, at its end", False),
    ("api_server: {audit: {policy: {rules: [{level: None, resources: [{resourceNames: [a]}]}]}}}\n", 3,
     "api_server.audit.policy.rules[0].resources", "need resources beside them", False),
    ("api_server: {audit: {policy: {rules: [{level: None, resources: [{group: apps/v1}]}]}}}\n", 3,
     "api_server.audit.policy.rules[0].resources", "`apps/v1` is no API group", False),
    ("api_server: {audit: {policy: {rules: [{level: Meta}]}}}\n", 3, "api_server.audit.policy.rules[0].level",
     "`Meta` is not offered; choose None or Metadata or Request or RequestResponse", False),
    ("api_server: {audit: {policy: {rules: [{levels: None}]}}}\n", 3, "api_server.audit.policy.rules[0].levels",
     "unknown field; did you mean `level`?", False),
    ("api_server: {authentication: {kind: A}}\n", 3, "api_server.authentication.kind", "leave this out", False),
    ("api_server: {authentication: {anonymous: {enabled: false}}}\n", 3, "api_server.authentication.anonymous",
     "the kubelet's probes are anonymous", False),
    ("api_server: {authentication: {anonymous: {enabled: true, conditions: [{path: /livez}]}}}\n", 3,
     "api_server.authentication.anonymous", "need /readyz, /healthz too", False),
    ("api_server: {oidc: [{issuer: 'http://a', audiences: [b]}]}\n", 3, "api_server.oidc[0].issuer", "https://", False),
    ("api_server: {oidc: [{issuer: 'https://a', audiences: [b], ca: c}]}\n", 3, "api_server.oidc[0].ca", "PEM", False),
    ("api_server: {authorization: [{type: Node, name: n}]}\n", 3, "api_server.authorization", "lacks RBAC", False),
    ("api_server: {authorization: [{type: Node}, {type: RBAC, name: r}]}\n", 3, "api_server.authorization[0]",
     "every authorizer needs a name", False),
    ("scheduler: {config: {clientConnection: {}}}\n", 3, "scheduler.config.clientConnection", "kubeforge sets", False),
    ("scheduler: {config: {profiles: [{schedulerName: mine}]}}\n", 3, "scheduler.config.profiles",
     "lacks default-scheduler", False),
    # nodes
    ("upgrade: {groups: {kube_nod: {}}}\n", 3, "upgrade.groups.kube_nod", "is no group of the inventory; did", False),
    ("nodes:\n  w2: {}\n", 4, "nodes.w2", "neither host nor group of the inventory", False),
    ("nodes:\n  kube_nodes: {}\n", 4, "nodes.kube_nodes", "did you mean `kube_node`?", False),
    ("nodes: {w1: {labels: {'A.b/c': d}}}\n", 3, 'nodes.w1.labels["A.b/c"]', "`A.b` before the `/`", False),
    ("nodes: {w1: {labels: {'a b': c}}}\n", 3, 'nodes.w1.labels["a b"]', "`a b` cannot be a key", False),
    ("nodes: {w1: {labels: {a: 'b c'}}}\n", 3, "nodes.w1.labels.a", "`b c` cannot be a value", False),
    ("nodes: {w1: {taints: [{key: a/b/c}]}}\n", 3, "nodes.w1.taints[0].key", "before the `/`", False),
    ("nodes: {w1: {taints: [{key: a, value: -}]}}\n", 3, "nodes.w1.taints[0].value", "cannot be a value", False),
    ("nodes: {w1: {taints: [{key: a, effect: PreferNoSchedule}, {key: a, effect: PreferNoSchedule}]}}\n", 3,
     "nodes.w1.taints[1]", "is given twice", False),
    ("nodes: {all: {taints: [{key: a}]}}\n", 3, "nodes", "every node is tainted", True),
    # etcd
    ("etcd: {topology: external}\n", 3, "etcd.topology", "needs its hosts in group etcd", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "field", "words", "warning"), SPEC)
def test_rule_of_the_spec(look: Look, text: str, line: int, field: str, words: str, *, warning: bool) -> None:
    (problem,) = [found for found in look(text).problems if words in found.message]
    assert (problem.line, problem.field, problem.warning) == (line, field, warning)
    assert problem.file is not None
    assert problem.file.endswith("cluster.yml")


CP, NODE, ETCD, LB = "kube_control_plane", "kube_node", "etcd", "kube_load_balancer"
Case = tuple[list[tuple[str, str, list[str], dict[str, str]]], str, str | None, str, bool]

# hosts as (name, address, groups, variables), spec text, where (host or field), words, warning
INVENTORY: list[Case] = [
    ([], "", None, "the inventory names no host", False),
    ([("w1", "192.0.2.1", [NODE], {})], "", None, "no host is in group kube_control_plane", False),
    ([("m", "192.0.2.1", ["masters"], {})], "", None, "in group kube_control_plane; rename group masters?", False),
    ([("m", "192.0.2.1", ["kube_controlplane"], {})], "", None, "rename group kube_controlplane?", False),
    ([("cp1", "192.0.2.1", [CP], {}), ("db", "192.0.2.2", ["db"], {})], "", "db", "it is in db, none of", True),
    ([("cp1", "192.0.2.1", [CP], {}), ("db", "192.0.2.2", [], {})], "", "db", "it is in no group", True),
    ([("CP_1", "192.0.2.1", [CP], {})], "", "CP_1", "cannot be a node's name", False),
    ([("CP_1", "192.0.2.1", [CP], {})], "", "CP_1", "(RFC 1123); cp-1?", False),
    ([("c" * 64, "192.0.2.1", [CP], {})], "", "c" * 64, "at most 63", False),
    ([("cp1", "cp1.example", [CP], {})], "", "cp1", "`cp1.example` is a name; add `ip:`", False),
    ([("cp1", "192.0.2.1", [CP], {}), ("w1", "127.0.0.1", [NODE], {})], "", "w1", "cannot be reached by", False),
    ([("cp1", "0.0.0.0", [CP], {})], "", "cp1", "cannot be reached", False),
    ([("cp1", "2001:db8::1", [CP], {})], "", "cp1", "IPv6 is not built yet", False),
    ([("cp1", "192.0.2.1", [CP], {}), ("w1", "192.0.2.1", [NODE], {})], "", "w1", "has the address of cp1: 192", False),
    (
        [("cp1", "jump", [CP], {"ip": "192.0.2.1"}), ("w1", "jump", [NODE], {"ip": "192.0.2.2"})],
        "", "w1", "is reached at the same place as cp1: jump", False,
    ),
    ([("cp1", "10.244.0.9", [CP], {})], "", "cp1", "its address 10.244.0.9 lies in network.pods 10.244.0.0/16", False),
    ([("cp1", "10.96.0.9", [CP], {})], "", "cp1", "lies in network.services", False),
    (
        [("cp1", "192.0.2.1", [CP, NODE], {}), ("w1", "192.0.2.2", [NODE], {})],
        "", "cp1", "a control plane that also runs pods", True,
    ),
    (
        [("cp1", "192.0.2.1", [CP], {}), ("e1", "192.0.2.2", [ETCD], {})],
        "", "etcd.topology", "group etcd differs (cp1, e1)", False,
    ),
    (
        [("cp1", "192.0.2.1", [CP, ETCD], {})],
        "etcd: {topology: external}\n", "etcd.topology", "hosts of its own, and cp1 is a control plane", False,
    ),
    (
        [(f"cp{n}", f"192.0.2.{n}", [CP], {}) for n in (1, 2)],
        "endpoint: {kind: external, address: a}\n", "etcd.topology", "2 etcd members stand the loss of 0", True,
    ),
    (
        [(f"cp{n}", f"192.0.2.{n}", [CP], {}) for n in range(1, 10)],
        "endpoint: {kind: external, address: a}\n", "etcd.topology", "9 etcd members: each write waits", True,
    ),
    (
        [(f"cp{n}", f"192.0.2.{n}", [CP], {}) for n in (1, 2, 3)],
        "endpoint: {kind: first}\n", "endpoint", "all go through cp1", True,
    ),
    (
        [*((f"cp{n}", f"192.0.2.{n}", [CP], {}) for n in (1, 2, 3)), ("lb1", "192.0.2.9", [LB], {})],
        "endpoint: {kind: haproxy, address: 192.0.2.9}\n", "endpoint", "all go through lb1", True,
    ),
    (
        [("cp1", "192.0.2.1", [CP], {}), ("lb1", "192.0.2.9", [LB], {})],
        "", "endpoint", "group kube_load_balancer (lb1) is of no use but for endpoint.kind haproxy", True,
    ),
    (
        [("cp1", "192.0.2.1", [CP], {}), ("w1", "198.51.100.1", [NODE], {})],
        "network: {cni: bridge}\n", "network.cni", "192.0.2.0/24, 198.51.100.0/24; take flannel", True,
    ),
    (
        [(f"cp{n}", f"192.0.2.{n}", [CP], {}) for n in (1, 2, 3)],
        "endpoint: {kind: external, address: a}\naddons: {ingress: {}}\n",
        "addons.ingress", "there is no worker; ingress listens on the control planes", True,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", INVENTORY, ids=lambda case: case[3])
def test_rule_of_the_inventory(
    look: Look, make_host: Callable[..., Host], make_inventory: Callable[[Sequence[Host]], Inventory], case: Case
) -> None:
    hosts, text, where, words, warning = case
    made = [
        make_host(name, address, *groups, line=line, **variables)
        for line, (name, address, groups, variables) in enumerate(hosts, 1)
    ]
    examined = look(text, make_inventory(made))
    (problem,) = [found for found in examined.problems if words in found.message]
    assert (problem.field, problem.warning) == (where, warning)
    named = [found for found in made if found.name == where]
    if named:
        assert (problem.file, problem.line) == ("hosts.yml", named[0].line)
    assert (examined.spec is None) == bool(examined.errors)


def test_every_rule_is_broken_by_some_example(
    tmp_path: Path,
    usual_inventory: Callable[..., Inventory],
    make_host: Callable[..., Host],
    make_inventory: Callable[[Sequence[Host]], Inventory],
) -> None:
    """No rule without an example: the messages of all examples come from all rules."""
    examples = [("kubernetes: 1.30.1\n", usual_inventory())]
    examples += [(text, usual_inventory()) for text, *_ in SPEC]
    for hosts, text, *_ in INVENTORY:
        examples.append((text, make_inventory([make_host(n, a, *g, **v) for n, a, g, v in hosts])))
    silent = {rule.__name__ for rule in (*RULES, *INVENTORY_RULES)}
    for text, inventory in examples:
        file = tmp_path / "cluster.yml"
        file.write_text("name: demo\nkubernetes: 1.36.3\n" + text)
        spec = shape(read(file)).spec
        if spec is not None:
            silent -= {rule.__name__ for rule in RULES if list(rule(spec))}
            silent -= {rule.__name__ for rule in INVENTORY_RULES if list(rule(spec, inventory))}
    assert not silent


def test_rules_about_the_spec_alone_need_no_inventory(tmp_path: Path) -> None:
    """Where hosts.yml cannot be read, everything else that is wrong is said in the same run."""
    (tmp_path / "cluster.yml").write_text(
        "name: demo\nkubernetes: 1.36.99\nnetwork: {services: 10.244.0.0/16, node_mask: 26}\nnodes: {w9: {}}\n"
        "endpoint: {kind: external}\naddons: {ingress: {http_port: 10250}}\netcd: {feature_gates: {foo-bar: true}}\n"
        "pki: {days: 20, ca_days: 10}\n"
    )
    examined = examine(tmp_path, None)
    assert examined.spec is None
    assert [problem.field for problem in examined.errors] == [
        "network.pods",
        "endpoint",
        "addons.ingress.http_port",
        "etcd.feature_gates.foo-bar",
        "pki.days",
    ]
    assert [problem.field for problem in examined.warnings] == ["kubernetes", "network.node_mask"]


def test_newer_patch_warns(look: Look) -> None:
    examined = look("name: demo\nkubernetes: 1.36.99\n", whole=True)
    (problem,) = examined.warnings
    assert "1.36.99 is newer than 1.36." in problem.message
    assert examined.spec is not None


def test_a_good_cluster_has_no_problem(usual_inventory: Callable[..., Inventory]) -> None:
    spec = ClusterSpec.model_validate(
        {
            "name": "demo",
            "kubernetes": "1.36.3",
            "endpoint": {"kind": "external", "address": "api.example"},
            "nodes": {"kube_node": {"labels": {"example.com/disk": "ssd"}}, "cp1": {"taints": []}},
            "addons": {"ingress": {}},
        }
    )
    assert validate(spec, usual_inventory(3, 2)) == []


def test_a_variable_that_cannot_be_rendered_hides_nothing(tmp_path: Path) -> None:
    """Variables are rendered when a rule first looks at them."""
    (tmp_path / "hosts.yml").write_text(
        "all:\n  children:\n    kube_control_plane:\n      hosts:\n"
        "        cp1: {ansible_host: 192.0.2.1, ip: '{{ nowhere }}'}\n        CP2: {ansible_host: 192.0.2.2}\n"
    )
    (tmp_path / "cluster.yml").write_text("name: demo\nkubernetes: 1.36.3\nnodes: {w9: {}}\nendpoint: {kind: first}\n")
    said = [str(problem) for problem in examine(tmp_path, load_inventory(tmp_path)).errors]
    assert len(said) == len(set(said))
    assert sum("the variable nowhere is not defined" in text for text in said) == 1
    assert sum("cannot be a node's name" in text for text in said) == 1
    assert sum("nodes.w9: neither host nor group" in text for text in said) == 1
