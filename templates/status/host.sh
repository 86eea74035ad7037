# One look at a host: what systemd, the kubelet's folders, etcd and earlier runs say. Reads only, and never a private
# key: of files that hold one, only the lines of certificates go out. Each part of the answer begins with a line of its
# own: a word that nothing else prints, what follows, and its name.
# $1: that word; $2: whether to ask etcd; then certificates, --, kubeconfigs.
word=$1 etcd=$2
shift 2
part() { printf '\n%s %s\n' "$word" "$*"; }

part units
systemctl show -p Id,ActiveState,ExecMainStartTimestampMonotonic -- {{ units }} 2>/dev/null
part clocks
read -r up rest </proc/uptime
echo "$up $(date +%s)"
part manifests
ls -1 -- {{ manifests }} 2>/dev/null
part processes
cat /proc/[0-9]*/comm 2>/dev/null | sort -u
part note
cat -- {{ note }} 2>/dev/null
# Who holds one of our locks has it open as 9. Trying the lock would disturb a run that begins just now, and the kernel's
# list of locks leaves out those whose taker (flock itself) has ended, in every PID namespace but the first.
for file in {{ lock }} {{ cluster_lock }}; do
    for open in /proc/[0-9]*/fd/9; do
        if [ "$open" -ef "$file" ]; then
            part held "$file"
            cat -- "$file"
            break
        fi
    done
done
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    if [ -e "$1" ]; then
        part certificate "$1"
        sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/p' -- "$1"
    fi
    shift
done
[ $# -eq 0 ] || shift
for file; do
    if [ -e "$file" ]; then
        part kubeconfig "$file"
        grep -E '^ *(- )?(server|certificate-authority-data|client-certificate-data): ' -- "$file"
    fi
done
if [ "$etcd" = yes ]; then
    [ -e {{ etcd_data }} ] || part no-data
    said=$({{ etcdctl }} endpoint status -w json 2>&1)
    part etcd
    printf '%s\n' "$said"
    # Where no leader is named nobody may tell who the members are, and asking takes until the deadline.
    case $said in
    *'"leader":'*)
        part members
        {{ etcdctl }} member list -w json 2>&1
        ;;
    esac
fi
part end
