#!/usr/bin/env python3
"""A second verifier of the audit log that shares no code with agent/chain.

Comes in: an audit directory and the file with the substrate's vkey. Goes out: one line on stdout;
exit 0 intact, 1 tampered, 2 usage. Uses python3 and the openssl command only. Slow and simple on
purpose: canonical form by re-serialising, trees by recursion, one openssl call a signature.
"""
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile


class Bad(Exception):
    pass


def check(ok, why):
    if not ok:
        raise Bad(why)


def h(data):
    return hashlib.sha256(data).digest()


def leaf(data):
    return h(b"\0" + data)


class Tree:
    """Stack of (size, hash) of perfect subtrees."""

    def __init__(self):
        self.stack, self.size = [], 0

    def add(self, x):
        self.size += 1
        self.stack.append((1, x))
        while len(self.stack) > 1 and self.stack[-1][0] == self.stack[-2][0]:
            n, right = self.stack.pop()
            _, left = self.stack.pop()
            self.stack.append((2 * n, h(b"\1" + left + right)))

    def root(self):
        if not self.stack:
            return h(b"")
        out = self.stack[-1][1]
        for _, x in reversed(self.stack[:-1]):
            out = h(b"\1" + x + out)
        return out


def pairs(items):
    keys = [k for k, _ in items]
    check(len(set(keys)) == len(keys), "duplicate key")
    return dict(items)


def refuse(_):
    raise Bad("float or constant")


def walk(v):
    if isinstance(v, bool) or isinstance(v, str):
        return
    if isinstance(v, int):
        check(abs(v) <= 2**53 - 1, "integer range")
    elif isinstance(v, list):
        for x in v:
            walk(x)
    elif isinstance(v, dict):
        for x in v.values():
            walk(x)
    else:
        raise Bad("type")


