"""pptpctrl check: what it finds, its exit status, and that it changes nothing."""

import contextlib
import os
import re

from lab import popen, run, scenario
from lab.namespaces import MS_BIND, inside, mount, set_sysctl
from lab.server import OPTIONS, Server, write

FINE, WARNED, REFUSED = 0, 1, 2
FEW = "192.168.1.1-100"
FORWARDING = "ipv4/ip_forward"


def forward(value):
    with inside("srv"):
        set_sysctl(FORWARDING, value)


def check(lab, status, *expected, absent=(), mounts=None, edit=None, args=(), **how):
    """Runs it on a server's files; each line expected is there, none of the absent."""
    server = Server(lab, remote_ip=how.pop("remote_ip", FEW), **how)
    server.write_files()
    if edit:
        edit()
    process = popen("srv", ["/usr/sbin/pptpctrl", "check", "-c", server.conf_file, *args],
                    mounts=mounts, stdout=-1, stderr=-2)
    text = process.communicate(timeout=120)[0].decode()
    lab.say(f"check {how}: {process.returncode}\n{text}")
    for regex in expected:
        lab.expect(re.search(f"(?m){regex}", text), f"no line {regex!r} in:\n{text}")
    for regex in absent:
        lab.expect(not re.search(f"(?m){regex}", text), f"a line {regex!r} in:\n{text}")
    lab.expect(process.returncode == status, f"status {process.returncode}, not {status}:\n{text}")
    lab.expect_clean()
    return text


@scenario(group="check", needs_build=True)
def all_is_fine(lab):
    """Nothing to say but notes; what it prints is a configuration that gives the same again."""
    forward("1")
    text = check(lab, FINE, r"^localip 192\.168\.0\.1$", r"^remoteip 192\.168\.1\.1-192\.168\.1\.100$",
                 r"^note +kernel \d", r"^note +data path relay", r"^note .*/usr/sbin/pppd accepts the "
                 r"options and the plugin \(built for pppd \d\.\d", r"^note .*has MPPE",
                 r"^note +connections 100 may need \d+ open files", r"^0 errors, 0 warnings$", absent=["WARNING", "ERROR"], datapath="relay")
    printed = text.split("\n\n")[0]
    write("/etc/again.conf", printed + "\n")
    again = run("srv", "pptpctrl", "check", "-c", "/etc/again.conf", check=False)
    told = again.stdout.split("\n\n")[0]
    lab.expect([line for line in told.splitlines() if line[0] != "#"] ==
               [line for line in printed.splitlines() if line[0] != "#"], f"{printed}\n{told}")
    # A second look at a machine where the server runs changes nothing for it.
    server = lab.server(remote_ip=FEW)
    call = lab.client(up=True)
    again = run("srv", "pptpctrl", "check", "-c", server.conf_file, check=False)
    lab.expect(again.returncode == FINE, again.stdout)
    lab.ping(call.ns, server.local_ip)
    call.stop()
    server.wait_log(r"call \d+ ended")
    lab.expect_clean()


@scenario(group="check", needs_build=True)
def doubtful_lines(lab):
    """The file: warned with file and line, status 1; refused, status 2; missing, said."""
    forward("1")
    at = r"^WARNING +/etc/pptpd\.conf line "
    check(lab, WARNED, at + r"4: unknown keyword \"remotip\" is ignored",
          at + r"5: .*starts with a space", conf="remotip 10.0.0.1\n connections 7\n")
    check(lab, REFUSED, r"^ERROR +/etc/pptpd\.conf line 3: .*Bad IP address", remote_ip="10.0.0.256")
    check(lab, REFUSED, r"^ERROR +/etc/pptpd\.conf: Config file not found",
          edit=lambda: os.unlink("/etc/pptpd.conf"))
    check(lab, WARNED, r"no localip: PoPToP's default", r"no remoteip: PoPToP's default",
          edit=lambda: write("/etc/pptpd.conf", "option /etc/ppp/options.pptpd\n"))
    check(lab, FINE, r"^connections 5$", args=["-C", "5"], remote_ip="192.168.1.1-5")
    usage = run("srv", "pptpctrl", "check", "--nonsense", check=False)
    lab.expect(usage.returncode == REFUSED, f"bad option: {usage.returncode}")


