#!/bin/sh
# Written by kubeforge: takes a snapshot of etcd out of the member of this host, verifies it, keeps the PKI of this host
# with it, lets old ones go, and prints what it is.
# usage: etcd-snapshot scheduled|asked REASON [KEY [DATABASE]]
#   KEY: a word by which who asked finds it again; DATABASE: of a member that does not run, instead of asking it.
set -eu
umask 077
kind=$1 reason=$2 key=${3:-} database=${4:-}
folder={{ folder }}

fail() {
    echo "etcd-snapshot: $*" >&2
    exit 1
}
digest() {
    sha256sum <"$1" | cut -d ' ' -f 1
}
# What etcd sends ends with the SHA-256 of all before; pages have 512 bytes or more. `snapshot status` does not look at it.
verify() {
    size=$(stat -c %s -- "$1")
    [ "$((size % 512))" -ne 0 ] || return 0
    said=$(tail -c 32 -- "$1" | od -An -v -tx1 | tr -d ' \n')
    [ "$said" = "$(head -c "$((size - 32))" -- "$1" | sha256sum | cut -d ' ' -f 1)" ] || fail "$1 is not what etcd sent"
}

mkdir -p -- "$folder"
exec 9>"$folder/.lock"
flock -w {{ patience }} 9 || fail "another snapshot has been under way for {{ patience }} s"
rm -rf -- "$folder"/.new-*
takes=$(stat -c %s -- {{ db }})
free=$(df --output=avail -B1 -- "$folder" | tail -n 1)
[ "$free" -gt "$((takes + takes / 2 + {{ spare }}))" ] ||
    fail "too little room in $folder: $free bytes are free, the database has $takes, and {{ spare }} shall stay free"

name=$(date -u +%Y%m%dT%H%M%S.%3NZ)-$kind-{{ host }}
new=$folder/.new-$name
mkdir -- "$new"
if [ -n "$database" ]; then
    source=data members=null endpoint=null
    cp -- "$database" "$new/{{ snapshot }}"
else
    source=member
    members=$({{ etcdctl }} member list -w json 2>/dev/null) || members=null
    endpoint=$({{ etcdctl }} endpoint status -w json)
    {{ etcdctl }} --command-timeout={{ patience }}s snapshot save "$new/{{ snapshot }}" >/dev/null 2>"$new/.log" ||
        fail "$(tail -n 1 -- "$new/.log")"
    rm -f -- "$new/.log"
fi
verify "$new/{{ snapshot }}"
status=$({{ etcdutl }} snapshot status "$new/{{ snapshot }}" -w json)

set --
for file in {{ pki | join(' ') }}; do
    [ ! -e "$file" ] || set -- "$@" "${file#/}"
done
tar -C / -cf "$new/{{ archive }}" -- "$@"
authorities=
for file in {{ public | join(' ') }}; do
    [ ! -e "$file" ] || authorities="$authorities${authorities:+,}\"$file\":\"$(digest "$file")\""
done

# Of those that wrote what is in it: cluster.yml and the programs on the disk may be ahead of what runs.
kubernetes=$(sed -n 's|^[ -]*image: .*/kube-apiserver:v\([^" ]*\).*|\1|p' {{ api_server }} 2>/dev/null || true)
etcd=$(printf '%s' "$endpoint" | sed -n 's/.*"version":"\([0-9.]*\)".*/\1/p')
[ -n "$etcd" ] || etcd=$({{ etcdutl }} version | sed -n 's/^etcdutl version: //p')
printf '{"format":1,"name":"%s","cluster":"%s","host":"%s","time":"%s","kind":"%s","reason":"%s","key":"%s",' \
    "$name" '{{ cluster }}' '{{ host }}' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$kind" "$reason" "$key" >"$new/{{ about }}"
printf '"source":"%s","kubernetes":"%s","etcd":"%s","size":%s,"sha256":"%s","authorities":%s,' \
    "$source" "${kubernetes:-{{ kubernetes }}}" "$etcd" \
    "$(stat -c %s -- "$new/{{ snapshot }}")" "$(digest "$new/{{ snapshot }}")" "{$authorities}" >>"$new/{{ about }}"
printf '"status":%s,"members":%s,"endpoint":%s}\n' "$status" "$members" "$endpoint" >>"$new/{{ about }}"
sync -- "$new"/* "$new"
mv -T -- "$new" "$folder/$name"
sync -- "$folder"

# None goes while one of them is being restored.
[ -e {{ restore }} ] || for kind in scheduled asked; do
    number=0
    for each in $(ls -1r -- "$folder" | grep -e "Z-$kind-" || true); do
        number=$((number + 1))
        [ "$number" -gt 1 ] || continue
        if [ "$number" -gt {{ keep }} ] || [ -n "$(find "$folder/$each" -maxdepth 0 -mmin +{{ minutes }})" ]; then
            rm -rf -- "${folder:?}/$each"
        fi
    done
done
cat -- "$folder/$name/{{ about }}"
