# Prints what a host is made of, one sorted line per thing, for comparing before apply with after reset.
# Left out because they change by themselves or are named as staying: logs, journal, /proc, /sys, /dev, /tmp, apt's own.
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /var/lib/apt \
    -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log/journal -o -path /var/lib/systemd \) -prune \
    -o \( -type f -o -type l -o -type d \) -printf 'path %p %y %m %u:%g %l\n' |
    grep -vE '^path (/var/log/(wtmp|btmp|lastlog|faillog)|/root/\.ssh|/etc/machine-id) '
find /var/lib -xdev -mindepth 1 -maxdepth 1 -printf 'var-lib %f\n'
find /run -xdev -mindepth 1 -maxdepth 1 -printf 'run %f\n' | grep -vE ' (utmp|log|motd.dynamic|sudo|user|credentials)$'
find /etc /usr/local /opt /root -xdev -type f -exec sha256sum {} + | sed 's/^/content /' | grep -vE '/etc/(machine-id|mtab)'
systemctl list-unit-files --no-legend --plain | awk '{print "unit-file", $1, $2}'
systemctl list-units --all --no-legend --plain --type=service,socket,timer,slice,mount |
    awk '$1 !~ /^(session|user)/ {print "unit", $1, $2, $3}' |
    grep -vE ' (systemd-tmpfiles-clean|systemd-timedated|systemd-hostnamed|ssh@|run-credentials|user|logrotate|apt|dpkg|man-db)'
cut -d ' ' -f 5 /proc/self/mountinfo | sed 's/^/mount /' | grep -v /run/user
ip -o link | sed -E 's/^[0-9]+: //; s/(mtu|qdisc|link).*//; s/@if[0-9]+//; s/^/link /'
ip -o addr show scope global | awk '{print "address", $2, $4}'
ip route show table all | grep -vE '^(multicast|fe80|ff00)|table local' | sed 's/^/route /'
ip -d netns list | sed 's/^/netns /'
nft list ruleset | sed 's/^/nft /'
for tool in iptables-legacy-save ip6tables-legacy-save; do
    "$tool" 2>/dev/null | grep -E '^-A|^:[A-Z]+-' | sed "s/^/$tool /"
done
ipset list -n 2>/dev/null | sed 's/^/ipset /'
ps -e -o args= | grep -vE '^(ps|sh|bash|grep|sed|awk|find|sort|\(sd-pam\)|sshd: |/lib/systemd/systemd --user|systemctl|journalctl|\[)' |
    sort -u | sed 's/^/process /'
sysctl -a 2>/dev/null | grep -vE '^(fs\.(dentry|inode|file-nr|aio-nr|quota|dquot)|kernel\.(random|ns_last_pid|pty\.nr|hostname|.*loadavg|core_pattern|sched|perf)|net\.(netfilter\.nf_conntrack_(count|max|buckets)|ipv6\.conf\..*(stable_secret|mtu)|ipv4\.(tcp_.*mem|route|fib))|vm\.stat|net\.[a-z0-9.]*(cni0|flannel|veth|cali))' |
    sed 's/^/sysctl /'
