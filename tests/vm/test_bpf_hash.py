#!/usr/bin/python3
"""exec with sha256: a file runs with a content that the manifest names, and with no other, however it is tried.

In:   OMEGA_BUILD. Out: TAP. Called by: make check, in the VM. A workload (tests/helpers/content.c) tries every
way to turn a file into code; between the tries this test changes files from outside. What is denied is not
reached and leaves exactly one record. Never asserts on time.
"""
import errno
import hashlib
import json
import mmap
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "util"))
from omegad import BUILD, Agent, Refused, check, done, skip_all, until  # noqa: E402

LIBS = "/usr/lib/x86_64-linux-gnu/"
LDSO = "/usr/lib64/ld-linux-x86-64.so.2"
HELPER = BUILD + "/tests/helpers/content"


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Lab:
    """A brane with a workload that takes orders, and the files that it is ordered to run."""

    def __init__(self, agent, name, mode="enforce"):
        self.a, self.name, self.mode = agent, name, mode
        self.dir = agent.dir + "/" + name
        self.n = 0
        os.mkdir(self.dir, 0o755)
        for file, source in (("prog", HELPER), ("prog-two", HELPER), ("true", "/usr/bin/true"),
                             ("lib.so", LIBS + "libz.so.1"), ("runner", HELPER), ("marker", "/usr/bin/true")):
            self.put(file, source)
        with open(self.at("script"), "w") as f:
            f.write("#!/usr/bin/bash\necho ran\n")
        os.chmod(self.at("script"), 0o755)
        with open(self.at("prog-two"), "ab") as f:
            f.write(b"two")
        self.bound = {self.at(f): [sha(self.at(f))] for f in ("prog", "true", "lib.so", "script")}
        self.bound[self.at("prog-two")] = [sha(self.at("prog")), sha(self.at("prog-two"))]

    def at(self, file):
        return self.dir + "/" + file

    def put(self, file, source):
        shutil.copyfile(source, self.at(file))
        os.chmod(self.at(file), 0o755)

    def manifest(self):
        runs = [json.dumps(p) for p in (self.at("runner"), "/usr/bin/bash", "/usr/bin/cat", LIBS, LDSO)]
        runs += ["{ path = %s, sha256 = %s }" % (json.dumps(p), json.dumps(d)) for p, d in self.bound.items()]
        return ("[brane.%s]\nimage = \"host:\"\nmode = \"%s\"\ncommand = %s\n[brane.%s.filesystem]\nread = %s\nexec = [\n"
                "  %s\n]\n[brane.%s.stdio]\nout = true\nerr = true\n" % (
                    self.name, self.mode, json.dumps([self.at("runner"), self.at("order")]), self.name,
                    json.dumps([self.dir + "/", "/etc/ld.so.cache", "/dev/null"]), ",\n  ".join(runs), self.name))

    def line_of(self, path):
        return 1 + [i for i, line in enumerate(self.manifest().splitlines()) if '"%s", sha256' % path in line][0]

    def start(self):
        with open(self.at("order"), "w") as f:
            f.write("0 none\n")
        got = self.a.apply(self.manifest())
        self.seen = len(self.denials())
        return got

    def denials(self):
        """Records about the files here, audit mode's too."""
        return [e for e in self.a.events("--brane", self.name)
                if e["what"] == "file.exec" and e["verdict"] in ("denied", "audit")]

    def order(self, verb, file=""):
        """What the workload says to VERB on FILE: its last word, and what came before."""
        self.n += 1
        before = len(self.a.output(self.name))
        with open(self.at("next"), "w") as f:
            f.write("%d %s %s\n" % (self.n, verb, file if file.startswith("/") or not file else self.at(file)))
        os.rename(self.at("next"), self.at("order"))
        mark = "\n%d " % self.n
        until(lambda: mark in "\n" + self.a.output(self.name)[before:] and self.a.output(self.name).endswith("\n"), 20)
        text = "\n" + self.a.output(self.name)[before:]
        said, _, last = text.partition(mark)
        return (int(last.split()[0]) if last.split() else -1), said

    def runs(self, what, verb, file="", word="ran"):
        ret, said = self.order(verb, file)
        good = check("runs: " + what, ret == 0 and word in said and "cannot be preloaded" not in said and "failed to map" not in said, ret, said)
        self.quiet(what)
        return good

    def quiet(self, what):
        """Nothing was recorded: asked behind a denial of something else, which is in order behind it."""
        self.order("exec", "marker")
        until(lambda: len(self.denials()) > self.seen, 20)
        new = self.denials()[self.seen:]
        check("  and leaves no record", len(new) == 1 and new[0]["object"].endswith("/marker"), new)
        self.seen += len(new)

    def denied(self, what, verb, file="", obj=None, why=None, errnos=(errno.EACCES,), word=None, sha256=None):
        ret, said = self.order(verb, file)
        reached = "ran" in said.split() if word is None else word not in said
        check("denied: " + what, not reached and (ret in errnos or word is not None), ret, said)
        return self.one("  and leaves one record", obj or self.at(file), why, sha256)

    def one(self, what, obj, why, sha256):
        self.order("exec", "marker")
        until(lambda: any(e["object"].endswith("/marker") for e in self.denials()[self.seen:]), 20)
        new = self.denials()[self.seen:]
        self.seen += len(new)
        mine = [e for e in new if not e["object"].endswith("/marker")]
        e = mine[0] if mine else {"object": "", "data": {}}
        check(what, len(mine) == 1 and obj in e["object"] and e["data"].get("why") == why
              and (sha256 is None or e["data"].get("sha256") == sha256), new)
        return e