def hide(path, by="/dev/null"):
    return lambda: mount(by, path, flags=MS_BIND)


@scenario(group="check", needs_build=True)
def parts_missing(lab):
    """pppd, its plugin, an option that it refuses, a module: status 2 and what to do."""
    forward("1")
    check(lab, REFUSED, r"^ERROR +PPP binary /nopppd not executable", conf="ppp /nopppd\n")
    check(lab, REFUSED, r"^ERROR +pppd refuses its options \(file /etc/ppp/options\.pptpd.*"
          r"'reqire-mppe'", options=OPTIONS + "reqire-mppe\n")
    folder = "/usr/lib/pppd/" + next(v for v in os.listdir("/usr/lib/pppd")
                                     if os.path.exists(f"/usr/lib/pppd/{v}/pptpctrl.so"))
    check(lab, REFUSED, r"^ERROR .*pptpctrl\.so", mounts=hide(f"{folder}/pptpctrl.so"))
    with no_modprobe("l2tp_ppp", "l2tp_netlink", "l2tp_core"):
        check(lab, REFUSED, r"^ERROR +datapath relay: ", datapath="relay")
        check(lab, WARNED, r"^WARNING +data path tty \(slower\) instead of relay", datapath="auto")
    check(lab, WARNED, r"^WARNING .*without a password", r"^WARNING .*without encryption",
          options="noauth\n")
    nobody = run("srv", "setpriv", "--reuid", "nobody", "--clear-groups", "pptpctrl", "check",
                 check=False)
    lab.expect(nobody.returncode == WARNED and "not started as root" in nobody.stdout,
               nobody.stdout)


@contextlib.contextmanager
def no_modprobe(*names):
    helper = "/proc/sys/kernel/modprobe"
    with open(helper) as handle:
        before = handle.read().strip()
    with open(helper, "w") as handle:
        handle.write("/bin/false")
    try:
        run(None, "modprobe", "-r", *names, check=False)
        yield
    finally:
        with open(helper, "w") as handle:
            handle.write(before)


@scenario(group="check", needs_build=True)
def secrets(lab):
    """chap-secrets: readable by others, somebody else's, missing, an address of the pool."""
    forward("1")
    path = "/etc/ppp/chap-secrets"
    check(lab, WARNED, rf"^WARNING +{path} has mode 0644", edit=lambda: os.chmod(path, 0o644))
    check(lab, WARNED, rf"^WARNING +{path} belongs to user 1,", edit=lambda: os.chown(path, 1, 0))
    check(lab, WARNED, rf"^WARNING +{path}: No such file", r"^WARNING +nobody can log in",
          r"^0 errors, 2 warnings$", edit=lambda: os.unlink(path))
    lines = ('# "old" * x 192.168.1.7\n"carol" * "pass word" 192.168.1.8\n'
             "dave * x 10.9.9.9\nerin * x *\n")
    check(lab, WARNED, rf"^WARNING +{path} line 2: 192\.168\.1\.8 is the address of user carol",
          r"^0 errors, 1 warning$", edit=lambda: write(path, lines, 0o600))


