# What one host has before an upgrade: versions, what components are started with, parts, room. Reads only; none of these
# files holds a key. Each part of the answer begins with a line of its own: a word that nothing else prints, and its name.
# $1: that word.
word=$1
part() { printf '\n%s %s\n' "$word" "$*"; }
told() {
    [ -x "$2" ] || return 0
    name=$1
    shift
    said=$("$@" 2>&1 </dev/null | head -n 1)
    printf '%s %s\n' "$name" "$said"
}
room() {
    path=$1
    while [ ! -e "$path" ]; do path=${path%/*}; path=${path:-/}; done
    df -Pk -- "$path" | tail -n 1
}
text() {
    [ ! -e "$2" ] || { part "$1"; cat -- "$2"; }
}

part arch
uname -m
part programs
told kubelet {{ bin }}/kubelet --version
told kubeadm {{ bin }}/kubeadm version -o short
told kubectl {{ bin }}/kubectl version --client
told containerd {{ bin }}/containerd --version
told runc {{ bin }}/runc --version
told etcd {{ bin }}/etcd --version
told cni {{ cni_bin }}/bridge
{% for component in components -%}
text 'manifest {{ component }}' {{ manifests }}/{{ component }}.yaml
{% endfor -%}
text etcd-unit {{ etcd_unit }}
text kubelet-flags {{ kubelet_flags }}
text kubelet-config {{ kubelet_config }}
part stored
ls -1 -- {{ store }} 2>/dev/null
part images
{{ ctr }} images ls -q 2>/dev/null
part store
room {{ store }}
part image-store
room {{ images }}
part end
