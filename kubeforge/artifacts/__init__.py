"""The parts a cluster is made of: which they are, where they come from, and verified copies of them in one cache.

`model` has the values, `resolve` gives a task everything it needs for given versions and architectures. The rest are
its pieces: `catalogue` (what exists, with digests), `cache` and `download`, the three sources (`mirror`, `upstream`,
`source`), and `oci`, `images`, `userland`, which make image archives of local files. Nothing here touches a node.
"""
