"""What: the cluster's specification, its defaults and validation, the facts per Kubernetes minor, paths and ports."""
