"""The whole abuse list: where each id is tested. The cases of this suite and unit tests that bear
an id are found by their names; here is what cannot be found so, and what is not tested, and why."""

import pathlib
import re
import runpy
import sys

from .case import registry

TESTS = pathlib.Path(__file__).resolve().parents[2]
NUMBERS = {"T": 20, "M": 27, "S": 16, "G": 31, "P": 24, "R": 22}

LAB = {     # id -> scenarios of tests/lab
    "T10": ["abuse/many-sources"], "T11": ["relay/abuse-machine"], "T15": ["soak/vanished-client"],
    "T18": ["relay/abuse-machine"], "T19": ["admission/lists-and-shares", "hosts/refused-client"],
    "T20": ["admission/office"], "S12": ["relay/gre-cut", "tty/gre-cut", "kernel/gre-cut"],
    "G12": ["relay/far-ahead"], "G28": ["relay/abuse-machine"],
    "G30": ["relay/abuse-network"], "G31": ["relay/abuse-network"], "P04": ["relay/abuse-pppd"],
    "P05": ["environment/options-unusable"], "P06": ["relay/abuse-pppd"],
    "P07": ["environment/pppd-unusable"], "P08": ["tty/abuse-no-ptys"],
    "P12": ["relay/plaintext", "tty/plaintext"], "P13": ["relay/abuse-pppd"],
    "P14": ["relay/far-ahead"], "P16": ["relay/abuse-pppd", "login/no-secrets-in-log"],
    "P17": ["relay/abuse-pppd"],
    "P18": ["admission/one-call-for-each-user", "crowd/thirty-clients"],
    "P19": ["relay/abuse-network"], "P24": ["relay/abuse-pppd"],
    "R01": ["abuse/log-blocks"], "R02": ["relay/abuse-machine"], "R03": ["relay/abuse-machine"],
    "R04": ["relay/abuse-machine"], "R05": ["relay/abuse-machine"], "R06": ["abuse/signals-again"],
    "R07": ["relay/worker-killed", "relay/successor"], "R08": ["admission/office"],
    "R09": ["crowd/full-pool"], "R11": ["relay/ban", "admission/slower-after-failures"],
    "R12": ["relay/ban"], "R13": ["admission/one-call-for-each-user"],
    "R17": ["relay/abuse-network"], "R18": ["check/secrets"],
    "R19": ["relay/separation", "tty/separation", "kernel/separation"],
    "R20": ["login/only-root-may-ask"], "R21": ["relay/abuse-machine"],
}
UNIT = {    # id -> (file, test)
    "T09": [("test_admit.c", "a_source_has_its_share_of_silence")],
    "T10": [("test_admit.c", "the_oldest_silent_one_gives_way")],
    "T20": [("test_admit.c", "a_prefix_makes_a_source")],
    "R08": [("test_admit.c", "an_office_of_200_comes_back")],
    "R11": [("test_admit.c", "failures_grow_the_wait")],
    "R12": [("test_admit.c", "one_name_of_one_source_is_banned")],
    "R14": [("test_admit.c", "those_without_a_login_give_way")],
    "P03": [("test_ctrl.c", "setup_has_a_minute")],
    "P10": [("test_pppfilter.c", "sizes_are_limited")],
}
NOT_BUILT = {
    "S14": "this server opens no connection (its worker cannot: escape/system-calls), so that two cannot cross",
}


def ids():
    return [f"{letter}{n:02}" for letter, last in NUMBERS.items() for n in range(1, last + 1)]


def unit_tests():
    """{id: [(file, test)]} of those whose names begin with the id."""
    found = {}
    for path in sorted((TESTS / "unit").glob("test_*.c")):
        for name in re.findall(r"cmocka_unit_test\(([tmsgpr]\d\d_\w+)\)", path.read_text()):
            first, last = name[:3].upper(), re.match(r".\d\d_to_.(\d\d)", name)
            for n in range(int(first[1:]), int(last.group(1) if last else first[1:]) + 1):
                found.setdefault(f"{first[0]}{n:02}", []).append((path.name, name))
    return found


def scenarios():
    """The names that the lab has."""
    sys.path.insert(0, str(TESTS / "lab" / "guest"))
    runpy.run_path(str(TESTS / "lab" / "guest" / "runner.py"))["load_scenarios"](
        str(TESTS / "lab" / "scenarios"))
    import lab
    return set(lab.registry)


def missing(units):
    """What the tables above name and is not there; ids that nobody has."""
    known = scenarios()
    wrong = [f"{i}: no scenario {name}" for i, names in LAB.items() for name in names
             if name not in known]
    for i, names in UNIT.items():
        wrong += [f"{i}: {path} has no test {name}" for path, name in names
                  if f"({name})" not in (TESTS / "unit" / path).read_text()]
    return wrong + [f"{i}: tested by nothing, and no reason given" for i in ids()
                    if not (i in registry or i in LAB or i in UNIT or i in units or i in NOT_BUILT)]


def table():
    """(text of ABUSE.md, what is wrong)"""
    units = unit_tests()
    lines = ["# The abuse list: where each id is tested", "",
             "Made by `tests/wire/run --ids`; `make check` compares. wire: a case of this suite; lab: a",
             "scenario of tests/lab; unit: a test of tests/unit.", "", "| id | tested by |", "|---|---|"]
    counts = {"wire": 0, "lab": 0, "unit": 0, "none": 0}
    for i in ids():
        where = [f"wire ({registry[i].text})"] if i in registry else []
        where += [f"lab {name}" for name in LAB.get(i, [])]
        where += [f"unit {path[:-2]} {name}" for path, name in [*units.get(i, []), *UNIT.get(i, [])]]
        counts["wire" if i in registry else "lab" if i in LAB else "unit" if where else "none"] += 1
        lines.append(f"| {i} | {'; '.join(where) or 'not built: ' + NOT_BUILT.get(i, '?')} |")
    lines += ["", f"{len(ids())} ids: {counts['wire']} over the wire, {counts['lab']} more in the lab, "
              f"{counts['unit']} more in unit tests alone, {counts['none']} not built."]
    return "\n".join(lines) + "\n", missing(units)
