"""Several control planes. A package, so that their hosts end with its last test."""
