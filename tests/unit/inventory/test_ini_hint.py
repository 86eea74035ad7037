from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.loader import load


@pytest.mark.parametrize("text", ["[kube_control_plane]\ncp1\n", "cp1 ansible_host=192.0.2.1\n[all:vars]\na=b\n"])
def test_ini_is_recognised(tmp_path: Path, text: str) -> None:
    """hosts.yml with the content of Ansible's other format is a common first try."""
    (tmp_path / "hosts.yml").write_text(text)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "this is Ansible's INI format; only YAML is read" in str(caught.value)
