from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

import jinja2
import pytest

from kubeforge.manifests import containerd
from kubeforge.manifests.render import render

Check = Callable[[str, str], None]
RUNTIME = "io.containerd.cri.v1.runtime"


def test_goldens(of_minor: Any, minor: str, golden: Check) -> None:
    text = containerd.config_toml(of_minor.spec, of_minor.facts["w1"], of_minor.images)
    golden(f"{minor}/containerd/config.toml", text)
    golden("containerd.service", containerd.unit())
    golden("cri-containerd-.scope.conf", containerd.scopes())


def test_what_must_be_said(sample: Callable[..., Any]) -> None:
    cluster = sample()
    said = tomllib.loads(containerd.config_toml(cluster.spec, cluster.facts["w1"], cluster.images))
    assert said["version"] == 4
    runtime = said["plugins"][RUNTIME]
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is True
    assert said["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == "registry.k8s.io/pause:3.10.2"
    assert "restrict_oom_score_adj" not in runtime
    assert "conf_template" not in runtime["cni"]


def test_older_containerd_reads_version_3(sample: Callable[..., Any]) -> None:
    cluster = sample()
    text = containerd.config_toml(cluster.spec, cluster.facts["w1"], cluster.images, version="2.1.5")
    assert tomllib.loads(text)["version"] == 3


def test_a_host_that_may_not_lower_oom_scores(sample: Callable[..., Any]) -> None:
    cluster = sample(facts={"capabilities": ~(1 << 24) & (1 << 41) - 1})
    said = tomllib.loads(containerd.config_toml(cluster.spec, cluster.facts["w1"], cluster.images))
    assert said["plugins"][RUNTIME]["restrict_oom_score_adj"] is True


def test_the_bridge_has_its_template(sample: Callable[..., Any]) -> None:
    cluster = sample(network={"cni": "bridge"})
    said = tomllib.loads(containerd.config_toml(cluster.spec, cluster.facts["w1"], cluster.images))
    assert said["plugins"][RUNTIME]["cni"]["conf_template"].endswith(".template")


def test_mirrors(sample: Callable[..., Any]) -> None:
    mirrors = {"docker.io": ["https://mirror.example.net/v2"], "*": ["http://10.0.0.1:5000", "http://10.0.0.2:5000"]}
    files = containerd.registry_hosts(sample(containerd={"mirrors": mirrors}).spec)
    assert sorted(files) == [
        "/etc/containerd/certs.d/_default/hosts.toml",
        "/etc/containerd/certs.d/docker.io/hosts.toml",
    ]
    hub = tomllib.loads(files["/etc/containerd/certs.d/docker.io/hosts.toml"])
    assert hub["server"] == "https://registry-1.docker.io"
    assert hub["host"] == {"https://mirror.example.net/v2": {"capabilities": ["pull", "resolve"]}}
    rest = tomllib.loads(files["/etc/containerd/certs.d/_default/hosts.toml"])
    assert "server" not in rest
    assert list(rest["host"]) == ["http://10.0.0.1:5000", "http://10.0.0.2:5000"]
    assert containerd.registry_hosts(sample().spec) == {}


def test_a_forgotten_variable_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("kubelet/kubelet.service")


def test_logins_are_what_docker_would_write(sample: Callable[..., Any]) -> None:
    login = {"username": "puller", "password": "s3cret"}
    made = containerd.logins(sample(containerd={"logins": {"registry.example:5000": login}}).spec)
    assert made is not None
    assert json.loads(made.reveal()) == {"auths": {"registry.example:5000": {"auth": "cHVsbGVyOnMzY3JldA=="}}}
    assert "cHVsbGVy" not in repr(made)
    assert containerd.logins(sample().spec) is None
