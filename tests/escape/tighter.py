"""A try that is stopped half-way while its brane's policy is tightened.

In:   a try that names a swap (ESC_SWAP_*, tests/escape/lib/escape.h), the matrix's own helpers. Out: how it
      ended. Called by: tests/escape/matrix.py. Each has a brane of its own, since its policy changes.
"""
import glob


def alive(comm):
    """Whether any task of the host bears the name that the try gave itself."""
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path) as f:
                if f.read().strip() == comm:
                    return True
        except OSError:
            pass
    return False


class Held:
    def __init__(self, matrix, agent, scene, t, prefix):
        self.matrix, self.t = matrix, t
        name = "%s-%s" % (prefix, t.comm.replace(".", "-"))
        self.brane = brane = matrix.Brane(agent, scene, name, t.swap)
        program = scene.take(t.program)
        top = scene.prepare("%s-%s" % (name, t.comm))
        brane.doing = t.id
        brane.send("run", program, "try=" + t.name, "stop=1",
                   *matrix.scene_words(scene, agent, name, top, brane.write, "inside", program))
        line = brane.answer()
        self.ended = None if line == "stopped\n" else line
        brane.grants = t.swap + "-tight"
        agent.apply(brane.manifest())
        self.killed = not self.ended and not alive(t.comm)
        brane.before = brane.now()

    def finish(self):
        """The second half: (word, why)."""
        brane = self.brane
        if self.ended:
            return "broken", "it ended before the change: %s %s" % (self.ended.strip(), brane.said())
        if self.killed:
            return "stopped", "SIGKILL"
        brane.send("go")
        line = brane.answer()
        return self.matrix.outcome(int(line) if line else None, brane.said())
