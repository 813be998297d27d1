#!/bin/sh
# Installs what a lab needs and is not there (Debian, Ubuntu). Starts no service.
set -eu

# package:program that shows it is there
needed="nftables:nft bird2:bird bgpdump:bgpdump frr:/usr/lib/frr/bgpd gobgpd:gobgpd openbgpd:bgpctl
        exabgp:exabgp iproute2:ip iputils-ping:ping procps:sysctl tcpdump:tcpdump util-linux:nsenter coreutils:timeout openssl:openssl
        g++:c++"

PATH=$PATH:/usr/sbin:/sbin
missing=
for pair in $needed; do
    command -v "${pair#*:}" >/dev/null 2>&1 || missing="$missing ${pair%%:*}"
done
if [ -z "$missing" ]; then
    echo "lab: everything is installed"
    exit 0
fi
echo "lab: installing$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "lab: installing needs root: run this as root" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "lab: no apt-get here: install$missing with your package manager" >&2
    exit 1
fi

# Packages may want to start their daemons; a policy of 101 (forbidden) stops
# that. A policy that is already there is the owner's and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get update -q
# shellcheck disable=SC2086  # a list of words on purpose
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
