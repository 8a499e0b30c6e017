#!/bin/sh
# First process of a demo on the machine itself: makes a root directory that looks like a
# guest's (see init), in memory, and runs the given command in it. Namespaces are unshared
# already: what is mounted here nobody else sees, and it is gone with this process.
#
#   REPO, STAGE, EXTRAS  the project, what it installs, further packages unpacked
#   OUT, WHERE           directory for results; one to mount the root on

set -e
mount --make-rprivate /
root=$WHERE/root
mkdir "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"

mkdir -p usr etc proc sys dev run tmp root var/empty var/lib var/log var/tmp \
	lab/repo lab/out .stage .upper/usr .upper/etc .work/usr .work/etc
chmod 1777 tmp
for name in bin sbin lib lib32 lib64 libx32; do
	[ ! -L "/$name" ] || ln -s "usr/$name" "$name"
done
ln -s ../run var/run

cp -a "$STAGE/." .stage
for name in usr etc; do
	lower=
	for layer in "$root/.stage" "$EXTRAS" ""; do
		[ ! -d "$layer/$name" ] || lower=$lower:$layer/$name
	done
	mount -t overlay -o \
	    "lowerdir=${lower#:},upperdir=$root/.upper/$name,workdir=$root/.work/$name" overlay "$name"
done

# Our own build has the file names of PoPToP: keep PoPToP's within reach.
mkdir -p usr/lib/lab/poptop
for name in pptpd pptpctrl; do
	cp "$EXTRAS/usr/sbin/$name" usr/lib/lab/poptop/ 2>/dev/null ||
		cp "/usr/sbin/$name" usr/lib/lab/poptop/
done
grep -q '^pptpd:' etc/passwd || {
	echo 'pptpd:x:977:977:PPTP server:/var/empty:/usr/sbin/nologin' >>etc/passwd
	echo 'pptpd:x:977:' >>etc/group
}

mount -t proc proc proc
mount -t sysfs -o ro sys sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock run/netns
mount --bind "$REPO" lab/repo
mount -o remount,ro,bind lab/repo
mount --bind "$OUT" lab/out

# A /dev of its own: the demo's log socket takes the place of /dev/log.
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
while read -r name major minor; do
	mknod -m 666 "dev/$name" c "$major" "$minor"
done <<NODES
null 1 3
zero 1 5
random 1 8
urandom 1 9
tty 5 0
ppp 108 0
NODES

mkdir lab/out/demo
chroot . modprobe -a ppp_generic ppp_async ppp_mppe pptp l2tp_ppp veth sch_netem \
	2>lab/out/demo/modprobe.log || exit 96
ip link set lo up
exec chroot . "$@"
