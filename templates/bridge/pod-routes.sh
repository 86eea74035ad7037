#!/bin/sh
# Written by kubeforge: where the other nodes' pods are, and what leaves the pod network goes out under the node's address.
set -eu
wanted="{{ routes | map(attribute=0) | join(' ') }}"
case "${1:-start}" in
start) ;;
stop) wanted="" ;;
*) echo "usage: $0 [start|stop]" >&2; exit 64 ;;
esac
# Routes of nodes that are no more; `proto {{ protocol }}` marks ours.
ip -4 route show proto {{ protocol }} | while read -r destination _; do
    case " $wanted " in
    *" $destination "*) ;;
    *) ip -4 route del "$destination" proto {{ protocol }} ;;
    esac
done
nft delete table ip kubeforge_pods 2>/dev/null || true
[ -n "$wanted" ] || [ "${1:-start}" = start ] || exit 0
{% for cidr, via in routes %}
ip -4 route replace {{ cidr }} via {{ via }} proto {{ protocol }}
{% endfor %}
nft -f - <<'RULES'
table ip kubeforge_pods {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {{ pods }} ip daddr != { {{ pods }}, 224.0.0.0/4 } masquerade
    }
}
RULES
