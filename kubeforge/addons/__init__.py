"""What runs on the cluster: each addon a pure function from the spec to Kubernetes objects."""
