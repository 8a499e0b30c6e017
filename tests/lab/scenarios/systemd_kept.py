"""What happens to the service ends no call: thirty with traffic, of which nothing may be lost,
changed or reset. For how long none comes through is told, not judged.
"""

import collections
import random
import time

from lab import scenario, systemd
from lab.service import UNIT
from lab.steady import Crowd, happenings, kill_parent

# Five deaths of workers in a minute are another promise: calls end then.
DEATHS, MINUTE = 4, 60
WARM_UP = 4     # events, after which each kind of process has been another one


def crowd_of_service(lab):
    """From the first restart on the server keeps a socket beside each that systemd binds anew:
    what it holds is counted after one."""
    server, mark = lab.service(users=Crowd.USERS), lab.syslog.mark()
    systemd.systemctl("restart", UNIT)
    server.wait_log(r"connections available", 60, mark)
    return Crowd(lab, server)


@scenario(group="systemd", datapaths=["relay"], systemd=True, timeout=600)
@scenario(group="systemd", datapaths=["tty", "kernel"], systemd=True, long=True, timeout=900)
def nothing_lost(lab):
    """30 calls, each process killed in turn, restart, reload: none lost, logins go on; then stop."""
    crowd = crowd_of_service(lab)
    level = None
    for name, happen in happenings(crowd).items():
        crowd.survive(name, happen)
        level = level or crowd.level()
        crowd.login()
        crowd.expect_same()
    lab.expect(crowd.server.find_log(rf"kept {crowd.N} calls; to end them: systemctl stop pptpd"),
               "restart does not say that calls are kept")
    crowd.survive("a call's parent", lambda: kill_parent(crowd, min(crowd.before)))
    crowd.survive("both again", happenings(crowd)["both"])
    crowd.expect_same()
    crowd.expect_held(*level)
    again = lab.client(crowd.guest_ns, user="guest", up=True)
    lab.ping(again.ns, crowd.server.local_ip, count=1)
    again.stop()
    crowd.note_gaps()
    crowd.stop()


def many_kills(lab, n_kills):
    """Whatever chance chooses, as soon as all calls carry traffic again."""
    crowd, seed = crowd_of_service(lab), random.randrange(1 << 32)
    lab.say(f"seed {seed}")
    chance, deaths = random.Random(seed), collections.deque([-MINUTE] * DEATHS, maxlen=DEATHS)
    victims, may_happen = chance.sample(sorted(crowd.before), crowd.N), happenings(crowd)
    may_happen["parent"] = lambda: kill_parent(crowd, victims.pop())
    for n in range(n_kills):
        tired = time.monotonic() - deaths[0] < MINUTE
        name = chance.choice([name for name in may_happen if name != "worker" or not tired])
        # What is held is compared after the same thing: a reload drops the administration socket
        # that a restart has left without a name.
        if n in (WARM_UP, n_kills - 1):
            name = "restart"
        if name == "worker":
            deaths.append(time.monotonic())
        crowd.survive(name, may_happen[name])
        if n == WARM_UP:
            level = crowd.level()
    crowd.login()
    crowd.expect_same()
    crowd.expect_held(*level)
    crowd.note_gaps()
    crowd.stop()


@scenario(group="systemd", datapaths=["relay"], systemd=True, timeout=900)
def some_kills(lab):
    """30 calls, 20 kills, restarts and reloads by chance."""
    many_kills(lab, 20)


@scenario(group="systemd", datapaths=["relay"], systemd=True, long=True, timeout=7200)
def hundred_kills(lab):
    """30 calls, a hundred kills, restarts and reloads by chance."""
    many_kills(lab, 100)
