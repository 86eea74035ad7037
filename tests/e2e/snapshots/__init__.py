"""Snapshots of etcd, and the way back. A package, so that its hosts end with its last test."""
