# Part of start: what systemd finds when it boots the guest. Only what a server needs comes up,
# so that a boot takes seconds; what the machine has enabled for itself stays out.

units=/etc/systemd/system
# After a power cut all is there.
[ ! -e $units/lab.target ] || return 0
rm -rf $units
find /lib/systemd/system-generators/ -type f ! -name 'pptp*' -delete
mkdir -p $units/lab.target.wants /etc/systemd/journald.conf.d /etc/systemd/system.conf.d
: >/etc/fstab
[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >/etc/machine-id
# Users that the packages make when they are installed, not when they are unpacked.
for user in messagebus systemd-journal systemd-network systemd-resolve; do
	grep -q "^$user:" /etc/group || echo "$user:x:$((400 + ${#user})):" >>/etc/group
done
grep -q '^messagebus:' /etc/passwd ||
	echo "messagebus:x:410:410::/nonexistent:/usr/sbin/nologin" >>/etc/passwd

for unit in getty.target systemd-logind.service systemd-user-sessions.service \
	systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service \
	systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-hwdb-update.service \
	systemd-random-seed.service systemd-timesyncd.service systemd-networkd.service \
	systemd-networkd.socket systemd-resolved.service systemd-binfmt.service \
	systemd-journal-flush.service systemd-journal-catalog-update.service \
	systemd-pstore.service systemd-remount-fs.service systemd-modules-load.service \
	systemd-update-done.service systemd-update-utmp.service ldconfig.service \
	systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-pcrphase.service \
	dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
	sys-kernel-config.mount sys-fs-fuse-connections.mount modprobe@.service \
	proc-sys-fs-binfmt_misc.automount systemd-machine-id-commit.service \
	systemd-firstboot.service systemd-ask-password-console.path \
	systemd-ask-password-wall.path e2scrub_reap.service kmod-static-nodes.service \
	timers.target remote-fs.target swap.target cryptsetup.target; do
	ln -s /dev/null $units/$unit
done

cat >/etc/systemd/journald.conf.d/lab.conf <<END
[Journal]
Storage=volatile
RateLimitIntervalSec=0
ForwardToConsole=no
END
# A guest may be twenty times slower than a machine.
cat >/etc/systemd/system.conf.d/lab.conf <<END
[Manager]
DefaultTimeoutStartSec=300
DefaultTimeoutStopSec=300
END

cat >$units/lab.target <<END
[Unit]
Description=the lab's guest
Requires=basic.target
Wants=dbus.socket dbus.service
After=basic.target dbus.socket
END
cat >$units/lab-runner.service <<END
[Unit]
Description=runs the scenarios
After=basic.target dbus.socket
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
ExecStart=/usr/bin/python3 /lab/repo/tests/lab/guest/runner.py
StandardOutput=append:/dev/console
StandardError=inherit
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin LAB_INIT=systemd LAB_SLOWER=${LAB_SLOWER:-1}
TasksMax=infinity
LimitNOFILE=65536
END
ln -s $units/lab-runner.service $units/lab.target.wants/
