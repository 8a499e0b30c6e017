"""What journalctl shows of the server and of its calls."""

import json
import re
import subprocess

from lab import run, scenario

MANUAL = "/usr/share/man/man8/pptpd.8"


def message_ids():
    """{what it is: id} as the manual lists them."""
    with open(MANUAL) as text:
        return dict(re.findall(r"^\.It Sy (\S+) Li ([0-9a-f]{32})$", text.read(), re.M))


def journal(*matches):
    out = subprocess.run(["journalctl", "-b", "-o", "json", "--all", *matches],
                         capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


@scenario(group="systemd", systemd=True)
def journal_fields(lab):
    """journalctl -o json: a call by its fields and message ids, pppd's lines by its process."""
    ids = message_ids()
    lab.expect(len(ids) >= 10, f"the manual lists {ids}")
    server = lab.service()
    call = lab.client(up=True)
    server.wait_log(r"call \d+ up: ")
    iface = server.calls()[0]["interface"]
    call.stop()
    ended = server.wait_log(r"call (\d+) ended: ")
    number = re.search(r"call (\d+)", ended.text).group(1)
    lab.expect(int(ended.fields["_PID"]) in server.pids() and
               int(ended.fields["SYSLOG_PID"]) > 1 << 22,       # the client's number
               f"process ids: {ended.fields}")
    seen = {line["MESSAGE_ID"]: line for line in journal(f"PPTP_CALL={number}",
                                                         "_SYSTEMD_UNIT=pptpd.service")
            if "MESSAGE_ID" in line}
    kinds = {name for name, value in ids.items() if value in seen}
    lab.expect(kinds >= {"CALL_PPPD", "CALL_UP", "CALL_ENDED"}, f"of the call: {kinds}")
    last = seen[ids["CALL_ENDED"]]
    wanted = {"PPTP_PEER": lab.net.addresses[call.ns], "PPTP_USER": "alice",
              "PPTP_IFNAME": iface, "PPTP_REASON": "client cleared the call",
              "PRIORITY": "6", "SYSLOG_IDENTIFIER": "pptpd", "SYSLOG_FACILITY": "3"}
    found = {name: last.get(name) for name in wanted}
    lab.expect(found == wanted, f"fields: {found}, not {wanted}")
    # pppd's own lines: the one line of the call names its process.
    pppd = seen[ids["CALL_PPPD"]]["PPTP_PPPD_PID"]
    lines = journal(f"_PID={pppd}", "SYSLOG_IDENTIFIER=pppd")
    lab.expect(any(line["MESSAGE"].startswith(f"Connect: {iface} ") for line in lines),
               f"of pppd {pppd}: {[line['MESSAGE'] for line in lines]}")
    # And systemd's own word for all that belongs to the call.
    lines = journal(f"_SYSTEMD_UNIT=pptpd-call-{number}.scope", "SYSLOG_IDENTIFIER=pppd")
    lab.expect(any(line["MESSAGE"].startswith("remote IP address") for line in lines),
               f"of its scope: {[line['MESSAGE'] for line in lines]}")
    mark = lab.syslog.mark()
    wrong = lab.client(call.ns, password="wrong")
    failed = lab.syslog.wait(r"auth failed ", 60, mark)
    lab.expect(failed.fields.get("MESSAGE_ID") == ids["AUTH_FAILED"]
               and failed.fields.get("PPTP_USER") == "alice", f"failed login: {failed.fields}")
    wrong.wait_exit()
    server.stop()
    lab.syslog.wait("Manager process ended")
    lab.expect(journal(f"MESSAGE_ID={ids['ENDED']}"), "the end of the server has no id")


@scenario(group="systemd", systemd=True)
def journal_stalls(lab):
    """systemd-journald is started again, then stands still: lines come after it, no call waits."""
    server = lab.service()
    run(None, "systemctl", "restart", "systemd-journald.service")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    run(None, "systemctl", "kill", "--signal=STOP", "systemd-journald.service")
    try:
        lab.ping(call.ns, server.local_ip, count=20, interval=0.01)
        lab.expect(len(server.calls()) == 1, "pptpctrl list gets no answer")
    finally:
        run(None, "systemctl", "kill", "--signal=CONT", "systemd-journald.service")
    call.stop()
    number = lab.syslog.wait(r"call (\d+) ended: ").text.split()[1]
    lab.expect(journal(f"PPTP_CALL={number}"), "no line with a field after the restart")
