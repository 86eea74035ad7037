"""Five control planes behind balancers on hosts of their own."""
