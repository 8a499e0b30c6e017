"""Runs scenarios in a guest and tells how they went."""

import concurrent.futures
import contextlib
import dataclasses
import fnmatch
import functools
import mmap
import re
import shutil
import signal
import sys
import threading
import time

from .build import build
from .common import LAB, LabError, OUT, RELEASES, locked, say
from .guest import Guest
from .prepare import is_ready, prepare
from . import debs, qemu

BOOT_PATIENCE = 180     # seconds; a boot takes 3
EXTRA_PATIENCE = 300    # on top of a scenario's own timeout, which the guest watches over

TRIED_AGAIN = 8         # more failures than that are no accident

CHECK_GUESTS = 4        # of a release at once, in a check: scenarios wait as long as they work
CHECK_SLOWER = 3        # so all watchdogs are that many times as long there
SLOW_PAGE_US = 5.0      # a new page takes less than 1 us; where it takes more than that, as in some
                        # virtual machines, User-Mode Linux crawls: one guest of a release at once
ENOUGH_S = 2700         # after that nothing more begins: each scenario's second release comes last
SHARE, FEW = 20, 8      # scenarios a guest takes at a time, where it is quick and where it is slow,
PART = 3                # near the end a third of what is left

DYING = re.compile(r"panic|BUG|Oops|Out of memory|No space left")    # words of a kernel's last lines

BOOT = "(boot)"          # stands for a scenario when the guest did not get to one

BACKENDS = {"uml": Guest, "qemu": qemu.QemuGuest}

printing = threading.Lock()


@dataclasses.dataclass
class Result:
    release: str
    name: str
    verdict: str        # ok, failed, skipped
    reason: str
    log: object


@functools.cache
def load_scenarios():
    """All scenarios by name. They are made for the guest, but importing them is harmless."""
    sys.path.insert(0, str(LAB / "guest"))
    import runner
    runner.load_scenarios(LAB / "scenarios")
    return runner.lab.registry


def select(registry, release, wanted, long=False):
    """Names in order; a word is a name, a group, a data path or a pattern. Long scenarios and
    the others are chosen apart; a whole name is taken from both."""
    here = {name: s for name, s in registry.items() if release in s.releases}
    if not wanted:
        return [name for name, s in here.items() if s.long == long]
    chosen = set()
    for word in wanted:
        hits = {name for name, s in here.items() if word == name or s.long == long and
                (word in (s.group, s.datapath) or fnmatch.fnmatch(name, word))}
        if not hits and not any(fnmatch.fnmatch(name, word) or word in (name, s.group, s.datapath)
                                for name, s in registry.items()):
            raise LabError(f"no scenario, group or data path is called '{word}' (see --list)")
        chosen |= hits
    return [name for name in here if name in chosen]


def make_ready(releases, kind=Guest):
    for release in releases:
        if not is_ready(release):
            prepare([release])
    if kind is qemu.QemuGuest:
        qemu.prepare()


class Progress:
    """Numbered lines of one or two guests; both count together."""

    def __init__(self, total, show_release):
        self.total, self.show_release, self.done = total, show_release, 0

    def line(self, release, event):
        with printing:
            self.done += 1
            words = [f"{self.done:>{len(str(self.total))}}/{self.total}"]
            words += [f"[{release}]"] if self.show_release else []
            words += [event["name"], "...", event["verdict"], f"({event['seconds']:.1f} s)"]
            words += ["; ".join(event.get("notes") or [])]
            if event["reason"]:
                words.append("- " + event["reason"].splitlines()[0][:200])
            print(" ".join(word for word in words if word), flush=True)


