"""How each contender is set up and called. Each does the job of job.py; a second run changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.ssh import job
from tests.bench.ssh.farm import Farm

ROOT = Path(__file__).parents[3]
PACKAGES = {"ansible": ("ansible-core", "mitogen"), "pyinfra": ("pyinfra",)}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One contender's command.

    Args:
        argv: the command; hosts are in the files it names.
        environment: besides the caller's.
        version: what is compared.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Whom a run is about: names, addresses, one port."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    port: int


def virtualenv(folder: Path, name: str, python: str | None) -> Path:
    """Return the contender's own virtualenv, made by uv when it is not there (newest versions).

    Its bytecode is written at once: where Python is told to write none, every run would compile it anew.
    """
    path = folder / name
    if not (path / "bin" / "python").exists():
        uv = [str(Path(sys.executable).with_name("uv"))]
        chosen = ["--python", python] if python else []
        subprocess.run([*uv, "venv", "-q", *chosen, str(path)], check=True)
        target = ["--python", str(path / "bin" / "python")]
        subprocess.run([*uv, "pip", "install", "-q", "--compile-bytecode", *target, *PACKAGES[name]], check=True)
    return path


def kubeforge(farm: Farm, hosts: Hosts, program: str = "kubeforge_job") -> Call:
    """Observe, decide, act: by a program over the engine, whose hosts keep their state apart."""
    argv = [sys.executable, "-m", f"tests.bench.ssh.{program}", str(_inventory(farm, hosts)), str(farm.folder)]
    return Call(argv=argv, environment={"PYTHONPATH": str(ROOT)}, version="this checkout")


def playbook(farm: Farm, hosts: Hosts) -> Call:
    """The command line over a playbook of generic tasks, as a user has it; only where nothing is to be done.

    All hosts here are one machine with one /var/lib/kubeforge: what changes something is `first_playbook`.
    """
    code = "from kubeforge.cli import main; main()"
    argv = [
        sys.executable,
        "-c",
        code,
        "playbook",
        "run",
        str(_generic(farm)),
        "-i",
        str(_inventory(farm, hosts)),
        "-y",
    ]
    environment = {"PYTHONPATH": str(ROOT), "KUBEFORGE_STATE": str(farm.folder / "state")}
    return Call(argv=argv, environment=environment, version="this checkout")


def first_playbook(farm: Farm, hosts: Hosts) -> Call:
    """The same playbook by a program over the engine, whose hosts keep their state apart."""
    files = [str(_inventory(farm, hosts)), str(_generic(farm)), str(farm.folder)]
    argv = [sys.executable, "-m", "tests.bench.ssh.playbook_job", *files]
    return Call(argv=argv, environment={"PYTHONPATH": str(ROOT)}, version="this checkout")


def _inventory(farm: Farm, hosts: Hosts) -> Path:
    inventory = farm.folder / f"kubeforge-{hosts.names[0]}-{len(hosts.names)}-{hosts.port}.yml"
    rows = "".join(
        f"    {name}: {{ansible_host: {address}}}\n" for name, address in zip(hosts.names, hosts.addresses, strict=True)
    )
    inventory.write_text(
        f"all:\n  vars:\n    ansible_port: {hosts.port}\n    ansible_user: root\n"
        f"    ansible_ssh_private_key_file: {farm.key}\n"
        f"    ansible_ssh_common_args: -o UserKnownHostsFile={farm.known_hosts}\n  hosts:\n{rows}"
    )
    return inventory


def _generic(farm: Farm) -> Path:
    """Write the thirty tasks, one per line, as `_playbook` does for ansible-core.

    The commands are guards: what changes nothing is asked while looking, and nothing is due.
    """
    root = f"{farm.folder}/hosts/{{{{ inventory_hostname }}}}"
    tasks = [f"file.directory: {{path: '{root}/d{number}', mode: '0750'}}" for number in range(job.DIRECTORIES)]
    tasks += [
        f"file.template: {{src: t{number}.j2, mode: '0640', dest: '{root}/d{job.directory(number)}/f{number}.conf'}}"
        for number in range(job.FILES)
    ]
    tasks += [
        f"file.line: {{path: '{root}/d0/sysctl.conf', create: true, match: '^net.x.k{number} ', "
        f"line: 'net.x.k{number} = 1'}}"
        for number in range(job.LINES)
    ]
    tasks += [
        f"command.run: {{command: 'false', unless: [{', '.join(argv)}], name: c{number}}}"
        for number, argv in enumerate(job.COMMANDS)
    ]
    tasks += [f"package.present: {{names: {name}}}" for name in job.PACKAGES]
    head = "- play: Thirty tasks\n  hosts: all\n  facts: false\n"
    head += "  vars: {basevar: alpha, node: '{{ inventory_hostname }}'}\n  tasks:\n"
    book = farm.folder / "thirty.yml"
    book.write_text(head + "".join(f"    - {task}\n" for task in tasks))
    return book


def ansible(farm: Farm, hosts: Hosts, virtual: Path, *, mitogen: bool) -> Call:
    """ansible-core with pipelining and 50 forks, or the same through mitogen."""
    inventory = farm.folder / f"ansible-{len(hosts.names)}-{hosts.port}.ini"
    common = f"-o UserKnownHostsFile={farm.known_hosts}"
    rows = "".join(
        f"{name} ansible_host={address} ansible_port={hosts.port} ansible_user=root "
        f"ansible_ssh_private_key_file={farm.key} ansible_ssh_common_args='{common}' "
        f"ansible_python_interpreter=/usr/bin/python3\n"
        for name, address in zip(hosts.names, hosts.addresses, strict=True)
    )
    inventory.write_text(rows)
    playbook = farm.folder / "job.yml"
    playbook.write_text(_playbook(farm.folder))
    environment = {
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORKS": "50",
        "ANSIBLE_HOME": str(farm.folder / "ansible-home"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(farm.folder / "cp"),
        "ANSIBLE_DISPLAY_OK_HOSTS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "SSH_AUTH_SOCK": "",
    }
    python = virtual / "bin" / "python"
    version = _version(python, "ansible-core")
    if mitogen:
        found = subprocess.run(
            [python, "-c", "import ansible_mitogen; print(ansible_mitogen.__path__[0])"],
            check=True,
            capture_output=True,
            text=True,
        )
        environment["ANSIBLE_STRATEGY_PLUGINS"] = f"{found.stdout.strip()}/plugins/strategy"
        environment["ANSIBLE_STRATEGY"] = "mitogen_linear"
        version += f", mitogen {_version(python, 'mitogen')}"
    argv = [str(virtual / "bin" / "ansible-playbook"), "-i", str(inventory), str(playbook)]
    return Call(argv=argv, environment=environment, version=version)


def _playbook(folder: Path) -> str:
    """Return thirty tasks, one per line."""
    root = f"{folder}/hosts/{{{{ inventory_hostname }}}}"
    tasks = [f"file: {{path: '{root}/d{number}', state: directory, mode: '0750'}}" for number in range(job.DIRECTORIES)]
    tasks += [
        f"template: {{src: '{folder}/templates/t{number}.j2', mode: '0640', "
        f"dest: '{root}/d{job.directory(number)}/f{number}.conf'}}"
        for number in range(job.FILES)
    ]
    tasks += [
        f"lineinfile: {{path: '{root}/d0/sysctl.conf', create: true, mode: '0644', "
        f"regexp: '^net.x.k{number} ', line: 'net.x.k{number} = 1'}}"
        for number in range(job.LINES)
    ]
    tasks += [f"command: {{cmd: {' '.join(argv)}}}\n      changed_when: false" for argv in job.COMMANDS]
    tasks += [f"apt: {{name: {name}, state: present}}" for name in job.PACKAGES]
    head = "- hosts: all\n  gather_facts: false\n  vars: {basevar: alpha, node: '{{ inventory_hostname }}'}\n  tasks:\n"
    return head + "".join(f"    - ansible.builtin.{task}\n" for task in tasks)


def pyinfra(farm: Farm, hosts: Hosts, virtual: Path) -> Call:
    """pyinfra, its default parallelism raised to all hosts."""
    inventory = farm.folder / f"pyinfra_{len(hosts.names)}_{hosts.port}.py"
    rows = "".join(
        f'    ("{name}", {{"ssh_hostname": "{address}"}}),\n'
        for name, address in zip(hosts.names, hosts.addresses, strict=True)
    )
    inventory.write_text(
        f"data = dict(ssh_port={hosts.port}, ssh_user='root', ssh_key='{farm.key}', "
        f"ssh_known_hosts_file='{farm.known_hosts}', ssh_strict_host_key_checking='yes')\n"
        f"everybody = ([\n{rows}], data)\n"
    )
    deploy = farm.folder / "deploy.py"
    deploy.write_text(_deploy(farm.folder))
    argv = [str(virtual / "bin" / "pyinfra"), "-y", "--parallel", "50", str(inventory), str(deploy)]
    return Call(argv=argv, environment={"SSH_AUTH_SOCK": ""}, version=_version(virtual / "bin" / "python", "pyinfra"))


def _deploy(folder: Path) -> str:
    lines = [
        "from pyinfra import host",
        "from pyinfra.operations import apt, files, server",
        f"root = f'{folder}/hosts/{{host.name}}'",
    ]
    lines += [f"files.directory(path=root + '/d{number}', mode='750')" for number in range(job.DIRECTORIES)]
    lines += [
        f"files.template(src='{folder}/templates/t{number}.j2', mode='640', "
        f"dest=root + '/d{job.directory(number)}/f{number}.conf', basevar='alpha', node=host.name)"
        for number in range(job.FILES)
    ]
    lines += [
        f"files.line(path=root + '/d0/sysctl.conf', line=r'^net.x.k{number} .*', replace='net.x.k{number} = 1')"
        for number in range(job.LINES)
    ]
    lines += [f"server.shell(commands=['{' '.join(argv)}'])" for argv in job.COMMANDS]
    lines += [f"apt.packages(packages=['{name}'])" for name in job.PACKAGES]
    return "\n".join(lines) + "\n"


def _version(python: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return f"{package} {found.stdout.strip()}" if package != "mitogen" else found.stdout.strip()
