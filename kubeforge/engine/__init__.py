"""Plan and run: playbooks over hosts, with facts, journal, lock and executors. Knows nothing of Kubernetes."""
