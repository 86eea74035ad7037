"""What is done on a real host, in order: every generic task with something to do, and the few that cannot be tried."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["CASES", "EVERY_RUN", "QUIET", "UNTRIED"]

KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKubeforgeIntegrationTestKeyOnly00000000000 it@example.test"
SERVED: Final = "served\n"
SERVED_DIGEST: Final = hashlib.sha256(SERVED.encode()).hexdigest()

CASES: Final[dict[str, str]] = {
    "file": """
- file.directory: {path: /srv/kfit, mode: "0750", owner: nobody}
- file.present: {path: /srv/kfit/a, content: "a\\n", mode: "0600"}
- file.link: {path: /srv/kfit/link, target: a}
- file.copy: {src: tree, dest: /srv/kfit/tree}
- file.template: {src: it.j2, dest: /srv/kfit/rendered}
- file.line: {path: /srv/kfit/lines, line: one, create: true}
- file.line: {path: /srv/kfit/lines, line: two, create: true}
- file.block: {path: /srv/kfit/lines, name: it, block: three, create: true}
- file.absent: {path: /srv/kfit-gone}
""",
    "file changed": """
- file.directory: {path: /srv/kfit, mode: "0700"}
- file.present: {path: /srv/kfit/a, content: "b\\n", mode: "0600"}
- file.link: {path: /srv/kfit/link, target: rendered}
- file.line: {path: /srv/kfit/lines, line: zwei, match: ^two$}
- file.block: {path: /srv/kfit/lines, name: it, block: "three\\nfour"}
""",
    "file gone": """
- file.line: {path: /srv/kfit/lines, line: one, state: absent}
- file.block: {path: /srv/kfit/lines, name: it, state: absent}
- file.absent: {path: /srv/kfit/a}
- file.absent: {path: /srv/kfit/link}
- file.absent: {path: /srv/kfit/tree, recursive: true}
""",
    "archive": "- archive.unpacked: {src: it.tar, dest: /srv/kfit-archive}",
    "command": """
- command.run: {command: touch /srv/kfit-command, creates: /srv/kfit-command}
- command.run:
    command: sh -c "echo $A >out"
    unless: test -e out
  become_user: nobody
  environment: {A: b}
  chdir: /tmp
- command.script: {text: "echo it >/srv/kfit-script", creates: /srv/kfit-script, name: it}
""",
    "command unguarded": """
- command.run: {command: "true"}
- command.script: {text: "true", name: that}
""",
    "repository": """
- file.copy: {src: source, dest: /srv/kfit-source}
- file.link: {path: /srv/kfit-offers, target: kfit-source/1}
- repository.apt: {name: kfit, uris: "file:/srv/kfit-offers", suites: ./, key: kfit.asc}
""",
    "package": """
- package.present: {names: kfit-demo}
- package.present: {names: [cron, git, ufw]}
""",
    "package to upgrade": "- file.link: {path: /srv/kfit-offers, target: kfit-source/2}",
    "package upgraded": "- package.upgraded",
    "package gone": "- package.absent: {names: [kfit-demo, kfit-no-such-package]}",
    "repository gone": "- repository.apt: {name: kfit, state: absent}",
    "git repository": """
- command.script:
    creates: /srv/kfit-git/HEAD
    name: repository
    text: |
      git init -q --bare -b main /srv/kfit-git
      git clone -q /srv/kfit-git /srv/kfit-work 2>/dev/null
      cd /srv/kfit-work
      git config user.name x; git config user.email x@example.test
      git checkout -q -b main
      git commit -q --allow-empty -m 1; git tag v1
      git commit -q --allow-empty -m 2
      git push -q origin main v1
""",
    "git": "- git.checkout: {url: file:///srv/kfit-git, dest: /srv/kfit-copy, version: main}",
    "git tag": "- git.checkout: {url: file:///srv/kfit-git, dest: /srv/kfit-copy, version: v1}",
    "served": f"""
- file.present:
    path: /srv/kfit-answer
    content: "HTTP/1.0 200 OK\\r\\nContent-Length: {len(SERVED)}\\r\\n\\r\\n{SERVED.strip()}\\n"
- systemd.unit:
    name: kfit-served
    content: |
      [Service]
      # the whole question is read first: else it may meet a closed socket, whose reset takes the answer away
      ExecStart=socat TCP-LISTEN:8099,bind=127.0.0.1,reuseaddr,fork 'SYSTEM:grep -q ^.$$ ; cat /srv/kfit-answer'
      [Install]
      WantedBy=multi-user.target
- wait.http: {{url: "http://127.0.0.1:8099/", deadline: 20}}
- wait.port: {{port: 8099, deadline: 20}}
""",
    "download": f"""
