"""Runs every stage of the tests, shows progress, adds up the counts."""

import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
LAB = os.path.join(HERE, "lab", "lab")
COUNTS = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", re.M)


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.names = []

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def one(self, name, ok, text=""):
        self.add(1 if ok else 0, 0 if ok else 1)
        print(f"  {name} ... {'ok' if ok else 'FAILED'}", flush=True)
        if not ok:
            self.names.append(name)
            print(text[-4000:], flush=True)


def run(*command, **options):
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **options)


def build(make):
    """The programs of the unit stage; without them nothing can be counted."""
    done = run(*make, "-j2", "unit-programs")
    if done.returncode:
        print(done.stdout[-6000:])
        sys.exit("the tests could not be built\n0 passed, 1 failed, 0 skipped")


def unit_tests(totals, programs):
    """Every cmocka program; a crash counts as one failure."""
    for path in programs:
        done = run(path, timeout=300)
        passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", done.stdout)))
        failed = sum(map(int, re.findall(r"\[  FAILED  \] (?:tests: )?(\d+) test", done.stdout)))
        if done.returncode and not failed:
            failed = 1
        totals.add(passed, failed)
        name = os.path.basename(path)
        print(f"  {name} ... {'ok' if not failed else 'FAILED'} ({passed})", flush=True)
        if failed:
            totals.names.append(name)
            print(done.stdout[-4000:], flush=True)


def corpora(totals, folder):
    """Fuzz targets on their committed corpus; conf has its test files for one."""
    for target in sorted(os.listdir(folder)):
        if "." in target:
            continue
        corpus = os.path.join(HERE, "fuzz", "corpus", target)
        inputs = [corpus] if os.path.isdir(corpus) else []
        if target == "conf":
            inputs += [os.path.join(HERE, "conf", n) for n in os.listdir(os.path.join(HERE, "conf"))
                       if n.endswith(".conf")]
        done = run(os.path.join(folder, target), *inputs, timeout=300)
        totals.one(f"fuzz corpus {target}: {done.stdout.strip().splitlines()[-1:]}",
                   done.returncode == 0, done.stdout)


def counted(totals, name, *command):
    """A stage that prints its own counts as its last line; its output passes through."""
    print(f"{name}:", flush=True)
    process = subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    last = None
    for line in process.stdout:
        found = COUNTS.match(line)
        if found:
            last = found
        else:
            print("  " + line, end="", flush=True)
    status = process.wait()
    if last:
        totals.add(*(int(n or 0) for n in last.groups()))
    if status and not (last and int(last.group(2))):
        totals.one(name, False, f"ended with status {status}")


def unit_stage(totals, b):
    make = ["make", f"B={b}"]
    print("Unit tests, replays, corpora (address and undefined-behaviour sanitizers):", flush=True)
    build(make)
    programs = [os.path.join(b, "test", kind, name) for kind in ("unit", "replay")
                for name in sorted(listdir(os.path.join(TOP, b, "test", kind)))
                if "." not in name]
    unit_tests(totals, programs)
    corpora(totals, os.path.join(TOP, b, "test", "fuzz"))
    counted(totals, "Configuration files", os.path.join(HERE, "conf", "run.sh"),
            os.path.join(b, "test", "conf-dump"))
    wire = run(os.path.join(HERE, "wire", "run"), "--ids")
    with open(os.path.join(HERE, "wire", "ABUSE.md")) as recorded:
        totals.one("tests/wire/run --ids is tests/wire/ABUSE.md",
                   wire.returncode == 0 and wire.stdout == recorded.read(), wire.stdout)
    totals.one("lint", (done := run(os.path.join(HERE, "lint"), "cc")).returncode == 0, done.stdout)


def listdir(path):
    return os.listdir(path) if os.path.isdir(path) else []


def main():
    stage = sys.argv[1] if len(sys.argv) > 1 else "all"
    b = next((a[2:] for a in sys.argv if a.startswith("B=")), "build")
    began, totals = time.monotonic(), Totals()
    if subprocess.run([os.path.join(HERE, "setup")], check=False).returncode:
        sys.exit(1)
    unit_stage(totals, b)
    if stage == "all":
        counted(totals, "Lab, Debian 12 and 13 side by side", LAB, "check")
    print(f"in {(time.monotonic() - began) / 60:.1f} minutes")
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped", flush=True)
    sys.exit(1 if totals.failed or not totals.passed else 0)


if __name__ == "__main__":
    main()
