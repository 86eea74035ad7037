"""How a host is reached: ssh, local, and the public in-memory host."""
