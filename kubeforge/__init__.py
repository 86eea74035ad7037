"""kubeforge: infrastructure automation over SSH, and Kubernetes clusters on top of it."""

__version__ = "0.1.0"
