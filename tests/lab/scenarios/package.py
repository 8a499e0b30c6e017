"""Our Debian package over PoPToP's, on a machine that is set up as the guides say, and back."""

import contextlib
import glob
import os
import re
import socket

from lab import LabError, poll, run, scenario
from lab.namespaces import inside
from lab.steady import Crowd, happenings
from lab.systemd import systemctl
from lab.wire import STOP_NONE

DEBS = "/usr/lib/lab/debs"
CONF, OPTIONS, DEFAULTS = "/etc/pptpd.conf", "/etc/ppp/pptpd-options", "/etc/default/pptpd"
CONFIGURATION = CONF, OPTIONS, DEFAULTS
SCRIPT = "/etc/init.d/pptpd"
# apt need not know what else there is in the world; that costs a minute here.
APT = "-q", "-y", "-o", "Dir::State::Lists=/run/no-lists", "-o", "APT::Sandbox::User=root"


def story(function):
    return scenario(group="package", packages=True, timeout=600)(function)


# -- dpkg and apt ------------------------------------------------------------------

def deb(whose, name):
    (path,) = glob.glob(f"{DEBS}/{whose}/{name}_*.deb")
    return path


def tool(lab, *command):
    """dpkg or apt. Nobody is there to answer questions: one would fail it."""
    os.environ.update(DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
    done = run(None, *command, check=False, timeout=400, input="")
    lab.say(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    lab.expect(done.returncode == 0 and "conffile" not in done.stdout,
               f"{' '.join(command)}: status {done.returncode}: "
               f"{(done.stdout + done.stderr)[-1500:]}")


def apt(lab, *words):
    os.makedirs("/run/no-lists", exist_ok=True)
    tool(lab, "apt-get", *APT, *words)


def state(package):
    return run(None, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package,
               check=False).stdout.strip()


def prepare(lab):
    """A machine without PoPToP that has what it depends on, as its dpkg sees it."""
    # Neither does the guest outlive this, nor does anybody read manuals in it.
    for path in "/usr/sbin/policy-rc.d", "/var/lib/man-db/auto-update":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    append("/etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n")
    for path in glob.glob(f"{DEBS}/theirs/*.deb"):
        name = os.path.basename(path).split("_")[0]
        if name not in ("pptpd", "bcrelay") and state(name) != "ii":
            record_as_installed(name, path)     # a Debian 12 guest has its files
    for name in "pptpd", "bcrelay":
        if state(name):
            tool(lab, "dpkg", "--purge", name)
    for path in *CONFIGURATION, SCRIPT:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def record_as_installed(name, path):
    fields = run(None, "dpkg-deb", "-f", path).stdout
    with open("/var/lib/dpkg/status", "a") as status:
        status.write(re.sub(r"(?m)^Package: .*", r"\g<0>\nStatus: install ok installed", fields)
                     + "\n")
    files = run(None, "dpkg-deb", "--fsys-tarfile", path, check=False)     # only its size matters
    with open(f"/var/lib/dpkg/info/{name}.list", "w") as listing:
        listing.write("/.\n" if files else "")


# -- the site ------------------------------------------------------------------------

def append(path, text):
    with open(path, "a") as handle:
        handle.write(text)


def set_up_as_the_guides_say():
    append(CONF, "localip 192.168.0.1\nremoteip 192.168.0.234-238,192.168.0.245\n")
    append(OPTIONS, "ms-dns 192.0.2.53\nms-dns 192.0.2.54\n")
    append("/etc/ppp/chap-secrets", "alice pptpd wonder *\n")
    for words in ("-A INPUT -p tcp --dport 1723 -j ACCEPT", "-A INPUT -p gre -j ACCEPT",
                  "-t nat -A POSTROUTING -o eth0 -j MASQUERADE",
                  "-A FORWARD -p tcp --syn -s 192.168.0.0/24 -j TCPMSS --set-mss 1356"):
        run("srv", "iptables-legacy", "-w", *words.split())
    run("srv", "sysctl", "-w", "net.ipv4.ip_forward=1")


def contents():
    return {path: open(path).read() for path in CONFIGURATION}


def listens():
    with inside("net"), socket.socket() as sock:
        sock.settimeout(20)
        return sock.connect_ex(("198.18.0.1", 1723)) == 0


def expect_script(lab, ours):
    """Whose the init script is, and that it makes no second service."""
    text = open(SCRIPT).read()
    lab.expect(("pptpctrl" in text) == ours, f"{SCRIPT} is:\n{text}")
    # Not executable when PoPToP was purged before it came back: dpkg keeps the mode.
    lab.expect(os.access(SCRIPT, os.X_OK) or not ours, f"{SCRIPT} cannot be run")
    systemctl("daemon-reload")
    shown = systemctl("show", "-p", "FragmentPath,SourcePath", "pptpd")
    lab.expect("SourcePath=\n" in shown + "\n" and "FragmentPath=/" in shown, shown)
    lab.expect(not glob.glob("/run/systemd/generator.late/*pptpd*"), "a second service")


class Site:
    """Its one client, which has its settings from before."""

    def __init__(self, lab):
        self.lab, self.ns = lab, lab.net.client()

    def call(self):
        poll(listens, "the server listens", 60)
        call = self.lab.client(self.ns, up=True, more=["usepeerdns"])
        self.lab.expect(call.mppe == "128-bit stateless", f"encryption {call.mppe}")
        self.lab.expect(call.address == "192.168.0.234", f"the client has {call.address}")
        call.wait_log(r"secondary DNS address 192\.0\.2\.54")
        self.lab.ping(call.ns, "192.168.0.1")
        return call

    def visit(self):
        call = self.call()
        call.stop()
        poll(lambda: not run("srv", "ip", "-o", "link", "show", "type", "ppp").stdout,
             "the server's interface is gone")


def expect_server(lab, package, enabled):
    """Which of the two is here, and what systemd thinks."""
    owner = run(None, "dpkg", "-S", "/usr/sbin/pptpd").stdout.split(":")[0]
    lab.expect(owner == package, f"/usr/sbin/pptpd is of {owner}")
    said = systemctl("is-enabled", "pptpd", check=False)
    lab.expect(said == ("enabled" if enabled else "disabled"), f"is-enabled says {said}")
    expect_script(lab, package == "pptpctrl")


@story
def upgrade(lab):
    """Set up by a guide, then ours over it, nothing edited: calls; purge theirs; ours off, theirs."""
    prepare(lab)
    tool(lab, "dpkg", "-i", deb("theirs", "pptpd"), deb("theirs", "bcrelay"))
    set_up_as_the_guides_say()
    run(None, "service", "pptpd", "restart")
    systemctl("enable", "pptpd")
    append(SCRIPT, "# edited\n")
    site, before = Site(lab), contents()
    site.visit()

    apt(lab, "install", deb("ours", "pptpctrl"))
    lab.expect(contents() == before, "the configuration was changed")
    expect_server(lab, "pptpctrl", True)
    site.visit()
    call = site.call()
    lab.syslog.wait(r'pptpd\[\d+\]: call \d+ up: .* user "alice"')
    lab.expect(state("pptpd") == "rc", f"PoPToP's package is {state('pptpd')}")
    apt(lab, "purge", "pptpd")
    lab.expect(contents() == before, "the purge changed the configuration")
    expect_server(lab, "pptpctrl", True)
    lab.ping(call.ns, "192.168.0.1")
    call.stop()
    run(None, SCRIPT, "restart")
    site.visit()

    apt(lab, "remove", "pptpctrl")
    poll(lambda: not listens(), "nobody listens")
    lab.expect(not os.access(SCRIPT, os.X_OK), "the script can be run")
    lab.expect(contents() == before, "the removal changed the configuration")
    # After the purge theirs is new here: dpkg would ask which files to keep.
    tool(lab, "dpkg", "-i", "--force-confold", deb("theirs", "pptpd"), deb("theirs", "bcrelay"))
    expect_server(lab, "pptpd", True)
    site.visit()
    apt(lab, "purge", "pptpctrl")
    lab.expect(contents() == before, "the purge of ours changed the configuration")
    expect_server(lab, "pptpd", True)
    systemctl("restart", "pptpd")
    site.visit()


@story
def unedited(lab):
    """Files as they came, the service disabled: no question by dpkg either, disabled it stays."""
    prepare(lab)
    tool(lab, "dpkg", "-i", deb("theirs", "pptpd"), deb("theirs", "bcrelay"))
    systemctl("disable", "pptpd")
    before, script = contents(), open(SCRIPT).read()
    tool(lab, "dpkg", "-B", "-i", deb("ours", "pptpctrl"))
    lab.expect(contents() == before, "the configuration was changed")
    expect_server(lab, "pptpctrl", False)
    lab.expect(systemctl("is-active", "pptpd", check=False) != "active", "it runs")
    # Roll back without a purge in between: nobody is asked.
    apt(lab, "install", deb("theirs", "pptpd"), deb("theirs", "bcrelay"))
    lab.expect(contents() == before, "the way back changed the configuration")
    lab.expect(open(SCRIPT).read() == script, "the way back changed the init script")
    lab.expect(os.access(SCRIPT, os.X_OK), "it cannot be run")
    lab.expect(state("pptpctrl") == "rc", f"ours is {state('pptpctrl')}")
    apt(lab, "install", deb("ours", "pptpctrl"))
    lab.expect(contents() == before, "the second installation changed the configuration")
    expect_script(lab, True)
    apt(lab, "purge", "pptpd")
    expect_script(lab, True)
    lab.expect(contents() == before, "the purge changed the configuration")
    apt(lab, "purge", "pptpctrl")
    left = [path for path in (*CONFIGURATION, SCRIPT) if os.path.exists(path)]
    for pattern in "/etc/rc?.d/*pptpd", "/etc/systemd/system/*/pptpd.*", "/usr/*/pptp*ctrl*":
        left += glob.glob(pattern)
    lab.expect(not left, f"left: {left}")


@story
def fresh(lab):
    """No PoPToP was here: enabled, with a configuration that waits for addresses and users."""
    prepare(lab)
    tool(lab, "dpkg", "-i", deb("ours", "pptpctrl"))
    expect_server(lab, "pptpctrl", True)
    poll(listens, "the server listens", 60)
    lab.expect("option /etc/ppp/pptpd-options\n" in open(CONF).read(), f"no options file in {CONF}")
    set_up_as_the_guides_say()
    systemctl("restart", "pptpd")
    Site(lab).visit()
    # Debian's chkconfig pptpd off, on.
    for word, enabled in ("disable", False), ("enable", True):
        tool(lab, "update-rc.d", "pptpd", word)
        expect_server(lab, "pptpctrl", enabled)
    # Words of the guides that systemctl does not know.
    with contextlib.ExitStack() as stack:
        call = Site(lab).call()
        stack.callback(call.stop)
        run(None, "service", "pptpd", "restart-kill")
        call.wait_exit()
    Site(lab).visit()
    # A newer version of ours, with the same files.
    with contextlib.ExitStack() as stack:
        call = Site(lab).call()
        stack.callback(call.stop)
        tool(lab, "dpkg", "-i", deb("ours", "pptpctrl"))
        lab.ping(call.ns, "192.168.0.1")
    wrong = run(None, "dpkg", "--verify", "pptpctrl").stdout.splitlines()
    wrong = [line for line in wrong if not any(line.endswith(path) for path in CONFIGURATION)]
    lab.expect(not wrong, f"files that differ from the package's: {wrong}")
    if state("pptpd") not in ("", "un"):
        raise LabError("PoPToP's package came along")


def install(lab, whose):
    """Over what is there; returns when the new version serves."""
    mark = lab.syslog.mark()
    tool(lab, "dpkg", "-i", deb(whose, "pptpctrl"))
    lab.syslog.wait(r"connections available", 60, mark)
    lab.expect(run(None, "dpkg-query", "-W", "-f", "${Version}", "pptpctrl").stdout.endswith(
        f"+{whose}"), f"{whose} is not installed")


@story
def newer(lab):
    """Upgrade with 30 calls to a higher version whose tables have more fields: all are kept. Then
    to one that cannot read them: all are ended in order, none half; new ones come."""
    prepare(lab)
    tool(lab, "dpkg", "-i", deb("ours", "pptpctrl"))
    server = lab.service(users=Crowd.USERS, start=False)
    server.write_files()
    systemctl("restart", "pptpd")
    server.wait_ready()
    crowd = Crowd(lab, server)
    crowd.survive("upgrade", lambda: install(lab, "newer"))
    lab.expect(server.find_log(rf"kept {crowd.N} calls"), "it does not say that it keeps calls")
    level = crowd.level()
    crowd.login()
    crowd.expect_same()
    crowd.survive("the new one restarted", happenings(crowd)["restart"])
    crowd.expect_same()
    crowd.expect_held(*level)
    crowd.note_gaps()
    crowd.end_traffic()
    mark = lab.syslog.mark()
    install(lab, "other")
    server.wait_log(r"of a version that this program cannot read", 60, mark)
    crowd.expect_told(("StopCCRQ", STOP_NONE))
    poll(lambda: not server.pppds() and server.calls() == [], "no call is left, nor half a one", 60)
    crowd.login()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()