def is_slow(pages=4096):
    """What a process of its own costs is what User-Mode Linux spends its time with."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        begun = time.thread_time()
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
        return (time.thread_time() - begun) * 1e6 / pages > SLOW_PAGE_US


class Shares:
    """What is left for the guests of a check, which take some of it at a time: with systemd or
    without, of their own release while it has any, so that all end together. Each scenario's run
    on its second release comes after all first ones; when time is up nobody takes any more."""

    def __init__(self, plan):
        self.left, self.stages, self.given_up = {}, {}, False
        self.changing, self.guests = threading.Lock(), 0
        self.until = None       # begins once there is a guest to come
        on_both = sorted(set.intersection(*map(set, plan.values())))
        releases = list(plan)
        self.second = {(releases[n % len(releases)], name) for n, name in enumerate(on_both)}

    def in_time(self):
        return not self.given_up and (self.until is None or time.monotonic() < self.until)

    def begin(self):
        """How many guests of a release are to work."""
        guests = 1 if is_slow() else CHECK_GUESTS
        with self.changing:
            self.guests += guests
            self.until = self.until or time.monotonic() + ENOUGH_S
        return guests

    def give_up(self):
        """Nobody need begin with what is left."""
        self.given_up = True

    def add(self, release, stage, names, with_systemd):
        """Those that may take longest come first: no guest is alone with one at the end."""
        with self.changing:
            self.stages[release] = stage
            for second in False, True:
                self.left[second, release, with_systemd] = sorted(
                    (name for name in names if ((release, name) in self.second) == second),
                    key=lambda name: -load_scenarios()[name].timeout)

    def take(self, release, with_systemd):
        """(release, stage, names, with_systemd) for a guest that would best be of this kind."""
        slow = is_slow()
        with self.changing:
            kinds = [kind for kind, names in self.left.items() if names and self.in_time()]
            if not kinds or (slow and self.guests > len(self.stages)):
                self.guests -= 1
                return None
            kind = min(kinds, key=lambda kind: (kind[0], kind[1] != release,
                                                kind[2] != with_systemd))
            names = self.left[kind]
            size = min(FEW if slow else SHARE, -(-len(names) // PART))
            # Many short ones rather than few long ones, should time not be enough.
            part = slice(-size, None) if slow else slice(size)
            share, names[part] = names[part], []
            return kind[1], self.stages[kind[1]], share, kind[2]

    def rest(self, progress):
        """Results for what there was no time for."""
        return [skip(release, name, progress) for (_, release, _), names in self.left.items()
                for name in names]


def skip(release, name, progress):
    why = f"a machine so slow that {ENOUGH_S // 60} minutes were not enough"
    progress.line(release, {"name": name, "verdict": "skipped", "seconds": 0, "reason": why})
    return Result(release, name, "skipped", why, None)


def run_release(release, names, progress, repeat, no_build, kind=Guest, shares=None):
    """Results of all the names: one after the other, or with shares, which go round, beside one
    another. Scenarios for systemd have guests of their own."""
    try:
        make_ready([release], kind)
        stage = None if no_build else build(release)
    except LabError:
        if shares:
            shares.give_up()
        raise
    if stage is None:
        say(f"Debian {release}: nothing built, so only what needs no build runs")
    registry = load_scenarios()
    packages = [name for name in names if registry[name].packages]
    cuts = [name for name in names if registry[name].power_cut]
    systemd = [name for name in names if registry[name].systemd and name not in packages + cuts]
    ordinary = [name for name in names if name not in packages + cuts + systemd]

    slower = CHECK_SLOWER if shares else 1

    def work(release, stage, left, under_systemd):
        """A guest that hangs is replaced for the rest of its share."""
        results, left = [], list(left)
        while left:
            results += one_boot(release, left, stage, progress, repeat, under_systemd, kind, slower)
        return results

    def work_on_shares(under_systemd):
        results = []
        while share := shares.take(release, under_systemd):
            results += work(*share)
        return results

    def work_alone(second=None):
        """Each has a guest of its own, which it need not leave as it was. second: only those whose
        first release another one is, or only the others."""
        layer = debs.stage(release) if packages and not no_build else None
        results = []
        for name in packages + cuts:
            if second is not None and ((release, name) in shares.second) != second:
                continue
            if shares and not shares.in_time():
                results.append(skip(release, name, progress))
                continue
            for _ in range(repeat):
                results += one_boot(release, [name], layer if name in packages else stage,
                                    progress, 1, True, kind, slower)
        return results

    if not shares:
        return (work(release, stage, ordinary, False) + work(release, stage, systemd, True) +
                work_alone())
    shares.add(release, stage, systemd, True)
    shares.add(release, stage, ordinary, False)

    def work_on_all():
        """Where time may not be enough, what needs a boot of its own comes last."""
        if is_slow():
            return work_on_shares(False) + work_alone(False) + work_alone(True)
        return work_alone(False) + work_on_shares(True) + work_alone(True)

    jobs = [(work_on_all,)]
    jobs += [(work_on_shares, n == 0) for n in range(shares.begin() - len(jobs))]
    return [r for results in at_once(jobs) for r in results]


def at_once(jobs):
    """What each job, a function and its arguments, returns in a thread of its own; the first
    error at the end."""
    with concurrent.futures.ThreadPoolExecutor(max(1, len(jobs))) as pool:
        waiting = [pool.submit(*job) for job in jobs]
    return [job.result() for job in waiting]


def one_boot(release, left, stage, progress, repeat, systemd, kind, slower=1):
    """Works on the list until it is empty or the guest is lost; takes off it what is done."""
    results, current, patience = [], None, BOOT_PATIENCE * slower
    job = {"do": "scenarios", "names": list(left), "repeat": repeat, "systemd": systemd,
           "slower": slower,
           "boot": int(kind.has_disk and load_scenarios()[left[0]].power_cut)}
    with kind(release, job, stage) as guest:
        lost = None
        try:
            for event in guest.follow(lambda: patience):
                if event["event"] == "booted":
                    say(f"Debian {release}: kernel {event['kernel']}, {event['init']}"
                        f"up after {event['uptime']:.1f} s")
                elif event["event"] == "cut":
                    guest.cut_power()
                elif event["event"] == "start":
                    current, patience = event["name"], event["timeout"] + EXTRA_PATIENCE
                elif event["event"] == "end":
                    results.append(finish(release, event, guest))
                    progress.line(release, event)
                    if event["name"] in left and repeat == 1:
                        left.remove(event["name"])
                    current, patience = None, BOOT_PATIENCE * slower
                elif event["event"] == "done":
                    left.clear()
            if left:
                lost = f"the guest ended by itself, status {guest.process.returncode}"
        except TimeoutError:
            lost = "the guest hung and was killed"
        if lost:
            results.append(give_up(release, guest, lost, current, left, progress))
    return results


def finish(release, event, guest):
    return Result(release, event["name"], event["verdict"], event["reason"],
                  keep_logs(release, event["name"], guest))


def keep_logs(release, name, guest):
    goal = OUT / guest.label(release) / name
    shutil.rmtree(goal, ignore_errors=True)
    goal.mkdir(parents=True)
    # With --repeat the guest may be clearing the directory for the next run by now.
    with contextlib.suppress(shutil.Error, FileNotFoundError):
        shutil.copytree(guest.out / name, goal, symlinks=True, dirs_exist_ok=True)
    return goal


def give_up(release, guest, why, current, left, progress):
    """Blames the scenario that was running; when none was, there is no point in going on."""
    tail = guest.console_tail(40)
    name = current or BOOT
    if found := [line for line in tail if DYING.search(line)]:
        why += ": " + found[0]
    log = keep_logs(release, name, guest) if current else OUT / guest.label(release)
    if guest.console.exists():
        shutil.copy(guest.console, log / "console.log")
    if current:
        left.remove(current)
    else:
        why += f" with {len(left)} scenario(s) to go"
        left.clear()
    progress.line(release, {"name": name, "verdict": "failed", "seconds": 0, "reason": why})
    print("".join(f"    | {line}\n" for line in tail), end="", flush=True)
    return Result(release, name, "failed", why, log)


def conclude(results):
    """Prints failures and totals; the exit status."""
    failed = [r for r in results if r.verdict == "failed"]
    skipped = [r for r in results if r.verdict == "skipped"]
    for r in failed:
        print(f"\nFAILED {r.name} on Debian {r.release}: {r.reason}\n  logs:  {r.log}")
        if r.name != BOOT:
            print(f"  again: {LAB / 'lab'} run --release {r.release} {r.name}")
    for reason in dict.fromkeys(r.reason for r in skipped):
        print(f"\nskipped ({reason}): " +
              ", ".join(f"{r.name} on {r.release}" for r in skipped if r.reason == reason))
    passed = len(results) - len(failed) - len(skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed or not results else 0


def once_more(results, no_build):
    """What failed beside another guest runs a second time, alone, and that counts. It is said
    aloud: a scenario that needs this has to be mended."""
    failed = [r for r in results if r.verdict == "failed" and r.name != BOOT]
    if not failed or len(failed) > TRIED_AGAIN:
        return results
    settled = [r for r in results if r not in failed]
    for r in failed:
        print(f"\nUNSTEADY? {r.name} on Debian {r.release}: {r.reason}; once more:", flush=True)
        first = OUT / r.release / "first-try" / r.name
        shutil.rmtree(first, ignore_errors=True)
        shutil.copytree(r.log, first, symlinks=True)
        settled += run_release(r.release, [r.name], Progress(1, True), 1, no_build)
    return settled


def run(releases, wanted, list_only=False, repeat=1, no_build=False, again=False, long=False,
        backend="uml"):
    registry = load_scenarios()
    plan = {release: select(registry, release, wanted, long) for release in releases}
    if list_only:
        for name in dict.fromkeys(name for names in plan.values() for name in names):
            doc = (registry[name].function.__doc__ or '').strip().split('\n')[0]
            print(f"{name:32} {doc}")
        return 0
    kind = BACKENDS[backend]
    progress = Progress(repeat * sum(map(len, plan.values())), len(releases) > 1)
    shares = Shares(plan) if again else None
    with contextlib.ExitStack() as stack:
        for release in releases:
            stack.enter_context(locked(OUT / kind.label(release) / ".lock",
                                       what=f"another run on Debian {release}"))
        results = [r for of_release in at_once([
            (run_release, release, names, progress, repeat, no_build, kind, shares)
            for release, names in plan.items() if names]) for r in of_release]
        results += shares.rest(progress) if shares else []
        return conclude(once_more(results, no_build) if again else results)


def check(no_build=False):
    return run(list(RELEASES), [], no_build=no_build, again=True)


def execute(release, command, network, systemd, no_build, backend):
    """One command in a guest; its output and its status become ours."""
    kind = BACKENDS[backend]
    make_ready([release], kind)
    status = None
    job = {"do": "exec", "command": command, "network": network, "systemd": systemd}
    with kind(release, job, None if no_build else build(release)) as guest:
        for event in guest.follow(lambda: float("inf")):
            if event["event"] == "output":
                sys.stdout.buffer.write(event["data"].encode("latin-1"))
                sys.stdout.flush()
            elif event["event"] == "status":
                status = event["status"]
        if status is None:
            raise LabError("the guest ended early:\n  " + "\n  ".join(guest.console_tail()))
    return status if status >= 0 else 128 - status


def shell(release, no_build, backend):
    kind = BACKENDS[backend]
    make_ready([release], kind)
    with kind(release, {"do": "shell"}, None if no_build else build(release), terminal=True) as guest:
        # At its end the kernel signals its whole process group, which here includes us.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        guest.process.wait()
    return 0
