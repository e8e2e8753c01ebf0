#!/bin/sh
# Options for the Docker daemon from the subnet that flanneld leased: reads subnet.env, writes an environment file.
# Same options, output and exit codes as upstream flannel's script of this name.

usage() {
	cat >&2 <<END
Usage: $0 [-f FILE] [-d FILE] [-i] [-c] [-m] [-k NAME]

Writes what Docker must be told of this host's subnet, as variables for its service.

  -f FILE  what flanneld wrote (/run/flannel/subnet.env); none there counts as empty
  -d FILE  where to write (/run/docker_opts.env)
  -i       one variable an option: DOCKER_OPT_BIP, DOCKER_OPT_IPMASQ, DOCKER_OPT_MTU, and those of
           the environment whose names begin with DOCKER_OPT_
  -c       all options in one variable, behind what it has in the environment; without -i and -c: both
  -k NAME  the name of that variable (DOCKER_OPTS)
  -m       leave --ip-masq out
END
	exit 1
}

fail() {
	printf '%s: %s\n' "$0" "$1" >&2
	exit 1
}

# Names of our own: subnet.env and the environment may define any other.
mkdo_subnet_env=/run/flannel/subnet.env
mkdo_output=/run/docker_opts.env
mkdo_key=DOCKER_OPTS
mkdo_single=
mkdo_combined=
mkdo_masq=yes

while getopts f:d:icmk:h mkdo_flag; do
	case $mkdo_flag in
	f) mkdo_subnet_env=$OPTARG ;;
	d) mkdo_output=$OPTARG ;;
	i) mkdo_single=yes ;;
	c) mkdo_combined=yes ;;
	m) mkdo_masq= ;;
	k) mkdo_key=$OPTARG ;;
	*) usage ;;
	esac
done
[ -n "$mkdo_single$mkdo_combined" ] || mkdo_single=yes mkdo_combined=yes

case $mkdo_key in
'' | [0-9]* | *[!A-Za-z0-9_]*) fail "-k $mkdo_key: not the name of a variable; say one like DOCKER_OPTS" ;;
esac

if [ -f "$mkdo_subnet_env" ]; then
	# The shell looks for a name without a slash in PATH.
	case $mkdo_subnet_env in
	*/*) . "$mkdo_subnet_env" ;;
	*) . "./$mkdo_subnet_env" ;;
	esac
fi

[ -z "$FLANNEL_SUBNET" ] || DOCKER_OPT_BIP=--bip=$FLANNEL_SUBNET
[ -z "$FLANNEL_MTU" ] || DOCKER_OPT_MTU=--mtu=$FLANNEL_MTU
if [ -n "$mkdo_masq" ]; then
	# One of the two masquerades: Docker where flanneld does not.
	case $FLANNEL_IPMASQ in
	'') ;;
	true) DOCKER_OPT_IPMASQ=--ip-masq=false ;;
	false) DOCKER_OPT_IPMASQ=--ip-masq=true ;;
	*) fail "$mkdo_subnet_env: FLANNEL_IPMASQ is $FLANNEL_IPMASQ; want true or false" ;;
	esac
fi

eval "mkdo_all=\$$mkdo_key"
[ -z "$mkdo_all" ] || mkdo_all="$mkdo_all "
mkdo_text=
mkdo_newline='
'
# Lines of a value may look like a variable: only what is set counts.
for mkdo_name in $(set | LC_ALL=C sed -n 's/^\(DOCKER_OPT_[A-Za-z0-9_]*\)=.*/\1/p' | LC_ALL=C sort -u); do
	eval "[ -n \"\${$mkdo_name+set}\" ]" || continue
	eval "mkdo_value=\$$mkdo_name"
	[ -z "$mkdo_single" ] || mkdo_text="$mkdo_text$mkdo_name=\"$mkdo_value\"$mkdo_newline"
	mkdo_all="$mkdo_all $mkdo_value"
done
[ -z "$mkdo_combined" ] || mkdo_text="$mkdo_text$mkdo_key=\"$mkdo_all\"$mkdo_newline"

{ printf '%s' "$mkdo_text" >"$mkdo_output"; } || fail "$mkdo_output can't be written; see above"

# Docker would take over a subnet that this host reaches through another one.
mkdo_length=${FLANNEL_SUBNET##*/}
mkdo_address=${FLANNEL_SUBNET%/*}
mkdo_last=${mkdo_address##*.}
case $mkdo_last in
'' | *[!0-9]*) exit 0 ;;
esac
mkdo_net=${mkdo_address%.*}.$((mkdo_last - 1))/$mkdo_length
mkdo_route=$(ip route show | awk -v net="$mkdo_net" '$1 == net && / via /')
[ -z "$mkdo_route" ] || {
	echo "Your routing table already contains the subnet: $mkdo_route" >&2
	exit 1
}
