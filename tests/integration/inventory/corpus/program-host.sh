#!/bin/sh
# Without _meta: asked for each host.
case $1:$2 in
--list:) echo '{"web": {"hosts": ["w1", "w2"]}}' ;;
--host:w1) echo '{"role": "first", "port": 80}' ;;
--host:*) echo '{}' ;;
*) exit 2 ;;
esac
