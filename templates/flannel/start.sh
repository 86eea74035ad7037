set -eu
# A node counts as ready as soon as a CNI configuration lies there, but the plugin needs subnet.env, which flanneld writes
# once it knows its subnet: so the configuration comes after it, and one of an earlier boot goes first.
[ -s {{ subnet }} ] || rm -f {{ conflist }}
{
    until [ -s {{ subnet }} ]; do sleep 0.1; done
    cp /etc/kube-flannel/cni-conf.json {{ conflist }}.new
    mv -f {{ conflist }}.new {{ conflist }}
} &
exec /opt/bin/flanneld "$@"
