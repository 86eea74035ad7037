"""What runs and what is configured: spec to text and objects, pure. Nothing here reads or writes a host."""