def change(path, text=b"x"):
    """In place: the same object with another content."""
    with open(path, "ab") as f:
        f.write(text)


def in_place(lab):
    good = open(lab.at("prog"), "rb").read()
    lab.runs("the program as it was when it was granted", "exec", "prog")
    lab.runs("a program with two contents, the second of them", "exec", "prog-two")
    lab.put("prog-two", HELPER)
    lab.runs("the first", "exec", "prog-two")
    change(lab.at("prog"))
    e = lab.denied("changed in place, after it ran", "exec", "prog", why="other-content", sha256=sha(lab.at("prog")))
    want = '[brane.%s.filesystem] exec = [{ path = "%s", sha256 = ["%s"] }]' % (
        lab.name, lab.at("prog"), sha(lab.at("prog")))
    check("  with the line that would grant this content", e.get("grant") == want, e, want)
    said = lab.a.ctl("events", "--brane", lab.name, "--denials")[1]
    check("  and the digest in the text", "other-content, sha256:" + sha(lab.at("prog")) in said, said[-2000:])
    with open(lab.at("prog"), "r+b") as f:
        f.write(good)
        f.truncate(len(good))
    lab.runs("the same content again", "exec", "prog")
    # One byte in the middle, size and times as before.
    st = os.stat(lab.at("prog"))
    with open(lab.at("prog"), "r+b") as f:
        f.seek(len(good) // 2)
        f.write(bytes([good[len(good) // 2] ^ 1]))
    os.utime(lab.at("prog"), ns=(st.st_atime_ns, st.st_mtime_ns))
    lab.denied("one bit changed, size and times the same", "exec", "prog", why="other-content")
    with open(lab.at("prog"), "r+b") as f:
        f.write(good)
    lab.runs("and back", "exec", "prog")


def names(lab):
    lab.put("copy", lab.at("prog"))
    lab.denied("a copy under another name", "exec", "copy")
    os.link(lab.at("prog"), lab.at("prog-link"))
    lab.runs("the same object under another name: a hard link", "exec", "prog-link")
    os.unlink(lab.at("prog-link"))
    os.rename(lab.at("prog"), lab.at("prog-moved"))
    lab.runs("renamed", "exec", "prog-moved")
    os.rename(lab.at("copy"), lab.at("prog"))
    lab.denied("another file renamed to its place, though of the same content", "exec", "prog")
    os.rename(lab.at("prog-moved"), lab.at("prog"))
    lab.runs("back in its place", "exec", "prog")
    change(lab.at("prog-two"))
    os.link(lab.at("prog-two"), lab.at("prog-other"))
    lab.denied("changed, under another name", "exec", "prog-other", why="other-content")
    lab.put("prog-two", HELPER)


def ways(lab):
    lab.runs("a script", "exec", "script")
    change(lab.at("script"), b"echo more\n")
    lab.denied("a changed script", "exec", "script", why="other-content")
    lab.runs("ld.so FILE", "ldso", "true", "status 0")
    lab.runs("LD_PRELOAD of the library", "preload", "lib.so", "status 0")
    lab.runs("dlopen of the library", "dlopen", "lib.so", "nothing_struct")
    lab.runs("a mapping", "map", "lib.so", "")
    change(lab.at("true"))
    lab.denied("ld.so FILE, changed", "ldso", "true", why="other-content", word="failed to map segment")
    lab.denied("the same by execve", "exec", "true", why="other-content")
    change(lab.at("lib.so"))
    lab.denied("LD_PRELOAD of a changed library", "preload", "lib.so", why="other-content", word="cannot be preloaded")
    lab.denied("dlopen of a changed library", "dlopen", "lib.so", why="other-content", word="failed to map segment")
    lab.denied("a mapping of a changed library", "map", "lib.so", why="other-content")
    lab.denied("a shared mapping of it", "share", "lib.so", why="other-content")
    lab.denied("memfd and fexecve of a good copy", "memfd", "prog", obj="/")
    lab.order("keep", "prog")
    lab.runs("execveat of an O_PATH descriptor", "fexec")
    change(lab.at("prog"))
    lab.denied("the same descriptor, the file changed since", "fexec", obj=lab.at("prog"), why="other-content")


def writers(lab):
    """Who could change it later: open for writing, and shared writable mappings."""
    good = open(lab.at("lib.so"), "rb").read()
    with open(lab.at("lib.so"), "r+b") as f:
        lab.denied("good content, but open for writing", "map", "lib.so", why="open-for-writing")
        m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_WRITE)
    lab.denied("good content, but mapped shared and writable", "map", "lib.so", why="open-for-writing")
    e = lab.denied("LD_PRELOAD of it", "preload", "lib.so", why="open-for-writing", word="cannot be preloaded")
    check("  for which no line is suggested", not e.get("grant"), e)
    ret, said = lab.order("exec", "prog")
    check("a program that nobody writes still runs", ret == 0 and "ran" in said, ret, said)
    m[len(good) // 2] = good[len(good) // 2] ^ 1
    m.close()
    lab.denied("changed through the mapping, never written to", "map", "lib.so", why="other-content")
    with open(lab.at("lib.so"), "r+b") as f:
        f.write(good)
    lab.runs("and back", "map", "lib.so", "")
    # The kernel itself refuses to execute what is open for writing, before any hook.
    with open(lab.at("prog"), "r+b"):
        ret, said = lab.order("exec", "prog")
        check("execve of what is open for writing", ret in (errno.ETXTBSY, errno.EACCES) and "ran" not in said, ret, said)
    lab.seen = len(lab.denials())


def refused(a, text):
    try:
        a.apply(text)
        return {}
    except Refused as e:
        return e.info


def applies(a):
    lab = Lab(a, "wrong")
    change(lab.at("prog"))
    info = refused(a, lab.manifest())
    text = info.get("text", "")
    check("apply of a wrong digest fails with exit 3", info.get("exit") == 3, info)
    check("  and names both digests, path and line", all(t in text for t in (
        sha(lab.at("prog")), lab.bound[lab.at("prog")][0], lab.at("prog"), "line %d" % lab.line_of(lab.at("prog")))), info)
    check("  and leaves nothing", not a.left("wrong"), a.left("wrong"))
    os.unlink(lab.at("prog"))
    os.mkfifo(lab.at("prog"))
    info = refused(a, lab.manifest())
    check("a FIFO in its place: refused, not waited for", info.get("exit") == 3 and "cannot be read" in info.get("text", ""), info)
    os.unlink(lab.at("prog"))
    lab.put("prog", HELPER)
    os.link(lab.at("prog"), lab.at("prog-again"))
    lab.bound[lab.at("prog-again")] = lab.bound[lab.at("prog")]
    info = refused(a, lab.manifest())
    check("one file under two entries with sha256: refused", "lead to one file" in info.get("text", ""), info)


def changes(a, lab):
    """A new policy, a new agent, audit mode."""
    change(lab.at("prog"), b"new")
    lab.denied("a content that is not named yet", "exec", "prog", why="other-content")
    lab.bound[lab.at("prog")].append(sha(lab.at("prog")))
    got = a.apply(lab.manifest())
    check("a change of the manifest that names it: no new workload", got[0]["change"] == "configured", got)
    lab.runs("the content that is named now", "exec", "prog")
    a.stop(9)
    lab.n += 1
    change(lab.at("prog"), b"dead")
    with open(lab.at("next"), "w") as f:
        f.write("%d exec %s\n" % (lab.n, lab.at("prog")))
    os.rename(lab.at("next"), lab.at("order"))
    until(lambda: "\n%d " % lab.n in a.output(lab.name))
    check("denied while no agent lives", "\n%d %d\n" % (lab.n, errno.EACCES) in a.output(lab.name), a.output(lab.name)[-300:])
    a.start()
    lab.one("  and in the log when it is back", lab.at("prog"), "other-content", sha(lab.at("prog")))
    check("adopted, not tampered", a.branes()[lab.name]["state"] == "running", a.branes())


def audit(a):
    lab = Lab(a, "audit", "audit")
    lab.start()
    change(lab.at("prog"))
    ret, said = lab.order("exec", "prog")
    check("audit mode: a changed program runs", ret == 0 and "ran" in said, ret, said)
    e = lab.one("  and leaves one record", lab.at("prog"), "other-content", sha(lab.at("prog")))
    check("  that says so", e.get("verdict") == "audit", e)


def main():
    if os.geteuid():
        skip_all("not root")
    a = Agent().start()
    if "kernel" not in a.call("Observe.Version").get("layers", ["kernel"]):
        a.close()
        skip_all("no BPF-LSM here")
    applies(a)
    for part in (in_place, names, ways, writers):
        lab = Lab(a, part.__name__.replace("_", "-"))
        lab.start()
        part(lab)
        a.ctl("delete", lab.name)
    lab = Lab(a, "changes")
    lab.start()
    changes(a, lab)
    audit(a)
    code, out, err = a.verify()
    check("the log holds together", "all signatures valid" in out and "✗" not in out, out, err)
    a.close()
    done()


main()
