"""Talks to a running cluster: the Kubernetes API and etcd through SSH tunnels, conditions to wait for, its state."""
