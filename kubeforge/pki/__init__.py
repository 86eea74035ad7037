"""Certificates, keys, kubeconfigs and tokens: spec to bytes, pure. Nothing here reads or writes a host."""
