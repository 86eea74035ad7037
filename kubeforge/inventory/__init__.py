"""Who: hosts, groups and their variables."""
