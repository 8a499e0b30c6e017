"""Builds the project for a release and installs it into a stage, one layer of the guest."""

import shutil
import subprocess

from .common import LabError, OUT, REPO, extra, locked, tree, unshare

# The source is read-only in there and the tree itself is not touched.
IN_CHROOT = r"""
set -e
mount --make-rprivate / 2>/dev/null || : # no mount point
mount --bind "$REPO" "$TREE/lab/repo"
mount -o remount,ro,bind "$TREE/lab/repo"
mount --bind "$BUILD" "$TREE/lab/build"
mount --bind "$STAGE" "$TREE/lab/stage"
mount -t proc proc "$TREE/proc"
cd /
exec chroot "$TREE" sh -c '
	set -e
	make -j2 -C /lab/repo B=/lab/build
	make -C /lab/repo B=/lab/build DESTDIR=/lab/stage DEB_FLAGS=-d $GOALS'
"""

ON_MACHINE = r"""
set -e
make -j2 -C "$REPO" B="$BUILD" PPPD_INCLUDE="$INCLUDE"
make -C "$REPO" B="$BUILD" PPPD_INCLUDE="$INCLUDE" DESTDIR="$STAGE" DEB_FLAGS=-d $GOALS
"""

INSTALL = "install install-lab"


def build(release):
    """The stage directory, or None while the project has no Makefile."""
    if not (REPO / "Makefile").exists():
        return None
    stage, log = OUT / f"stage-{release}", OUT / f"build-{release}.log"
    with locked(OUT / f"build-{release}.lock", what="another build"):
        fresh = stage.with_name(stage.name + ".tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make(release, REPO / "build" / release, fresh, log)
        shutil.rmtree(stage, ignore_errors=True)
        fresh.rename(stage)
    return stage


def make(release, build_dir, stage, log, goals=INSTALL):
    build_dir.mkdir(parents=True, exist_ok=True)
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "REPO": str(REPO),
           "BUILD": str(build_dir), "STAGE": str(stage), "GOALS": goals}
    if release == "12":
        command, env["INCLUDE"] = ["sh", "-c", ON_MACHINE], str(extra("usr/include/pppd").parent)
    else:
        command, env["TREE"] = [*unshare(), "sh", "-c", IN_CHROOT], str(tree(release))
    with open(log, "w") as out:
        status = subprocess.run(command, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    if status.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError("\n  ".join([f"Debian {release}: the build failed, all of it in {log}", *tail]))
