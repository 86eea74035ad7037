# Takes away what Kubernetes and its addons made by themselves and what is no file: mounts, links, firewall rules.
# $P: directories that were there before, a line each; what is mounted there is not ours.
# $1…: directories of Kubernetes that were not there when this was planned.
below() {
    cut -d ' ' -f 5 /proc/self/mountinfo | grep -E '^({{ mounts | join("|") }})/' | sort -r
}
below | while read -r mount; do printf '%b\n' "$mount"; done | grep -vxF -f "$P" | while read -r mount; do
    umount -l -- "$mount"
done
for name in /run/netns/cni-*; do
    [ ! -e "$name" ] || { umount -l -- "$name" 2>/dev/null || true; rm -f -- "$name"; }
done

for link in {{ links | join(" ") }}; do
    [ ! -e "/sys/class/net/$link" ] || ip link delete "$link"
done

# iptables, in both of its kinds: every chain of ours, and every rule that leads there.
ours='{{ chains | join("|") }}'
for tool in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    command -v "$tool" >/dev/null && command -v "$tool-save" >/dev/null || continue
    rules=$("$tool-save" 2>/dev/null) || continue
    case $rules in
        *KUBE-* | *FLANNEL-* | *CNI-*) printf '%s\n' "$rules" | grep -vE "$ours" | "$tool-restore" ;;
    esac
done
if command -v ipset >/dev/null; then
    ipset list -n 2>/dev/null | grep '^KUBE-' | while read -r set; do ipset destroy "$set"; done
fi
if command -v nft >/dev/null; then
    for table in {{ nft_tables | join(" ") }}; do
        nft delete table ${table%%:*} "${table#*:}" 2>/dev/null || true
    done
    # Tables that iptables made and that hold nothing but their empty chains: they were not there before.
    for family in ip ip6; do
        for table in filter nat mangle raw; do
            rows=$(nft list table "$family" "$table" 2>/dev/null) || continue
            printf '%s\n' "$rows" | grep -qvE '^(#.*|table .*|	chain .*|		type filter hook .* policy accept;|		type (nat|route) hook .* policy accept;|	?}|)$' ||
                nft delete table "$family" "$table"
        done
    done
fi

for directory; do
    rm -rf --one-file-system -- "$directory"
done

# Made by container runtimes where a pod mounts what is not there; where they hold anything, they are the host's own.
for directory in {{ empty | join(" ") }}; do
    rmdir -- "$directory" 2>/dev/null || true
done
rm -f -- /run/xtables.lock

# kube-proxy's kernel parameters back to the kernel's defaults, then to what the administrator wrote down.
back() {
    [ "$(cat "/proc/sys/$1" 2>/dev/null)" != "$2" ] || echo "$3" >"/proc/sys/$1"
}
back net/ipv4/conf/all/route_localnet 1 0
back net/netfilter/nf_conntrack_tcp_timeout_established 86400 432000
back net/netfilter/nf_conntrack_tcp_timeout_close_wait 3600 60
systemctl restart systemd-sysctl 2>/dev/null || true
