#!/usr/bin/python3
"""What `make demo` shows: one call from login to its end, then the speed of each data path
beside PoPToP's. Runs in a guest of the lab, or in namespaces on the machine itself; in both
/etc, /run, /tmp and /dev belong to it alone. tests/demo.py starts it and passes on its words.
"""

import argparse
import collections
import dataclasses
import json
import os
import re
import select
import socket
import sys
import textwrap
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import Lab, LabError, inside, parse_gre, poll, processes, run  # noqa: E402

OUT = "/lab/out/demo"
SECRET = b"this is a secret"        # as much as ping takes for a pattern
TICKS = os.sysconf("SC_CLK_TCK")

LCP, CHAP, CCP, IPCP, IPV6CP, MPPE = 0xC021, 0xC223, 0x80FD, 0x8021, 0x8057, 0x00FD
SET_UP = {LCP: "LCP", CHAP: "CHAP", CCP: "CCP", IPCP: "IPCP", IPV6CP: "IPV6CP"}

# -- words ------------------------------------------------------------------------

def heading(title):
    """A new stage; should it fail, the host says which it was."""
    with open(f"{OUT}/stage", "w") as file:
        file.write(title)
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def tell(text):
    print(textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  "), flush=True)


def quote(text, hang=4):
    """What a program said, folded."""
    print(textwrap.fill(text, 78, initial_indent="    ", subsequent_indent=" " * (4 + hang),
                        break_on_hyphens=False), flush=True)


def verbatim(text):
    print(textwrap.indent(text.rstrip(), "    "), flush=True)


# -- the server, started by its socket ---------------------------------------------

def activator(address):
    """The command that holds port 1723 and turns into the server at the first connection."""
    if os.path.exists("/usr/bin/systemd-socket-activate"):
        return ["systemd-socket-activate", "-l", f"{address}:1723"]
    return ["/usr/bin/python3", "-B", os.path.abspath(__file__), "--activate", f"{address}:1723"]


def activate(where, command):
    """systemd-socket-activate in small, for machines that have it not."""
    address, port = where.rsplit(":", 1)
    listener = socket.create_server((address, int(port)))
    select.select([listener], [], [])
    os.dup2(listener.fileno(), 3)
    os.set_inheritable(3, True)         # dup2 does nothing when it is 3 already
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp(command[0], command)


def start_by_socket(lab, datapath):
    address = lab.net.addresses["srv"]
    server = lab.server(start=False, datapath=datapath, wrapper=activator(address))
    server.start(wait=False)
    poll(lambda: processes.listens(server.process.pid, 1723), "port 1723 is held")
    return server


# -- one call -------------------------------------------------------------------------

def show_start(lab):
    heading("1. A server that is not running yet")
    server = start_by_socket(lab, "relay")
    tell("Port 1723 of the server's network namespace is held open, as systemd does for "
         "pptpd.socket. All there is of the server so far:")
    show_processes(server)
    lab.expect(len(server.pids()) == 1, "more than the socket's holder is there")
    return server


def show_login(lab, server):
    heading("2. The stock client logs in")
    tell("pptp-linux and pppd, from another namespace: MS-CHAPv2, MPPE-128 required.")
    capture = lab.capture("srv", "eth0", "proto gre")
    call = lab.client(up=True)
    up = server.wait_log(r"call \d+ up: ")
    tell(f"The connection started the server; {call.set_up_time:.1f} s from the client's "
         f"start to its address {call.address}. The server's log:")
    quote(up.text)
    tell("Who is there, and with which encryption (pptpctrl list, and from its --json):")
    verbatim(pptpctrl("list"))
    entry, = json.loads(pptpctrl("list", "--json"))
    print()
    for key in ("user", "address", "authentication", "encryption", "datapath"):
        print(f"    {key + ':':16}{entry[key]}", flush=True)
    lab.expect(entry["address"] == call.address, f"{entry['address']} is not the client's address")
    lab.expect("128" in entry["encryption"], "the call is not encrypted with MPPE-128")
    tell("The server's processes: launcher, worker (no rights), per-call parent, pppd with "
         "PoPToP's arguments:")
    show_processes(server)
    return call, capture


def pptpctrl(*words):
    return run("srv", "pptpctrl", *words).stdout


def show_processes(server):
    pids = ",".join(map(str, server.pids()))
    for line in run(None, "ps", "-ww", "-o", "pid,ppid,user,args", "-p", pids).stdout.splitlines():
        quote(re.sub(r" +$", "", line), hang=21)


def show_wire(lab, server, call, capture):
    heading("3. What an eavesdropper sees")
    inner = lab.capture("srv", call_interface(server), "icmp", name="inside")
    pattern = SECRET.hex()
    out = run(call.ns, "ping", "-n", "-c", "3", "-i", "0.2", "-p", pattern, server.local_ip).stdout
    tell(f"The client pings the server with \"{SECRET.decode()}\" in each packet:")
    verbatim("\n".join(line for line in out.splitlines() if "bytes from" in line or "loss" in line))
    lab.ping("srv", call.address)
    lab.transfer(call.ns, "srv", server.local_ip, 1_000_000)
    poll(lambda: occurrences(inner.packets()), "the secret is seen inside the tunnel")
    tell("Then 1 MB goes each way over TCP, with a checksum. tcpdump on the server's eth0 "
         "has, from the first packet of the login on:")
    packets = capture.stop()
    seen = frames(packets)
    show_frames(lab, seen)
    outside, within = occurrences(packets), occurrences(inner.stop())
    tell(f"\"{SECRET.decode()}\": found in {within} packets inside the tunnel (ppp), in {outside} "
         "outside (eth0).")
    lab.expect(outside == 0, "the secret went over the wire in plain text")


def call_interface(server):
    return json.loads(pptpctrl("list", "--json"))[0]["interface"]


def occurrences(packets):
    return sum(SECRET in data for _, data in packets)


def frames(packets):
    """{PPP protocol: how many}; None counts packets that carry only an acknowledgement."""
    seen = collections.Counter()
    for _, data in packets:
        gre = parse_gre(data)
        if gre:
            seen[protocol(gre.payload) if gre.payload else None] += 1
    return seen


def protocol(payload):
    """Both address and protocol fields may be compressed."""
    at = 2 if payload[:2] == b"\xff\x03" else 0
    return payload[at] if payload[at] & 1 else int.from_bytes(payload[at:at + 2], "big")


def show_frames(lab, seen):
    set_up = ", ".join(f"{count} {SET_UP.get(kind, hex(kind))}" for kind, count in seen.items()
                       if kind and kind >= 0x4000)
    data = sum(count for kind, count in seen.items() if kind and kind < 0x4000)
    verbatim(f"negotiation     {set_up}\n"
             f"data frames     {data}, of these MPPE (0x00fd) {seen[MPPE]}, "
             f"in plain text {data - seen[MPPE]}\n"
             f"without data    {seen[None]} acknowledgements")
    lab.expect(seen[MPPE] > 100, "hardly any encrypted frame was seen")
    lab.expect(data == seen[MPPE], f"{data - seen[MPPE]} data frames in plain text")


def show_refusal(lab, server, call):
    heading("4. Somebody with a wrong password")
    mark = lab.syslog.mark()
    lab.client(password="guess").wait_refused()
    line = server.wait_log(r"call \d+ failed: ", start=mark)
    tell("The client is turned away: its pppd says so, and ends. The server's log:")
    quote(line.text)
    lab.ping(call.ns, server.local_ip)
    tell("The first call goes on undisturbed: another ping is answered.")


def show_end(lab, server, call):
    heading("5. The call ends, and nothing is left")
    during = len(lab.leftovers())
    call.stop()
    tell("The client hangs up. The server's log:")
    quote(server.wait_log(r"call \d+ ended: ").text)
    poll(lambda: len(server.pids()) == 2, "only launcher and worker are left of the server")
    server.idle = server.descriptor_counts()    # each later call must come back to these
    lab.expect(during > 0, "the search for leftovers found nothing while a call was up")
    lab.expect_clean()
    tell("Left over, among processes, ptys, ppp interfaces, L2TP sessions, kernel call ids and "
         f"sockets of both sides: nothing (the same search found {during} things during the "
         "call). The server waits for the next:")
    show_processes(server)


# -- speed --------------------------------------------------------------------------------

HEAD = """\
                     |  quiet network  | 0.2 ms of jitter |  CPU ms per MB
                     |     Mbit/s      |      Mbit/s      | on server's side
  server   data path |     up     down |     up     down  |     up     down
  -------------------+-----------------+------------------+-----------------"""


@dataclasses.dataclass
class Figures:
    rate: float         # Mbit/s
    server: float       # CPU ms per MB of all the server's processes
    client: float       # the same of pptp-linux and pppd


def show_speed(lab, server, seconds):
    heading("6. Speed, beside PoPToP")
    tell(f"iperf3 over TCP, {seconds} s for each figure; up is what the client sends. Jitter is "
         "netem's delay of 2 ms +/- 0.2 ms on every packet, each way.")
    print(f"\n{HEAD}", flush=True)
    measured, starts = [], {
        ("pptpctrl", "relay"): lambda: server,      # once more the one of the call above
        ("pptpctrl", "tty"): lambda: start_by_socket(lab, "tty"),
        ("pptpctrl", "kernel"): lambda: start_by_socket(lab, "kernel"),
        ("pptpd", "pty"): lambda: lab.server(pptpd="distribution"),
    }
    for (name, path), start in starts.items():
        print(f"  {name:9}{path:9} |", end="", flush=True)
        measured += show_row(lab, start(), seconds)
    print()
    show_reading(measured)
    tell("All servers were stopped; the search for leftovers finds nothing again.")


def show_row(lab, server, seconds):
    """One line of the table, figure by figure; returns those without jitter."""
    call = lab.client(up=True, pptp_args=["--loglevel", "0"])
    lab.ping(call.ns, server.local_ip)
    quiet = [cell(lab, call, server, down, seconds) for down in (False, True)]
    print(" |", end="", flush=True)
    lab.net.impair(call.ns, delay_ms=2, jitter_ms=0.2)
    for down in (False, True):
        cell(lab, call, server, down, seconds)
    lab.net.unimpair(call.ns)
    in_kernel = server.datapath == "kernel"
    up, down = ("-" if in_kernel else f"{figures.server:.0f}" for figures in quiet)
    print(f"  |{up:>7}{down:>9}", flush=True)
    call.stop()
    if server.idle:
        lab.expect_clean()
    server.stop()
    lab.expect_clean()
    return quiet


def cell(lab, call, server, down, seconds):
    before = cpu_ms(server.pids()), cpu_ms(call.pids())
    rate = lab.iperf3(call.ns, "srv", server.local_ip, seconds=seconds, reverse=down)
    after = cpu_ms(server.pids()), cpu_ms(call.pids())
    print(f"{rate:9.1f}" if down else f"{rate:7.1f}", end="", flush=True)
    used = [sum(now[pid] - then.get(pid, 0) for pid in now) for then, now in zip(before, after)]
    return Figures(rate, *(ms / (rate * seconds / 8) for ms in used))


def cpu_ms(pids):
    """{process: its user and system time}"""
    stats = {pid: processes.read(pid, "stat").rpartition(")")[2].split() for pid in pids}
    return {pid: (int(words[11]) + int(words[12])) * 1000 / TICKS
            for pid, words in stats.items() if words}


def show_reading(measured):
    client = [figures.client for figures in measured]
    in_guest = "User Mode Linux" in open("/proc/cpuinfo").read()
    tell("How to read it. The figures compare only with one another: client, server and network "
         "share one machine" + (" with one CPU, and system calls cost far more in User-Mode Linux "
                                "than elsewhere." if in_guest else "."))
    first = measured[0]
    tell(("The client is the bottleneck: " if first.client > first.server else "") +
         f"pptp-linux works in user space, too. With its pppd it takes {min(client):.0f} to "
         f"{max(client):.0f} ms of CPU per MB, which alone allows {8000 / min(client):.0f} Mbit/s "
         "at most. Debian has no faster PPTP client; hence the column of the server's own CPU.")
    tell("That column counts the server's processes, with what the kernel does in their name: for "
         "pptpctrl's relay that is the decryption too, which for PoPToP kernel threads do, "
         "uncounted. The kernel path works in none of them. It drops every packet that comes "
         "late: jitter costs it much of what clients send.")


# -- all of it -------------------------------------------------------------------------------

def demo(lab, seconds):
    server = show_start(lab)
    call, capture = show_login(lab, server)
    show_wire(lab, server, call, capture)
    show_refusal(lab, server, call)
    show_end(lab, server, call)
    show_speed(lab, server, seconds)


def main():
    if sys.argv[1:2] == ["--activate"]:
        activate(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    os.makedirs(OUT, exist_ok=True)
    try:
        lab = Lab(None, OUT)
        demo(lab, args.seconds)
    except Exception as error:      # the host tells the reason, at the end
        with open(f"{OUT}/traceback.txt", "w") as file:
            traceback.print_exc(file=file)
        with open(f"{OUT}/failure", "w") as file:
            file.write(str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
