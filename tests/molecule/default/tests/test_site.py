"""What must hold once site.yml was applied: testinfra's questions, by the fixtures of kubeforge.testing."""

from kubeforge.testing.lab import LabHosts


def test_web_servers_greet(kubeforge_hosts: LabHosts) -> None:
    web = kubeforge_hosts["w1"]
    assert web.file("/srv/greeting").user == "greeter"
    assert web.file("/srv/greeting/index.html").content_string == "Welcome to w1\n"


def test_others_do_not(kubeforge_hosts: LabHosts) -> None:
    assert not kubeforge_hosts["w2"].file("/srv/greeting").exists
