#!/usr/bin/python3
"""The matrices of several kernels as one table for people and one for programs.

In:   OUT and build/escape/*.json of tests/escape/matrix.py. Out: OUT/matrix.md and OUT/matrix.json.
Called by: make escape. A cell is the worst of its tries: "ok", "FAIL", or why it was not tried.
usage: tests/escape/table.py OUT FILE...
"""
import json
import os
import sys

FAMILIES = {"files": "Files and identity", "descriptors": "Descriptors, processes, memory", "exec": "Execution",
            "surface": "Kernel surface", "namespaces": "Namespaces and cgroups", "network": "Network",
            "enforcer": "Against the enforcer itself"}
MODES = ("granted", "denied", "blind")


def cell(row, mode):
    """(word, number of tries, why): ok, FAIL, skip, none."""
    tries = [(t["name"], t[mode]) for t in row["tries"] if t.get(mode)]
    bad = [(n, m) for n, m in tries if m["result"] not in ("none", "skip") and not m.get("good")]
    if bad:
        return "FAIL", len(tries), "; ".join("%s: %s %s" % (n, m["result"], " ".join(m.get("problems", [])))
                                             for n, m in bad)
    ran = [m for _, m in tries if m["result"] not in ("none", "skip")]
    if ran:
        return "ok", len(ran), ""
    return "skip", 0, "; ".join(sorted({m.get("why", "") for _, m in tries}))


def load(files):
    runs = {}
    for path in files:
        with open(path) as f:
            run = json.load(f)
        runs[run["kernel"]] = run
    return runs


def order(name):
    return (name == "newest", [int(x) for x in name.split(".")] if name != "newest" else [])


def main():
    out, runs = sys.argv[1], load(sys.argv[2:])
    names = sorted(runs, key=order)
    rows = {}
    for name in names:
        for row in runs[name]["rows"]:
            rows.setdefault(row["row"], row)
    table, whys, lines = [], [], []
    for number in sorted(rows):
        row = rows[number]
        entry = {k: row[k] for k in ("row", "title", "stop", "family")}
        entry["kernels"] = {}
        words = []
        for name in names:
            own = next((r for r in runs[name]["rows"] if r["row"] == number), None)
            cells = {mode: cell(own, mode) if own else ("skip", 0, "not run") for mode in MODES}
            entry["kernels"][name] = {m: {"result": c[0], "tries": c[1], "why": c[2]} for m, c in cells.items()}
            words.append(" ".join(c[0] if c[0] != "skip" else "–" for c in cells.values()))
            for mode, c in cells.items():
                if c[2] and (number, mode, c[2]) not in [w[:3] for w in whys]:
                    whys.append((number, mode, c[2], name))
        entry["silent"] = [t["name"] for t in row["tries"] if not t["denials"]]
        lines.append((row["family"], "| %03d | %s | %s | %d | %s |" % (
            number, row["title"], row["stop"], len(row["tries"]), " | ".join(words))))
        table.append(entry)
    text = ["# The escape matrix", "",
            "Every technique of the catalogue as a program (`tests/escape`), tried on %s in three modes: **granted**, where nothing"
            % ", ".join("%s (%s)" % (n, runs[n]["release"]) for n in names),
            "forbids it, it must reach what it is after; **denied**, in a brane that grants none of it, it must not, and leaves exactly one",
            "record of the right kind for each attempt; **blind**, the same with the ring buffer full and the agent killed: it must not, and",
            "each attempt is counted. A cell is granted, denied, blind; – was not tried, and the reason is below.", "",
            "Made by `make escape`.", ""]
    for family, title in FAMILIES.items():
        own = [line for f, line in lines if f == family]
        if own:
            text += ["## " + title, "", "| # | technique | stopped by | tries | " + " | ".join(names) + " |",
                     "|---|---|---|---|" + "---|" * len(names)] + own + [""]
    text += ["## Not tried, or not as it should be", ""]
    text += ["- %03d %s (%s): %s" % (n, mode, name, why) for n, mode, why, name in whys]
    text += ["", "## Stopped without a record", ""]
    for row in rows.values():
        for t in row["tries"]:
            if not t["denials"]:
                text.append("- %03d %s: %s" % (row["row"], t["name"], t.get("silent", "")))
    os.makedirs(out, exist_ok=True)
    with open(out + "/matrix.md", "w") as f:
        f.write("\n".join(text).rstrip() + "\n")
    with open(out + "/matrix.json", "w") as f:
        json.dump({"kernels": {n: {k: runs[n][k] for k in ("release", "seconds")} for n in names}, "rows": table}, f,
                  indent=1)
    bad = [e["row"] for e in table if any(c["result"] == "FAIL" for k in e["kernels"].values() for c in k.values())]
    print("%d rows on %s: %s" % (len(table), ", ".join(names), "all hold" if not bad else "FAIL in rows %s" % bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
