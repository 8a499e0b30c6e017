"""Gets everything the lab needs; does nothing when it is there already."""

import fcntl
import hashlib
import json
import os
import subprocess

from . import packages, sources
from .common import CACHE, LabError, SUITES, Ticker, locked, made_by_prepare, say, unshare

APT_ENVIRONMENT = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")


def prepare(releases):
    with locked(CACHE / "lock-machine", what="another 'lab prepare'"):
        install_on_machine()
    for release in releases:
        with locked(CACHE / f"lock-prepare-{release}", what="another 'lab prepare'"):
            prepare_tree(release)


def is_ready(release):
    """True when the release's tree is complete and made by the recipe of today."""
    try:
        stamp = (made_by_prepare(release) / ".lab-recipe").read_text()
    except OSError:
        return False
    return stamp == recipe(release) and not missing_on_machine()


def recipe(release):
    """Hash over all that decides what a tree contains, but for the mirror's state."""
    parts = [packages.RECIPE_VERSION, release, packages.GUEST]
    if release == "12":
        # What the machine has, its guest gets from the machine.
        parts.append(sorted(installed(packages.GUEST)))
    else:
        parts += [packages.TREE, packages.NOT_ENABLED]
    return stamp_of(parts)


def stamp_of(parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest() + "\n"


def installed(names):
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *names],
                         capture_output=True, text=True).stdout
    return {line.split()[0] for line in out.splitlines() if line.split()[1:2] == ["ii"]}


def missing_on_machine():
    return sorted(set(packages.MACHINE) - installed(packages.MACHINE))


def install_on_machine():
    missing = missing_on_machine()
    if not missing:
        return
    say("installing on this machine: " + " ".join(missing))
    apt_update()
    run_quietly(["apt-get", "install", "-y", "--no-install-recommends", *missing],
                "apt-get install", APT_ENVIRONMENT)


def apt_update():
    say("apt-get update")
    run_quietly(["apt-get", "update", "-q"], "apt-get update", APT_ENVIRONMENT)


def run_quietly(command, what, env=None):
    """Runs a long command, shows a line of its output now and then, all on failure."""
    log = CACHE / (what.replace(" ", "-").replace("/", "-") + ".log")
    ticker = Ticker(what)
    with open(log, "w") as copy, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, errors="replace", env=env) as process:
        for line in process.stdout:
            copy.write(line)
            ticker.line(line)
    if process.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-12:]
        raise LabError("\n  ".join([f"{what} failed ({process.returncode}), all of it in {log}", *tail]))


def prepare_tree(release):
    goal = made_by_prepare(release)
    if is_ready(release):
        say(f"Debian {release}: ready in {goal}")
        return
    say(f"Debian {release}: making {goal}")
    # Guests hold this lock shared: a tree is not replaced under a running one.
    with locked(CACHE / f"lock-{release}", fcntl.LOCK_EX, f"guests of Debian {release}"):
        build = goal.with_name(goal.name + ".tmp")
        remove(build)
        build.mkdir(parents=True)
        (make_extras if release == "12" else make_debootstrap)(release, build)
        (build / ".lab-recipe").write_text(recipe(release))
        old = goal.with_name(goal.name + ".old")
        remove(old)
        if goal.exists():
            goal.rename(old)
        build.rename(goal)
        remove(old)
    say(f"Debian {release}: done")


def remove(path):
    if path.exists():
        # --one-file-system: should anything be mounted in there, it stays whole.
        subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)


def make_extras(release, build):
    """Unpacks, never installs, the packages a guest needs and the machine has not."""
    debs = build.with_name("debs-" + release)
    say("downloading packages for the Debian 12 guest")
    packed = download(debs, packages.GUEST)
    # As on the machine, /bin and its like are links; a directory here would hide them.
    merge_usr(build)
    for deb in packed:
        unpack(deb, build)
    add_alternatives(build)
    remove(debs)


def download(where, names):
    """The files of those packages, and of what they need, that the machine has not."""
    remove(where)
    (where / "partial").mkdir(parents=True)
    apt_update()
    run_quietly(["apt-get", "install", "-y", "--download-only", "--no-install-recommends",
                 "-o", f"Dir::Cache::archives={where}", "-o", "Debug::NoLocking=1",
                 "-o", "APT::Keep-Downloaded-Packages=true", *names],
                "apt-get download", APT_ENVIRONMENT)
    return sorted(where.glob("*.deb"))


def merge_usr(root):
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def unpack(deb, build):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", build, "--keep-directory-symlink"],
                       stdin=archive.stdout, check=True)
    if archive.returncode != 0:
        raise LabError(f"cannot unpack {deb}")


def add_alternatives(build):
    """Links that iptables' postinst would have made; legacy, since the guest's kernel lacks
    what the nft variant needs."""
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            (build / "usr/sbin" / (family + suffix)).symlink_to("xtables-legacy-multi")


# Mounts of debootstrap are made in a mount namespace of its own, so that an abort leaves
# none behind. policy-rc.d must be there before the first package is configured. debootstrap makes
# the base only: it does not know in which order many packages can be configured, apt does. Like
# debootstrap, apt takes what the mirror has, however old its list of files is.
DEBOOTSTRAP = r"""
set -e
mount --make-rprivate / 2>/dev/null || : # no mount point
debootstrap --foreign --variant=minbase --keyring="$KEYRING" --include="$BASE" \
	"$SUITE" "$TREE" "$MIRROR"
printf '#!/bin/sh\nexit 101\n' >"$TREE/usr/sbin/policy-rc.d"
chmod 755 "$TREE/usr/sbin/policy-rc.d"
chroot "$TREE" /debootstrap/debootstrap --second-stage
cp "$KEYRING" "$TREE/etc/apt/trusted.gpg.d/"
case $MIRROR in
file:*)
	place=${MIRROR#file:}
	mkdir -p "$TREE$place"
	mount --bind "$place" "$TREE$place" ;;
esac
mount -t proc proc "$TREE/proc"
chroot "$TREE" apt-get -o Acquire::Check-Valid-Until=false -q update
chroot "$TREE" apt-get -q install -y --no-install-recommends $PACKAGES
umount "$TREE/proc"
chroot "$TREE" systemctl disable $NOT_ENABLED
chroot "$TREE" update-alternatives --set iptables /usr/sbin/iptables-legacy
chroot "$TREE" apt-get clean
mkdir -p "$TREE/lab/repo" "$TREE/lab/build" "$TREE/lab/out" "$TREE/lab/stage"
"""


def make_debootstrap(release, build):
    mirror, signed = sources.debian_mirror()
    say(f"debootstrap of {SUITES[release]} from {mirror}: some 400 MB, a few minutes")
    env = dict(APT_ENVIRONMENT, **sources.proxy_environment(mirror))
    env.update(KEYRING=sources.keyring_file(signed, CACHE / "keyring.asc"),
               BASE=packages.BASE, PACKAGES=" ".join(packages.GUEST + packages.TREE),
               SUITE=SUITES[release], TREE=str(build), MIRROR=mirror, NOT_ENABLED=" ".join(packages.NOT_ENABLED))
    # All of it ends with this process: a killed run must not write into the next one's tree.
    run_quietly(["setpriv", "--pdeathsig", "KILL", *unshare("--pid", "--fork",
                 "--kill-child", "--mount-proc"), "sh", "-c", DEBOOTSTRAP],
                f"debootstrap {release}", env)
