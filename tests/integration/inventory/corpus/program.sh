#!/bin/sh
# A dynamic inventory in the shape of a cloud's.
[ "$1" = --list ] || exit 2
cat <<'END'
{
  "_meta": {"hostvars": {
    "i-0a1": {"ansible_host": "192.0.2.31", "tags": {"Name": "web-1", "env": "prod"}, "state": "running"},
    "i-0b2": {"ansible_host": "192.0.2.32", "tags": {"Name": "db-1"}},
    "i-unused": {"x": 1}
  }},
  "all": {"children": ["ungrouped", "aws"]},
  "aws": {"children": ["tag_web", "tag_db"], "vars": {"region": "eu-west-1"}},
  "tag_web": ["i-0a1"],
  "tag_db": {"hosts": ["i-0b2"], "vars": {"engine": "mysql"}},
  "empty": {"hosts": []}
}
END
