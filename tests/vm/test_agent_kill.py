#!/usr/bin/python3
"""omegad and its roles killed at random moments of applies and deletes, under every layer.

In:   OMEGA_BUILD, OMEGA_SEED (printed; the same one chooses the same moments). Out: TAP. Called by: make
check, in the VM. After each restart every brane is there, whole and confined, or gone without a trace,
and the log is judged intact. Never asserts on time.
"""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import Agent, Refused, check, done, manifest, until  # noqa: E402

KILLS = 6 if os.environ.get("OMEGA_QUICK") else 20
NAMES = ("k-a", "k-b", "k-c")
TRY = """
while :; do
  read -r x </etc/passwd && echo LEAK
  read -r x </etc/debian_version && echo good || echo bad
  sleep 0.3
done
"""


def churn(a, rng, stop):
    """Applies, changes and deletes, as fast as they go, until the daemon is gone."""
    while not stop.is_set():
        name = rng.choice(NAMES)
        try:
            if rng.random() < 0.35:
                a.call("Control.Delete", name=name, timeout=30)
            else:
                a.apply(manifest(name, TRY, egress=("127.0.0.1:%d/tcp" % rng.randrange(7, 10),)), timeout=30)
        except Refused:
            pass
        except (OSError, ValueError):
            return


def cgroup_procs(path):
    try:
        with open(path + "/cgroup.procs") as f:
            return f.read().split()
    except OSError:
        return []


def judge(a, empty):
    """Why the state after a restart is wrong, or ""."""
    wrong = []
    branes = a.branes()
    for name in NAMES:
        left = a.left(name)
        if name in branes:
            if branes[name]["state"] not in ("running", "frozen", "exited"):
                wrong.append("%s is %s" % (name, branes[name]["state"]))
            if branes[name]["state"] == "running" and not os.path.exists("/proc/%s" % branes[name]["init_pid"]):
                wrong.append("%s runs without a process" % name)
        elif left or cgroup_procs("%s/%s" % (a.cgroup, name)):
            wrong.append("%s is gone, but not: %s" % (name, left))
        if "LEAK" in a.output(name):
            wrong.append("%s read what it was not granted" % name)
        if "bad" in a.output(name):
            wrong.append("%s was denied what it is granted" % name)
    if not branes and a.maps() != empty:
        wrong.append("no brane, but entries: %s" % a.maps())
    code, out, err = a.verify()
    if code not in (0, 11):
        wrong.append("verify-chain %d: %s%s" % (code, out, err))
    return "\n".join(wrong)


def kills(a, rng, empty):
    adopted = 0
    for n in range(KILLS):
        stop = threading.Event()
        thread = threading.Thread(target=churn, args=(a, rng, stop))
        thread.start()
        time.sleep(rng.uniform(0.05, 1.2))
        a.stop(signal.SIGKILL)
        stop.set()
        thread.join()
        before = {x: cgroup_procs("%s/%s" % (a.cgroup, x)) for x in NAMES}
        a.start()
        wrong = judge(a, empty)
        adopted += len(a.branes())
        check("kill %d in the middle: adopted or gone, and confined" % (n + 1), not wrong, wrong, before, a.log())
    check("some were adopted", adopted > 0)


def roles(a):
    for name in ("drain", "load", "sign"):  # omegad pauses longer after each; tests/live has all five
        a.apply(manifest("k-a", TRY))
        good = a.output("k-a").count("good")
        pid = a.role(name)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not os.path.exists("/proc/%d" % pid))
        until(lambda: a.role("api") and a.ready())
        back = a.branes().get("k-a", {})
        check("the role %s is killed: the brane runs on, confined" % name, back.get("state") == "running"
              and until(lambda: a.output("k-a").count("good") > good) and "LEAK" not in a.output("k-a"),
              back, a.output("k-a")[-200:], a.log())


def main():
    seed = int(os.environ.get("OMEGA_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print("# OMEGA_SEED=%d" % seed)
    a = Agent().start()
    try:
        empty = a.maps()
        kills(a, random.Random(seed), empty)
        roles(a)
        for name in list(a.branes()):
            a.ctl("delete", name)
        check("in the end nothing is left over", not a.branes() and until(lambda: a.maps() == empty, 10)
              and not any(a.left(n) for n in NAMES), a.branes(), a.maps())
        check("verify-chain: intact", a.verify()[0] in (0, 11), a.verify())
        check("an orderly end", a.stop(signal.SIGTERM) == 0, a.log())
    finally:
        a.close()
    done()


if __name__ == "__main__":
    main()
