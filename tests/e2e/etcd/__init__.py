"""etcd and its members. A package, so that their hosts end with its last test."""
