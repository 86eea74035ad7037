from __future__ import annotations

import pytest

from tests.integration.inventory.ansible import Ansible, find_ansible


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """The real Ansible."""
    return find_ansible(tmp_path_factory.mktemp("ansible"))