@scenario(group="check", needs_build=True)
def firewall_and_forwarding(lab):
    """ip_forward 0; rules that drop the port or GRE, GRE only as RELATED: warned."""
    forward("0")
    check(lab, WARNED, r"^WARNING +net\.ipv4\.ip_forward is 0")
    forward("1")
    rules = lambda *text: [run("srv", "iptables-legacy", "-w", *one.split()) for one in text]
    rules("-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 1723 -j DROP")
    check(lab, WARNED, r"^WARNING +the firewall seems to drop TCP port 1723 .*--dport 1723 -j DROP",
          absent=["drop GRE"])
    rules("-F INPUT", "-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 1723 -j ACCEPT",
          "-P INPUT DROP")
    check(lab, WARNED, r"^WARNING +the firewall seems to drop GRE.*policy DROP", absent=["TCP port "
          "1723 \\("])
    rules("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    check(lab, WARNED, r"^WARNING .*GRE only as RELATED .*PPTP helper is not at work")
    rules("-A INPUT -p 47 -j ACCEPT")
    check(lab, FINE, absent=["firewall"])
    # The guest's kernel has no nftables: a stand-in shows what nft would.
    write("/tmp/nft", "#!/bin/sh\ncat <<'E'\ntable inet f {\n\tchain i {\n\t\ttype filter hook "
          "input priority 0; policy accept;\n\t\tip protocol gre drop\n\t}\n}\nE\n", 0o755)
    nft = "/usr/sbin/nft"
    if not os.path.exists(nft):
        write(nft, "")
    check(lab, WARNED, r"^WARNING .*seems to drop GRE.*nft: ip protocol gre drop",
          mounts=hide(nft, "/tmp/nft"))

@scenario(group="check", needs_build=True)
def files_of_any_kind(lab):
    """Empty, binary, of 1 MB, a directory, gone, unreadable: said by check and by the server."""
    forward("1")
    path = "/etc/pptpd.conf"
    megabyte = "# nothing\n" * (1 << 17)

    def a_directory():
        os.unlink(path)
        os.mkdir(path)

    def a_loop():
        os.rmdir(path)
        os.symlink(path, path)

    def a_fifo():
        os.unlink(path)
        os.mkfifo(path)
    default = [r"no localip: PoPToP's default", r"no remoteip: PoPToP's default"]
    with open("/bin/true", "rb") as handle:
        program = handle.read()
    binary = [r"a NUL byte: the line ends there", r"more findings are not shown"]
    for what, make, expected in (
            ("empty", lambda: write(path, ""), default),
            ("binary", lambda: open(path, "wb").write(program), binary),
            ("1 MB", lambda: write(path, megabyte[:1 << 20]), default)):
        check(lab, WARNED, *expected, edit=make)
        server = lab.server(start=False)
        server.write_files = make
        server.start()
        lab.expect(server.stop() == 0, f"{what}: status")
    for what, make, regex in (
            ("more than 1 MB", lambda: write(path, megabyte), r"larger than 1048576 bytes"),
            ("a directory", a_directory, r"cannot be read: Is a directory"),
            ("a loop", a_loop, r"Config file not found! .*Too many levels"),
            ("a FIFO", a_fifo, r"Config file not found! .*this is no regular file")):
        server = lab.server(start=False)
        server.write_files = make
        server.start(wait=False)
        lab.expect(server.process.wait(60) == 1, f"{what}: status")
        server.wait_log(regex, start=server.mark)
        found = run("srv", "pptpctrl", "check", "-c", path, check=False)
        lab.expect(found.returncode == REFUSED and re.search(regex, found.stdout), found.stdout)
    os.unlink(path)
    check(lab, REFUSED, r"^ERROR +pppd refuses its options", options=program.decode("latin-1"))
    options = "/etc/ppp/options.pptpd"

    def options_fifo():
        os.unlink(options)
        os.mkfifo(options)
    no_options = rf"PPP options file {options}: this is no regular file"
    check(lab, REFUSED, rf"^ERROR +{no_options}", edit=options_fifo)
    server = lab.server(start=False)
    server.write_files = lambda: None
    server.start(wait=False)
    lab.expect(server.process.wait(60) == 1, "options: status")
    server.wait_log(no_options, start=server.mark)
    os.unlink(options)
    os.mkdir("/etc/hosts.allow")
    check(lab, REFUSED, r"^ERROR +/etc/hosts\.allow: cannot be read")
    os.rmdir("/etc/hosts.allow")
    os.mkfifo("/etc/hosts.allow")
    check(lab, REFUSED, r"^ERROR +/etc/hosts\.allow: cannot be read: this is no regular file")
    lab.expect_clean()
