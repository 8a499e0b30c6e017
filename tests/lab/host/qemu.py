"""The other kind of guest: a whole computer with Debian's stock kernel, two CPUs and BPF's JIT,
emulated by QEMU in software. The same trees, the same scenarios; a tenth of the speed.

QEMU and the kernel are unpacked into the cache, apart from the trees: neither is installed.
"""

import os
import pathlib
import shutil
import subprocess

from . import packages
from .common import CACHE, LAB, LabError, OUT, REPO, extras, locked, say, tree
from .guest import Guest
from .prepare import download, merge_usr, remove, stamp_of, unpack

HOME = CACHE / "qemu"
MEMORY = "2048M"
CPUS = "2"

# What the first file system needs to get at the others.
EARLY_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")

FIRST_INIT = """\
#!/bin/sh
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
for module in %s; do
	busybox insmod /modules/$module.ko
done
busybox mount -t 9p -o ro,%s root /root || busybox poweroff -f
[ ! -d /root/lab/repo ] || busybox mount -t 9p -o ro,%s start /root/lab/repo
exec busybox switch_root /root "$LAB_FIRST"
"""
SHARE_OPTIONS = "trans=virtio,version=9p2000.L,msize=512000,cache=loose"


def is_ready():
    try:
        return (HOME / ".lab-recipe").read_text() == recipe()
    except OSError:
        return False


def recipe():
    return stamp_of([packages.QEMU, packages.STOCK_KERNEL, EARLY_MODULES, FIRST_INIT, SHARE_OPTIONS])


def prepare():
    """QEMU, a kernel with its modules, and a first file system that mounts the rest."""
    with locked(CACHE / "lock-prepare-qemu", what="another 'lab prepare'"):
        if is_ready():
            return
        say(f"QEMU: making {HOME}: some 90 MB")
        build = HOME.with_name("qemu.tmp")
        remove(build)
        debs = build.with_name("debs-qemu")
        for part in ("host", "kernel"):
            merge_usr(build / part)
        for deb in download(debs, packages.QEMU + packages.STOCK_KERNEL):
            unpack(deb, build / ("kernel" if deb.name.startswith("linux-image-") else "host"))
        remove(debs)
        make_first_root(build)
        (build / ".lab-recipe").write_text(recipe())
        remove(HOME)
        build.rename(HOME)
        say("QEMU: done")


def kernel_version(home):
    found = sorted(path.name for path in (home / "kernel/lib/modules").iterdir())
    if len(found) != 1:
        raise LabError(f"one kernel was expected in {home}, not {found}")
    return found[0]


def program(home, name):
    """Command and environment of an unpacked program."""
    libraries = home / "host/usr/lib" / f"{os.uname().machine}-linux-gnu"
    return str(home / "host" / name), dict(os.environ, LD_LIBRARY_PATH=str(libraries))


def make_first_root(home):
    version = kernel_version(home)
    kmod, env = program(home, "usr/bin/kmod")
    subprocess.run(["depmod", "-b", str(home / "kernel"), version], executable=kmod, env=env, check=True)
    modules = home / "kernel/lib/modules" / version
    root = home / "first"
    for name in ("bin", "proc", "dev", "root", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(home / "host/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    order = in_order(modules, EARLY_MODULES)
    for path in order:
        shutil.copy(modules / path, root / "modules")
    loaded = " ".join(path.stem for path in order)
    (root / "init").write_text(FIRST_INIT % (loaded, SHARE_OPTIONS, SHARE_OPTIONS))
    (root / "init").chmod(0o755)
    cpio, env = program(home, "usr/bin/cpio")
    names = "\n".join(str(path.relative_to(root)) for path in [root, *sorted(root.rglob("*"))])
    with open(home / "first.cpio", "wb") as archive:
        subprocess.run([cpio, "--quiet", "-o", "-H", "newc"], cwd=root, env=env, stdout=archive,
                       input=names.encode(), check=True)
    remove(root)


def in_order(modules, names):
    """The modules' files after all that they depend on."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[pathlib.Path(name)] = [pathlib.Path(other) for other in others.split()]
    order = []

    def add(path):
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for name in names:
        for path in needs:
            if path.stem == name:
                add(path)
    return order


class QemuGuest(Guest):
    """As Guest; its directories come by 9p instead of hostfs."""

    slower = 4
    has_disk = False

    @staticmethod
    def label(release):
        return f"qemu-{release}"

    def take_cpu(self):
        return None

    def start(self, stage):
        shares = {"root": tree(self.release), "repo": REPO, "out": self.out,
                  "kernel": HOME / "kernel"}
        if self.stage:
            shares["stage"] = stage
        if self.release == "12":
            shares["extras"] = extras()
        else:
            shares["start"] = REPO      # seen from the tree; a share can be mounted once
        init = LAB / "guest/init" if self.release == "12" else "/lab/repo/tests/lab/guest/init"
        words = ["console=ttyS0", "quiet", "loglevel=4", "panic=-1", "mitigations=off",
                 f"LAB_FIRST={init}", f"LAB_9P={SHARE_OPTIONS}", self.slower_word()]
        words += [f"LAB_{name.upper()}={path}" for name, path in shares.items()]
        if any(" " in word for word in words):
            raise LabError("the lab does not work in a path with a blank")
        if self.job.get("systemd"):
            words += ["LAB_INIT=systemd"]
        if self.terminal:
            words += ["LAB_CONSOLE=tty", f"TERM={os.environ.get('TERM', 'linux')}"]
        qemu, env = program(HOME, "usr/bin/qemu-system-x86_64")
        command = ["setpriv", "--pdeathsig", "KILL", qemu, "-L", str(HOME / "host/usr/share/qemu"),
                   "-L", str(HOME / "host/usr/share/seabios"),
                   "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                   "-smp", CPUS, "-m", MEMORY, "-nodefaults", "-display", "none", "-no-reboot",
                   "-device", "virtio-rng-pci",
                   "-kernel", str(HOME / "kernel/boot" / f"vmlinuz-{kernel_version(HOME)}"),
                   "-initrd", str(HOME / "first.cpio"), "-append", " ".join(words),
                   "-serial", "mon:stdio" if self.terminal else "stdio"]
        for tag, path in shares.items():
            writable = "" if tag == "out" else ",readonly=on"
            command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,"
                                   f"multidevs=remap{writable}"]
        streams = {} if self.terminal else dict(
            stdin=subprocess.DEVNULL, stdout=open(self.console, "w"), stderr=subprocess.STDOUT,
            start_new_session=True)
        self.process = subprocess.Popen(command, env=env, **streams)
