"""Which packages go where. A change here rebuilds the tree that it concerns."""

# Raise it when the way a tree is made changes.
RECIPE_VERSION = 3

# On the machine itself, by apt: compile-time packages and debootstrap, no service
# and nothing in /etc that runs.
MACHINE = """
debootstrap gcc make libc6-dev pkg-config
libsystemd-dev libssl-dev libseccomp-dev libcap-ng-dev libjson-c-dev libcmocka-dev
dpkg-dev debhelper lintian clang libbpf-dev
""".split()

# Everything that a guest needs at run time. Into a tree, never onto the machine.
GUEST = """
ppp ppp-dev pptpd pptp-linux xl2tpd user-mode-linux kmod
iproute2 iputils-ping ethtool nftables iptables conntrack
iperf3 tcpdump strace procps util-linux python3 python3-scapy
freeradius freeradius-utils libradcli4 fail2ban dbus systemd systemd-sysv libbpf1
""".split()

# A tree of its own also has what the machine gives a Debian 12 guest.
TREE = """
gcc make libc6-dev pkg-config
libsystemd-dev libssl-dev libseccomp-dev libcap-ng-dev libjson-c-dev libcmocka-dev
openssl openssl-provider-legacy wtmpdb
debhelper dpkg-dev lintian clang libbpf-dev
""".split()

# What apt in the new tree needs before it can get the rest.
BASE = "ca-certificates"

# Services that must not come up by themselves when a guest runs systemd.
NOT_ENABLED = ("pptpd", "xl2tpd", "nftables", "freeradius", "fail2ban")

# For guests under QEMU: the emulator, what makes its first file system, and the kernel.
QEMU = "qemu-system-x86 busybox-static cpio kmod".split()
STOCK_KERNEL = ["linux-image-amd64"]
