#!/usr/bin/python3
"""Maps and pins changed behind a dead agent's back: every difference is found, recorded, and held.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. Each brane suffers another change while omegad
is dead; after its return the untouched one runs, the others are frozen and denied, and the log says why. Then
a link is taken away: nothing runs until it is back, and the log says that too.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import Agent, check, done, manifest, skip_all, until  # noqa: E402

LOOP = "while :; do read -r x </etc/debian_version && echo good; sleep 0.3; done"


def bpftool(*args):
    got = subprocess.run(["bpftool", "-j", *args], capture_output=True)
    if got.returncode:
        sys.exit("Bail out! bpftool %s: %s %s" % (args, got.stdout, got.stderr))
    return json.loads(got.stdout) if got.stdout.strip() else None


def raw(value):
    return bytes(int(x, 16) for x in value)


def hexes(data):
    return ["hex"] + ["%02x" % x for x in data]


class Maps:
    def __init__(self, a):
        self.dir = a.pin_dir() + "/"

    def dump(self, name):
        return {raw(e["key"]): raw(e["value"]) for e in bpftool("map", "dump", "pinned", self.dir + name)}

    def put(self, name, key, value):
        bpftool("map", "update", "pinned", self.dir + name, "key", *hexes(key), "value", *hexes(value))

    def drop(self, name, key):
        bpftool("map", "delete", "pinned", self.dir + name, "key", *hexes(key))


def num(data, at, size=4):
    return int.from_bytes(data[at:at + size], sys.byteorder)


def entry(maps, name, policy, at=0):
    """One entry of POLICY, whose number lies at AT in the key."""
    for key, value in maps.dump(name).items():
        if num(key, at) == policy:
            return key, value
    sys.exit("Bail out! %s has no entry of policy %d" % (name, policy))


def uncount(maps, key):
    """Zero for the object KEY in om_filter; its place is include/omega/abi/filter.h's."""
    base = (num(key, 0) << 32 | num(key, 4)) * 0x9e3779b97f4a7c15
    place = ((base ^ num(key, 8, 8)) * 0xd6e8feb86659fd93 % (1 << 64)) >> 44
    at = (place >> 3).to_bytes(4, sys.byteorder)
    word = raw(bpftool("map", "lookup", "pinned", maps.dir + "om_filter", "key", *hexes(at))["value"])
    maps.put("om_filter", at, word[:place & 7] + b"\0" + word[(place & 7) + 1:])


def tamper(a, maps):
    """Name of a brane -> what its record must speak of."""
    slots = {}
    for key, value in maps.dump("om_branes").items():
        slots[num(value, 16, 8)] = (key, value)
    of = {n: slots[os.stat("%s/%s" % (a.cgroup, n)).st_ino] for n in BRANES}
    policy = {n: num(of[n][1], 4) for n in of}
    key, value = entry(maps, "om_objects", policy["added"])
    maps.put("om_objects", key[:8] + bytes(8) + key[16:], value)
    key, value = entry(maps, "om_objects", policy["widened"])
    maps.put("om_objects", key, bytes([value[0] | 0x1f]) + value[1:])
    key, value = entry(maps, "om_objects", policy["dropped"])
    maps.drop("om_objects", key)
    key, value = entry(maps, "om_egress", policy["egress"], 4)
    maps.put("om_egress", key[:8] + bytes([key[8] ^ 1]) + key[9:], value)
    key, value = of["audited"]
    maps.put("om_branes", key, value[:8] + bytes([value[8] | 1]) + value[9:])
    uncount(maps, entry(maps, "om_objects", policy["hidden"])[0])
    maps.drop("om_cgroups", os.stat(a.cgroup + "/unled").st_ino.to_bytes(8, sys.byteorder))


BRANES = {"whole": None, "added": "nobody granted", "widened": "other rights", "dropped": "is missing",
          "egress": "om_egress", "audited": "slot", "unled": "om_cgroups",
          "hidden": "om_filter"}


def entries(a, maps):
    for name in BRANES:
        a.apply(manifest(name, LOOP))
    until(lambda: all("good" in a.output(n) for n in BRANES))
    a.stop(signal.SIGKILL)
    tamper(a, maps)
    a.start()
    branes = a.branes()
    check("the untouched brane runs on", branes["whole"]["state"] == "running", branes["whole"], a.log())
    size = len(a.output("whole"))
    check("and works", until(lambda: len(a.output("whole")) > size))
    records = {}
    for name, text in BRANES.items():
        got = [e for e in a.events("--brane", name) if e.get("kind") == "tamper"]
        if not text:
            check("%s: no record of tampering" % name, not got, got)
            continue
        records[name] = got
        check("%s: frozen" % name, branes[name]["state"] == "frozen", branes[name])
        check("%s: recorded once, with its error and the difference" % name, len(got) == 1
              and text in json.dumps(got) and "OM2" in json.dumps(got), got)
    slots = {num(v, 16, 8): v for v in maps.dump("om_branes").values()}
    held = [n for n in records if not slots[os.stat("%s/%s" % (a.cgroup, n)).st_ino][8] & 2]
    check("and denied everything", not held, held)
    check("omegad says so too", '"tampered"' in a.log() or "tampered" in a.log(), a.log())
    for name in records:
        check("%s can be deleted" % name, a.ctl("delete", name)[0] == 0)


def link(a, pin):
    """One hook less: a brane that went on would be allowed what that hook denies."""
    a.stop(signal.SIGKILL)
    os.rename(pin, a.bpffs + "/aside")
    a.start(wait=False)
    frozen = a.cgroup + "/cgroup.events"
    check("a link is missing: every brane is frozen", until(lambda: "frozen 1" in open(frozen).read()), a.log())
    size = len(a.output("whole"))
    time.sleep(1)
    check("and does nothing", len(a.output("whole")) == size)
    a.stop(signal.SIGTERM)
    os.rename(a.bpffs + "/aside", pin)
    a.start()
    check("the link is back: it runs on", until(lambda: len(a.output("whole")) > size), a.log())
    got = [e for e in a.events() if e.get("kind") == "tamper" and os.path.basename(pin) in json.dumps(e)]
    check("and the log has it", got and "OM2104" in json.dumps(got), got)


def main():
    a = Agent().start()
    try:
        if "kernel" not in a.call("Observe.Version").get("layers", []):
            skip_all("this kernel cannot enforce BPF-LSM")
        entries(a, Maps(a))
        link(a, a.pin_dir() + "/om_file_open")
        check("verify-chain: intact", a.verify()[0] in (0, 11), a.verify())
        check("an orderly end", a.stop() == 0, a.log())
    finally:
        a.close()
    done()


if __name__ == "__main__":
    main()
