"""Debian packages, for scenarios that install and remove some: the distribution's and ours."""

import hashlib
import json
import re
import shutil
import subprocess

from . import build, sources
from .common import CACHE, OUT, REPO, locked, say, tree, unshare
from .prepare import APT_ENVIRONMENT, remove, run_quietly

# What a site with PoPToP has, with all that it and ours depend on. Where a guest has their files already,
# unpacked or installed, scenarios tell its dpkg so.
THEIRS = ["pptpd", "bcrelay", "ppp", "systemd", "libbpf1"]

LAB = "usr/lib/lab"             # in the guest
WHERE = f"{LAB}/debs"           # folders theirs, ours, and ours with tables of other versions:
OTHERS = "newer", "other"       # in this order by version

DOWNLOAD = r"""
set -e
mount --make-rprivate / 2>/dev/null || : # no mount point
mount --bind "$GOAL" "$TREE/lab/out"
case $MIRROR in
file:*) mount --bind "${MIRROR#file:}" "$TREE${MIRROR#file:}" ;;
esac
exec chroot "$TREE" apt-get $OPTIONS -o Dir::Cache::archives=/lab/out $THEIRS
"""
OPTIONS = ("install --reinstall -y --download-only --no-install-recommends -q "
           "-o Debug::NoLocking=1 -o APT::Keep-Downloaded-Packages=true "
           "-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root")


def stage(release):
    """A layer for a guest that has these packages and nothing of ours installed."""
    goal = OUT / f"debs-{release}"
    with locked(OUT / f"build-{release}.lock", what="another build"):
        remove(goal)
        (goal / WHERE).mkdir(parents=True)
        shutil.copytree(distribution(release), goal / WHERE / "theirs")
        shutil.copytree(ours(release), goal / WHERE / "ours")
        for name in OTHERS:
            higher_version(release, goal / WHERE, name)
        shutil.copy(REPO / "build" / release / "pptpload", goal / LAB)
    return goal


def ours(release):
    """Builds it; lintian has to be content."""
    build_dir = REPO / "build" / release
    remove(build_dir / "deb")
    build.make(release, build_dir, OUT, OUT / f"deb-{release}.log",
               "deb lintian other-tables")
    return build_dir / "deb"


def higher_version(release, where, name):
    """Our package with another server in it, which has tables of another version."""
    (package,) = (where / "ours").glob("pptpctrl_*.deb")
    root = where / "root"
    subprocess.run(["dpkg-deb", "-R", package, root], check=True)
    program = root / "usr/sbin/pptpctrl"
    shutil.copy(REPO / "build" / release / f"pptpctrl-{name}", program)
    sums = (root / "DEBIAN/md5sums").read_text()
    digest = hashlib.md5(program.read_bytes()).hexdigest()
    (root / "DEBIAN/md5sums").write_text(
        re.sub(r"(?m)^\w+(?=  usr/sbin/pptpctrl$)", digest, sums))
    control = (root / "DEBIAN/control").read_text()
    (root / "DEBIAN/control").write_text(re.sub(r"(?m)^Version: .*", rf"\g<0>+{name}", control))
    (where / name).mkdir()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", root, where / name],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)


def distribution(release):
    """Downloaded once, into the cache."""
    goal = CACHE / f"debs-{release}"
    stamp = json.dumps(THEIRS)
    with locked(CACHE / f"lock-debs-{release}", what="another download"):
        if (goal / "stamp").exists() and (goal / "stamp").read_text() == stamp:
            return goal
        say(f"Debian {release}: downloading PoPToP's package")
        fresh = goal.with_name(goal.name + ".tmp")
        remove(fresh)
        (fresh / "partial").mkdir(parents=True)
        download(release, fresh)
        (fresh / "partial").rmdir()
        (fresh / "lock").unlink(missing_ok=True)
        (fresh / "stamp").write_text(stamp)
        remove(goal)
        fresh.rename(goal)
    return goal


def download(release, goal):
    what = f"apt-get download of debs {release}"
    if release == "12":
        run_quietly(["apt-get", *OPTIONS.split(), "-o", f"Dir::Cache::archives={goal}", *THEIRS],
                    what, APT_ENVIRONMENT)
        return
    mirror, _ = sources.debian_mirror()
    env = dict(APT_ENVIRONMENT, **sources.proxy_environment(mirror))
    env.update(TREE=str(tree(release)), GOAL=str(goal), MIRROR=mirror, OPTIONS=OPTIONS,
               THEIRS=" ".join(THEIRS))
    run_quietly([*unshare(), "sh", "-c", DOWNLOAD], what, env)