- file.download: {{url: "http://127.0.0.1:8099/it", dest: /srv/kfit-download, sha256: {SERVED_DIGEST}, mode: "0640"}}
""",
    "service": """
- systemd.unit:
    name: kfit
    content: "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n"
- systemd.drop_in: {unit_name: kfit, content: "[Service]\\nNice=5\\n"}
- systemd.timer: {name: kfit-timer, command: /bin/true, calendar: daily}
- service.running: {name: kfit}
""",
    "service stopped": "- service.stopped: {name: kfit}",
    "service running": "- service.running: {name: kfit}",
    "service gone": """
- systemd.timer: {name: kfit-timer, state: absent}
- systemd.drop_in: {unit_name: kfit, state: absent}
- systemd.unit: {name: kfit, state: absent}
""",
    "masked": "- service.masked: {name: cron}",
    "unmasked": """
- service.masked: {name: cron, masked: false}
- service.running: {name: cron}
""",
    "restarted": """
- service.restart: {name: cron}
- service.reload: {name: ssh}
""",
    "account": f"""
- group.present: {{name: kfit}}
- user.present: {{name: kfit, group: kfit, groups: [sudo], shell: /bin/sh, password: "$6$salt$hash", comment: It}}
- user.authorized_key: {{user: kfit, key: "{KEY}"}}
- user.sudoers: {{name: kfit, content: "kfit ALL=(ALL) NOPASSWD: /bin/true"}}
- cron.job: {{name: kfit, command: /bin/true, schedule: "@daily"}}
""",
    "account changed": f"""
- user.present: {{name: kfit, groups: [], shell: /bin/bash, password: "$6$salt$other", comment: That}}
- user.authorized_key: {{user: kfit, key: "{KEY}", options: no-pty}}
""",
    "account gone": """
- user.sudoers: {name: kfit, state: absent}
- user.absent: {name: kfit, remove_home: true}
- group.absent: {name: kfit}
- cron.job: {name: kfit, state: absent}
""",
    "group first": """
- group.present: {name: kfit-own}
- user.present: {name: kfit-own}
""",
    "group last": """
- user.absent: {name: kfit-own}
- group.absent: {name: kfit-own}
""",
    "host": """
- host.name: {name: kfit-renamed}
- host.entries: {addresses: {192.0.2.7: [kfit-a, kfit-b]}, name: kfit}
- host.timezone: {name: Etc/UTC}
- kernel.sysctl: {values: {net.ipv4.ip_forward: 1}, name: 99-kfit}
- kernel.module: {name: overlay}
""",
    "host gone": """
- host.name: {}
- host.entries: {name: kfit, state: absent}
- kernel.sysctl: {values: {}, name: 99-kfit, state: absent}
- kernel.module: {name: overlay, state: blocked}
""",
    "mount": "- mount.present: {path: /srv/kfit-mount, source: kfit, fstype: tmpfs, options: [nosuid, nodev]}",
    "mount gone": "- mount.present: {path: /srv/kfit-mount, state: absent}",
    "ufw": """
- firewall.ufw: {rule: allow 22/tcp}
- firewall.ufw_enabled: {}
""",
    "ufw gone": """
- firewall.ufw_enabled: {enabled: false}
- firewall.ufw: {rule: allow 22/tcp, state: absent}
""",
    "nftables": """
- firewall.nftables:
    rules: "table inet kfit\\ndelete table inet kfit\\ntable inet kfit { chain input { tcp dport 8098 drop; }; }\\n"
""",
    "talk": """
- wait.file: {path: /etc/passwd, contains: "^root:", deadline: 10}
- check.that: {that: "{{ facts.systemd }}"}
- debug.say: {message: "it is {{ inventory_hostname }}"}
- debug.facts: {}
""",
    "fetch": "- file.fetch: {src: /etc/os-release, dest: fetched}",
    "reboot": "- host.reboot: {when: always, deadline: 120}",
}
QUIET: Final = frozenset({"talk"})
"""Cases with nothing to do."""
EVERY_RUN: Final = frozenset({"command unguarded", "restarted", "reboot"})
"""Cases that every apply does anew, and every check tells."""

UNTRIED: Final[dict[str, str]] = {
    "swap.file": "swap is the kernel's: a lab host would have this machine itself swap to its file",
    "swap.off": "likewise: it would end this machine's swap",
    "repository.rpm": "lab hosts are Debian; tests/unit/tasks/generic/test_generic_rhel.py runs its lines",
    "firewall.firewalld": "as above: a program that answers as firewall-cmd does stands in for it there",
}
"""Tasks that no case tries, and why."""
