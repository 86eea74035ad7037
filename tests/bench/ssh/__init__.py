"""The 30-task job over SSH: kubeforge against ansible-core, mitogen and pyinfra."""
