"""Hosts that come into a living cluster and go: each file has a lab of its own."""
