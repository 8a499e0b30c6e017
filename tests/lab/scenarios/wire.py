"""The wire suite (tests/wire) against our server and against the distribution's."""

import json
import re
import subprocess

from lab import ProgramLog, popen, run, scenario

RUN = "/lab/repo/tests/wire/run"
FIRST_WAIT = 2                  # seconds for the first message: the suite waits for that often
ALIAS, OTHER, SPARE = "198.19.9.1", "198.19.8.1", "198.18.1.77"
PING_EVERY = 0.1
CONF = f"stimeout {FIRST_WAIT}\n"
# All of it comes from two addresses in a minute.
OURS = CONF + "connection-rate 0\ncall-rate 0\n"


class Suite:
    """A run of it from a client's namespace, beside a call that must not notice."""

    def __init__(self, lab, server):
        self.lab, self.server = lab, server
        self.ns = lab.net.client()
        lab.net.add_address("srv", ALIAS)
        lab.net.add_address(self.ns, OTHER)
        self.path = lab.file("wire.json")

    def against(self, server):
        self.server, self.path = server, self.lab.file("wire.json")
        return self

    def start_neighbour(self):
        lab = self.lab
        self.call = lab.client(up=True)
        self.ping = popen(self.call.ns, ["ping", "-n", "-D", "-i", str(PING_EVERY),
                                         self.server.local_ip],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pings = ProgramLog(lab.file("ping.log"), self.ping, "ping")

    def run(self, *words, timeout=900):
        """{id: result}; fails only when the suite itself does."""
        process = popen(self.ns, [RUN, self.server.address, "--local", self.lab.net.addresses[self.ns],
                                  "--other", OTHER, "--alias", ALIAS, "--spare", SPARE,
                                  "--first-wait", str(FIRST_WAIT), "--json", self.path, *words],
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        ProgramLog(self.lab.file("wire.log"), process, "wire")
        self.lab.expect(process.wait(timeout) in (0, 1), "the suite did not come to its end: wire.log")
        with open(self.path) as handle:
            return json.load(handle)

    def round_trips(self):
        """[(wall clock, ms)] of the neighbour's pings."""
        found = (re.search(r"\[([\d.]+)\].*time=([\d.]+) ms", line.text) for line in self.pings.lines)
        return [(float(m.group(1)), float(m.group(2))) for m in found if m]

    def worst_during(self, result):
        """ms of the neighbour's worst ping while a case ran, None when there was no ping."""
        begin, end = result["start"], result["start"] + result["seconds"] + 0.2
        return max((ms for at, ms in self.round_trips() if begin <= at <= end), default=None)


FLOODS = ("T06", "T08", "T09", "M17", "M27", "G17", "G20", "G22", "G23", "G24", "P21")
# Log lines that an abuser can cause at will: one for each cause in ten seconds.
CAUSES = ("too many messages", "refused: ")
COUNTED = {"gre": ("bad", "short", "unknown-call", "spoofed", "truncated"),
           "refused": ("half-open-of-source",)}


def expect_few_lines(lab, server):
    last = {}
    for line in server.find_log("|".join(CAUSES), server.mark):
        cause = re.sub(r"\b[\da-f.]+\b|; and .*", "", line.text)
        lab.expect(line.time - last.get(cause, 0) > 1, f"twice in a second: {line.text}")
        last[cause] = line.time


def expect_counted(lab, server):
    status = json.loads(run("srv", "/usr/sbin/pptpctrl", "status", "--json").stdout)
    for group, names in COUNTED.items():
        none = [name for name in names if not status[group][name]]
        lab.expect(not none, f"not counted: {none}")


def failures(results):
    return [f"{name}: {r['reason']}" for name, r in results.items() if r["verdict"] == "FAILED"]


def summary(results):
    verdicts = [r["verdict"] for r in results.values()]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in sorted(set(verdicts)))


@scenario(datapaths=("relay", "tty"), timeout=900)
def wire(lab):
    """Every message in every state, client profiles and the abuse list over real sockets."""
    server = lab.server(conf=OURS)
    suite = Suite(lab, server)
    suite.start_neighbour()
    results = suite.run(*(() if lab.datapath == "relay" else ("client*", "G*", "P*")))
    wrong = failures(results) or as_recorded(results)
    lab.note(summary(results))
    lab.expect(not wrong, f"{len(wrong)} failed: " + " | ".join(wrong[:8]))
    suite.ping.terminate()
    worst = max(ms for _, ms in suite.round_trips())
    lab.note(f"worst ping of another call {worst:.0f} ms")
    for name in FLOODS:
        if name in results:
            lab.say(f"{name}: worst ping {suite.worst_during(results[name])} ms, worst echo of another "
                    f"connection {results[name]['beside_ms']} ms")
    expect_few_lines(lab, server)
    if lab.datapath == "relay":
        expect_counted(lab, server)
    suite.call.stop()
    lab.expect_clean(90)


# -- beside the distribution's server -------------------------------------------------

RESULTS = "/lab/repo/tests/wire/RESULTS.md"
HEAD = """# The wire suite against two servers

Made by `make wire-results` (`tests/lab/lab run wire/compare`), in one guest: this server, and the
distribution's `pptpd`, both with the lab's options file and `stimeout {wait}`; a silence of {patience} s
fails; what fails otherwise has a second try. `C ...` are the lines of `table.txt`. PoPToP gets the
cases one at a time, since a silent client stops it. `make check` fails when ours is no longer so.

{release}. pptpctrl: {ours}; {version}: {theirs}.

| case | what is done | pptpctrl | PoPToP |
|---|---|---|---|
"""
COMPARE_PATIENCE = 5


def cell(result):
    if result["verdict"] != "FAILED":
        return result["verdict"]
    reason = result["reason"].replace("|", "/")
    return "fails: " + (reason if len(reason) < 160 else reason[:157] + "...")


def order(name):
    """C lines and clients as they are, ids by letter and number."""
    found = re.fullmatch(r"([A-Z])(\d+)", name)
    return (1, found.group(1), int(found.group(2))) if found else (0, "", 0)


@scenario(group="wire", needs_build=True, long=True, timeout=5400)
def compare(lab):
    """The suite against our server and against the distribution's pptpd: RESULTS.md."""
    words, both = ["--again", "--patience", str(COMPARE_PATIENCE)], []
    for pptpd in "ours", "distribution":
        how = ({"datapath": "relay", "conf": OURS} if pptpd == "ours" else
               {"pptpd": pptpd, "conf": CONF})
        server = lab.server(**how)
        suite = Suite(lab, server) if not both else suite.against(server)
        both.append(suite.run(*words, *(["--serial"] if both else []), timeout=5000))
        lab.note(f"{pptpd}: {summary(both[-1])}")
        server.stop()
    write_results(lab, *both)


def write_results(lab, ours, theirs):
    release = re.search(r'PRETTY_NAME="(.*)"', open("/etc/os-release").read()).group(1)
    version = run(None, "dpkg-query", "-W", "-f", "${Package} ${Version}", "pptpd", check=False).stdout
    with open(lab.file("RESULTS.md"), "w") as out:
        out.write(HEAD.format(wait=FIRST_WAIT, patience=COMPARE_PATIENCE, release=release,
                              version=version or "the distribution's pptpd",
                              ours=summary(ours), theirs=summary(theirs)))
        for name in sorted(ours, key=order):
            out.write(f"| {name} | {ours[name]['text']} | {cell(ours[name])} | "
                      f"{cell(theirs[name])} |\n")


def as_recorded(results):
    """What of the results is not as the table of the repository says of ours."""
    recorded = {}
    for line in open(RESULTS):
        words = [word.strip() for word in line.split("|")]
        if len(words) == 6 and words[1] not in ("case", "---"):
            recorded[words[1]] = words[3]
    wrong = [f"{name} is not in RESULTS.md" for name in results.keys() - recorded.keys()]
    return wrong + [f"{name}: {r['verdict']}, RESULTS.md has {recorded[name]}"
                    for name, r in results.items() if name in recorded and
                    (r["verdict"] == "FAILED") != recorded[name].startswith("fails")]