def canonical(line):
    """The parsed line, if it is byte for byte what RFC 8785 would write."""
    try:
        v = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_float=refuse,
                       parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Bad("no JSON")
    walk(v)

    def sort(x):
        if isinstance(x, dict):
            return {k: sort(x[k]) for k in sorted(x, key=lambda s: s.encode("utf-16-be"))}
        return [sort(y) for y in x] if isinstance(x, list) else x

    again = json.dumps(sort(v), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    check(again == line, "not canonical")
    return v


def b64(s, n=None):
    try:
        raw = base64.b64decode(s, validate=True)
    except ValueError:
        raise Bad("base64")
    check(base64.b64encode(raw).decode() == s, "base64 spelling")
    check(n is None or len(raw) == n, "base64 length")
    return raw


def openssl_verify(pk, msg, sig):
    der = bytes.fromhex("302a300506032b6570032100") + pk
    with tempfile.TemporaryDirectory() as d:
        for name, data in (("k", der), ("m", msg), ("s", sig)):
            with open(os.path.join(d, name), "wb") as f:
                f.write(data)
        return subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", d + "/k",
             "-rawin", "-in", d + "/m", "-sigfile", d + "/s"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def key_id(name, pk):
    return h(name.encode() + b"\n\1" + pk)[:4]


class Note:
    def __init__(self, text):
        head, sep, tail = text.rpartition("\n\n")
        check(sep and tail.endswith("\n"), "note form")
        self.body = head + "\n"
        self.sigs = {}
        for line in tail[:-1].split("\n"):
            check(line.startswith("\u2014 "), "signature line")
            name, _, sig = line[2:].partition(" ")
            raw = b64(sig)
            check(len(raw) > 4 and (name, raw[:4]) not in self.sigs, "signature")
            self.sigs[(name, raw[:4])] = raw[4:]
        parts = self.body.split("\n")
        check(len(parts) == 4 and re.fullmatch("0|[1-9][0-9]*", parts[1]), "checkpoint")
        self.origin, self.size, self.root = parts[0], int(parts[1]), b64(parts[2], 32)

    def signed(self, name, pk):
        sig = self.sigs.get((name, key_id(name, pk)))
        check(sig is not None, "no signature by " + name)
        check(openssl_verify(pk, self.body.encode(), sig), "signature of " + name)


class Log:
    def __init__(self, pin):
        name, _, rest = pin.strip().partition("+")
        kid, _, key = rest.partition("+")
        raw = b64(key, 33)
        check(raw[0] == 1 and key_id(name, raw[1:]).hex() == kid, "vkey")
        self.origin, self.pin = name, raw[1:]
        self.node, self.trees, self.prev, self.seq = Tree(), {}, {}, {}
        self.keys, self.closed = {}, set()
        self.expect = None
        self.commits, self.mono, self.drop = 0, 0, {"full": 0, "rate": 0, "ringbuf": 0}
        self.batch = []
        self.owed = set()

    def record(self, line):
        check(len(line) <= 16384, "long line")
        r = canonical(line)
        check(list(r) == ["brane", "data", "kind", "mono", "prev", "seq", "time", "v"], "envelope")
        check(r["v"] == 1 and isinstance(r["data"], dict), "version")
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r["time"]), "time")
        b = r["brane"]
        check(b not in self.closed, "closed brane")
        if b not in self.seq:
            check(r["kind"] == "log.open", "first record")
            self.seq[b], self.prev[b], self.trees[b] = 0, bytes(32), Tree()
        check(r["seq"] == self.seq[b] and b64(r["prev"], 32) == self.prev[b], "chain")
        check(r["mono"] >= self.mono or (b == "@node" and r["kind"] == "boot"), "clock")
        self.mono = r["mono"]
        x = leaf(line)
        self.seq[b] += 1
        self.prev[b] = x
        self.batch.append((b, r, x))
        self.meaning(b, r)

    def meaning(self, b, r):
        kind, data = r["kind"], r["data"]
        if b == "@node":
            if kind == "boot" or (kind == "log.open" and self.expect is None):
                self.expect = b64(data["key"], 32)
            elif kind == "log.open":
                check(b64(data["key"], 32) == self.expect, "log.open key")
        elif kind in ("log.open", "key.brane"):
            self.keys[b] = b64(data["key"], 32)
        elif kind == "log.close":
            self.closed.add(b)
            self.owed.add(b)

    def note(self, text):
        n = Note(text)
        if n.origin != self.origin:
            check(not self.batch and n.origin.startswith(self.origin + "/brane/"), "brane note")
            b = n.origin[len(self.origin) + 7:]
            check(b in self.keys and n.size == self.trees[b].size
                  and n.root == self.trees[b].root(), "brane tree")
            n.signed(self.origin, self.pin)
            n.signed(n.origin, self.keys[b])
            self.owed.discard(b)
            return
        self.commit(n)

    def commit(self, n):
        check(self.batch, "note without batch")
        recovered = any(b == "@node" and r["kind"] == "recover" for b, r, _ in self.batch)
        owed_now = {b for b, r, _ in self.batch if r["kind"] == "log.close" and b != "@node"}
        check(recovered or not self.owed - owed_now, "final note")
        if recovered:
            self.owed = set()
        b, r, _ = self.batch[-1]
        check(b == "@node" and r["kind"] == "commit", "commit")
        check(sum(1 for b, r, _ in self.batch if b == "@node" and r["kind"] == "commit") == 1,
              "one commit")
        c = r["data"]
        check(list(c) == ["drop", "heads", "n", "next", "nheads"], "commit data")
        touched = set()
        for b, _, x in self.batch:
            self.node.add(x)
            self.trees[b].add(x)
            if b != "@node":
                touched.add(b)
        check(n.size == self.node.size and n.root == self.node.root(), "node tree")
        heads = Tree()
        for b in sorted(touched, key=lambda s: s.encode()):
            heads.add(leaf(("%s/brane/%s\n%d\n%s\n" % (
                self.origin, b, self.trees[b].size,
                base64.b64encode(self.trees[b].root()).decode())).encode()))
        check(c["n"] == len(self.batch) - 1 and c["nheads"] == len(touched)
              and b64(c["heads"], 32) == heads.root(), "heads")
        for k in self.drop:
            check(c["drop"][k] >= self.drop[k], "drop")
        self.drop = c["drop"]
        n.signed(self.origin, self.pin)
        n.signed("%s/c%d" % (self.origin, self.commits), self.expect)
        self.expect = b64(c["next"], 32)
        self.commits += 1
        self.batch = []

    def header(self, line, first):
        s = canonical(line)["seg"]
        check(s["first"] == first == self.node.size and s["origin"] == self.origin, "segment")
        check([b64(x[1], 32) for x in s["frontier"]] == [x[1] for x in self.node.stack],
              "frontier")
        check(s["commits"] == self.commits and s["drop"] == self.drop
              and s["mono"] == self.mono, "header state")
        check(s["next"] == base64.b64encode(self.expect if self.commits else bytes(32)).decode(),
              "header key")
        live = {b for b in self.seq if b not in self.closed} | {"@node"}
        check(set(s["branes"]) == live, "header branes")
        for b, (size, front, prev, _) in s["branes"].items():
            t = self.trees.get(b, Tree())
            check(size == t.size and b64(prev, 32) == self.prev.get(b, bytes(32))
                  and [b64(x[1], 32) for x in front] == [x[1] for x in t.stack], "header brane")


def segment(log, path, first, final):
    with open(path, "rb") as f:
        data = f.read()
    end = len(data.rstrip(b"\0"))
    check(final or end == len(data), "zeros in a sealed segment")
    lines = data[:end].split(b"\n")
    tail = lines.pop()
    check(not tail or final, "tail")
    log.header(lines[0], first)
    for line in lines[1:]:
        if line.startswith(b'{"note":'):
            log.note(canonical(line)["note"])
        else:
            log.record(line)
    check(final or not log.batch, "lines without a note")


def main():
    if len(sys.argv) != 3:
        return 2
    try:
        with open(sys.argv[2]) as f:
            log = Log(f.read())
        stream = os.path.join(sys.argv[1], "stream")
        names = sorted(n for n in os.listdir(stream) if re.fullmatch(r"\d{12}\.log", n))
        check(names, "no segments")
        for n in names:
            segment(log, os.path.join(stream, n), int(n[:12]), n == names[-1])
    except (Bad, KeyError, TypeError, AttributeError, ValueError, UnicodeError) as e:
        print("tampered: %s" % e)
        return 1
    print("intact: %d leaves, %d commits" % (log.node.size, log.commits))
    return 0


if __name__ == "__main__":
    sys.exit(main())
