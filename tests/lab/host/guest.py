"""One User-Mode Linux guest: how it is started, followed and ended."""

import collections
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from .common import CACHE, LAB, LabError, OUT, REPO, extra, extras, tree, unshare

MEMORY = os.environ.get("LAB_MEMORY", "1536M")
DISK_SIZE = 256 * 1024 * 1024
KERNEL_LINE = (f"mem={MEMORY} root=/dev/root rootfstype=hostfs rootflags=/ ro quiet loglevel=4 "
               "con=null con1=null ssl=null uml_dir=/dev/shm/")

# In mount and process namespaces of its own: nothing that is mounted here is seen outside,
# and all of the guest's processes end with this shell. The guest's memory is a file on
# the private /dev/shm. A newer release's kernel binary needs that release's libc: chroot.
# xstate.so is for CPUs that have more registers than the kernel knows: see xstate.c.
START = r"""
mount --make-rprivate / 2>/dev/null || : # no mount point
if [ "$TREE" != / ]; then
	mount --bind "$REPO" "$TREE/lab/repo" && mount -o remount,ro,bind "$TREE/lab/repo" &&
	mount --bind "$OUT" "$TREE/lab/out" && mount --bind "$STAGE" "$TREE/lab/stage" &&
	mount -t proc proc "$TREE/proc" && mount --bind /dev/pts "$TREE/dev/pts" || exit 97
fi
mount -t tmpfs -o size=4g,mode=1777 shm "$TREE/dev/shm" || exit 97
TMPDIR=/dev/shm
export TMPDIR
cp "$XSTATE" "$TREE/dev/shm/xstate.so" || exit 97
chroot "$TREE" env LD_PRELOAD=/dev/shm/xstate.so "$LINUX" $KERNEL_LINE
exit $?
"""


