# Ends every container of Kubernetes. The kubelet is down already, so nothing starts them again.
PATH={{ bin }}:$PATH
systemctl kill --signal=KILL kubepods.slice 2>/dev/null || true
if systemctl is-active --quiet containerd; then
    ctr -n {{ namespace }} tasks ls -q | while read -r id; do
        ctr -n {{ namespace }} tasks rm --force "$id" >/dev/null 2>&1 &
    done
    ctr -n {{ namespace }} containers ls -q | xargs -r ctr -n {{ namespace }} containers rm >/dev/null 2>&1 || true
fi
# Shims outlive containerd by design. They run under the name of their file in the store, so their flags tell them.
shims() {
    for process in /proc/[0-9]*; do
        case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
            *" -namespace {{ namespace }} "*" -address {{ socket }} "*) echo "${process#/proc/}" ;;
        esac
    done
}
for turn in 1 2 3 4 5 6 7 8 9 10; do
    left=$(shims)
    [ -n "$left" ] || break
    [ "$turn" -lt 6 ] || kill -KILL $left 2>/dev/null || true
    sleep 0.2
done
systemctl stop kubepods.slice 2>/dev/null || true
{% if shared %}
# The runtime's store was there before: of it only the namespace of Kubernetes goes, users before what they use. A
# container cannot be removed before the runtime has noticed that its shim is gone.
if systemctl is-active --quiet containerd; then
    for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        left=$(ctr -n {{ namespace }} containers ls -q)
        [ -n "$left" ] || break
        ctr -n {{ namespace }} containers rm $left >/dev/null 2>&1 || sleep 0.2
    done
    ctr -n {{ namespace }} leases ls -q | xargs -r -n 1 ctr -n {{ namespace }} leases rm >/dev/null
    ctr -n {{ namespace }} images ls -q | xargs -r ctr -n {{ namespace }} images rm --sync >/dev/null
    ctr namespaces rm {{ namespace }} >/dev/null
fi
{% endif %}
