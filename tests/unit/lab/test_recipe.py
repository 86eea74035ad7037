"""The root file system's recipe: which apt sources are taken, and what makes it another one."""

from __future__ import annotations

import subprocess

import pytest

from kubeforge.lab.recipe import PACKAGES, Recipe, apt_options, debian_sources

DEB822 = """\
Types: deb
# a comment between fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb deb-src
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://third.example/x
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""


def test_deb822_sources_of_the_release_only() -> None:
    assert debian_sources({"/etc/apt/sources.list.d/debian.sources": DEB822}, "bookworm") == (
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.example/debian bookworm main contrib",
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.example/debian bookworm-updates main contrib",
        "deb http://mirror.example/security bookworm-security main",
    )


def test_embedded_key_is_left_to_the_default_keyring() -> None:
    stanza = (
        "Types: deb\nURIs: http://m.example/d\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )
    assert debian_sources({"a.sources": stanza}, "bookworm") == ("deb http://m.example/d bookworm main",)


def test_one_line_sources() -> None:
    text = """\
# deb http://comment.example/debian bookworm main
deb http://mirror.example/debian bookworm main non-free # trailing
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm main
deb http://third.example/apt cloud-sdk-bookworm main
deb http://mirror.example/debian trixie main
deb http://mirror.example/debian bookworm contrib
"""
    assert debian_sources({"/etc/apt/sources.list": text}, "bookworm") == (
        "deb http://mirror.example/debian bookworm main non-free",
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm-updates main",
    )


def test_the_same_source_twice_counts_once() -> None:
    line = "deb http://mirror.example/debian bookworm main\n"
    assert len(debian_sources({"a.list": line, "b.list": line}, "bookworm")) == 1


def test_options_that_fetching_needs() -> None:
    dump = """\
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy::mirror.example "DIRECT";
Acquire::Check-Date "false";
Acquire::Languages "none";
APT::Update::Post-Invoke:: "rm -rf /";
"""
    assert apt_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128"',
        'Acquire::https::Proxy::mirror.example "DIRECT"',
        'Acquire::Check-Date "false"',
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(suite="bookworm", sources=("deb http://mirror.example/debian bookworm main",))


def test_key_follows_what_is_made_not_how_it_is_fetched(recipe: Recipe) -> None:
    other_sources = Recipe(suite="bookworm", sources=("deb http://other.example/debian bookworm main",))
    proxied = Recipe(suite="bookworm", sources=recipe.sources, options=('Acquire::Check-Date "false"',))
    assert recipe.key == Recipe(suite="bookworm", sources=recipe.sources).key
    assert recipe.key == proxied.key
    assert recipe.key != other_sources.key


def test_no_python_in_the_hosts(recipe: Recipe) -> None:
    """Hosts without Python prove that kubeforge needs none."""
    assert not [name for name in PACKAGES if "python" in name]
    assert "systemd-sysv" in PACKAGES
    assert f"--include={','.join(PACKAGES)}" in recipe.command("/target", "/hook")


def test_hook_is_sh_that_parses(recipe: Recipe) -> None:
    done = subprocess.run(["sh", "-n"], input=recipe.hook, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "{" not in recipe.hook.replace("${", ""), "a placeholder was not filled in"