def try_lock(path):
    """The file, locked; None where somebody else has it locked."""
    lock = open(path, "a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except BlockingIOError:
        lock.close()
        return None


class Guest:
    """A context manager; what is left of the guest is removed at the end."""

    slower = 1                      # watchdogs are so many times as long
    has_disk = True                 # where a scenario wants to cut its power
    running = set()
    on_cpu = collections.Counter()  # how many of this process's guests are there
    choosing = threading.Lock()

    @staticmethod
    def label(release):
        """What its results are filed under."""
        return release

    def __init__(self, release, job, stage=None, terminal=False):
        self.release, self.job, self.stage, self.terminal = release, job, stage, terminal
        OUT.mkdir(parents=True, exist_ok=True)
        remove_abandoned()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"guest-{release}-{os.getpid()}-", dir=OUT))
        self.out = self.dir / "out"
        self.console = self.out / "console.log"
        self.process = self.events = self.tree_lock = self.cpu_lock = None
        self.cpu = None
        self.partial = ""

    def __enter__(self):
        # Held shared, so that nobody replaces the tree under a running guest.
        self.tree_lock = open(CACHE / f"lock-{self.release}", "a")
        fcntl.flock(self.tree_lock, fcntl.LOCK_SH)
        self.cpu_lock = self.take_cpu()
        self.out.mkdir()
        self.write_job()
        (self.out / "events").touch()
        self.events = open(self.out / "events")
        stage = self.dir / "stage"      # a copy: the next build must not pull it away
        if self.stage:
            shutil.copytree(self.stage, stage, symlinks=True)
        else:
            stage.mkdir()
        if self.job.get("boot"):
            self.make_disk()
        self.start(stage)
        Guest.running.add(self)
        return self

    def write_job(self):
        (self.out / "job.json").write_text(json.dumps(self.job))

    def make_disk(self):
        with open(self.out / "disk", "w") as disk:
            disk.truncate(DISK_SIZE)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", self.out / "disk"], check=True)

    def cut_power(self):
        """Nothing but its disk is left; it boots again."""
        self.kill()
        self.job["boot"] += 1
        self.write_job()
        self.start(self.dir / "stage")

    def take_cpu(self):
        """User-Mode Linux passes each system call between two processes: on one CPU it is 3 to 4
        times as fast as on two. Takes one that fewest of our guests have, and of these one that
        nobody else's guest has, if there is one."""
        with Guest.choosing:
            cpus = sorted(os.sched_getaffinity(0))
            fewest = min(Guest.on_cpu[cpu] for cpu in cpus)
            cpus = [cpu for cpu in cpus if Guest.on_cpu[cpu] == fewest]
            self.cpu, lock = cpus[os.getpid() % len(cpus)], None
            for cpu in cpus:
                lock = try_lock(CACHE / f"cpu-{cpu}")
                if lock:
                    self.cpu = cpu
                    break
            Guest.on_cpu[self.cpu] += 1
            return lock

    def slower_word(self):
        """For the kernel's command line, from where it gets into the environment."""
        return f"LAB_SLOWER={self.slower * self.job.get('slower', 1)}"

    def start(self, stage):
        xstate = self.dir / "xstate.so"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", xstate,
                        LAB / "host" / "xstate.c"], check=True)
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TREE": str(tree(self.release)),
               "XSTATE": str(xstate),
               "REPO": str(REPO), "OUT": str(self.out), "STAGE": str(stage)}
        inside = dict(LAB_REPO=REPO, LAB_OUT=self.out, LAB_STAGE=stage, LAB_EXTRAS=extras())
        program = extra("usr/bin/linux.uml")
        init = LAB / "guest" / "init"
        if self.release != "12":
            inside = dict(LAB_REPO="/lab/repo", LAB_OUT="/lab/out", LAB_STAGE="/lab/stage", LAB_EXTRAS="")
            program, init = "/usr/bin/linux.uml", "/lab/repo/tests/lab/guest/init"
        if not self.stage:
            inside["LAB_STAGE"] = ""
        words = [KERNEL_LINE, f"init={init}", "con0=" + ("fd:0,fd:1" if self.terminal else "null,fd:1")]
        words += [f"{name}={value}" for name, value in inside.items()]
        words += [self.slower_word()]
        if self.job.get("systemd"):
            words += ["LAB_INIT=systemd"]
        if self.job.get("boot"):
            words += ["LAB_DISK=yes", f"ubd0={inside['LAB_OUT']}/disk"]
        if self.terminal:
            words += ["LAB_CONSOLE=tty", f"TERM={os.environ.get('TERM', 'linux')}"]
        if any(" " in str(value) for value in inside.values()):
            raise LabError("the lab does not work in a path with a blank")
        env.update(LINUX=str(program), KERNEL_LINE=" ".join(words))
        streams = {} if self.terminal else dict(
            stdin=subprocess.DEVNULL, stdout=open(self.console, "w"), stderr=subprocess.STDOUT,
            start_new_session=True)
        self.process = subprocess.Popen(
            # Should this process be killed, the guest goes too.
            ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(self.cpu),
             *unshare("--pid", "--fork", "--kill-child", "--mount-proc"), "sh", "-c", START],
            env=env, **streams)

    def __exit__(self, *_):
        self.kill()
        Guest.running.discard(self)
        self.events.close()
        self.tree_lock.close()
        if self.cpu is not None:
            with Guest.choosing:
                Guest.on_cpu[self.cpu] -= 1
        if self.cpu_lock:
            self.cpu_lock.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self):
        """unshare's --kill-child takes the rest with it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def follow(self, patience):
        """Yields events until the guest has ended. `patience()` says how many seconds without
        an event are too many: then the guest is killed and TimeoutError raised."""
        last = time.monotonic()
        while True:
            ended = self.process.poll() is not None
            for event in self.read_events():
                last = time.monotonic()
                yield event
            if ended:
                return
            if time.monotonic() - last > patience():
                self.kill()
                raise TimeoutError
            time.sleep(0.05)

    def read_events(self):
        *lines, self.partial = (self.partial + self.events.read()).split("\n")
        return [json.loads(line) for line in lines if line]

    def console_tail(self, count=15):
        try:
            text = self.console.read_text(errors="replace")
        except OSError:
            return []
        return [line for line in text.replace("\r", "").splitlines() if line.strip()][-count:]


def remove_abandoned():
    """Directories of guests whose lab command was killed."""
    for path in OUT.glob("guest-*"):
        owner = path.name.split("-")[2]
        if not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)


def kill_all():
    """For an interrupted lab command."""
    for guest in list(Guest.running):
        guest.kill()
        shutil.rmtree(guest.dir, ignore_errors=True)
