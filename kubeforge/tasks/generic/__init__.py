"""Everyday tasks for any host, with Kubernetes or without: one subject per module; see docs/tasks/."""
