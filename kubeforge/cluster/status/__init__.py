"""What a cluster is like now: one look at all its hosts and its API, as one frozen value. Changes nothing."""
