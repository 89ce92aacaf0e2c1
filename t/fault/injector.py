"""The control file of t/fault/inject.c: which call of which program is to be met, and how. It can be changed while the programs run."""
import errno, mmap, os, pathlib, struct, subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TASSIS_BUILD", TOP / ".check" / "gcc" / "build"))
ALL = os.environ.get("FAULT_ALL") == "1"
INJECT, SPOOL_WAY = BUILD / "t/fault/inject.so", BUILD / "t/fault/spool_way"

SIZE, SLOT = 4096, struct.Struct("<32sQQQII")
KINDS = {"kill-before": (1, 0), "kill-after": (2, 0), "EIO": (3, errno.EIO), "ENOSPC": (3, errno.ENOSPC), "peer-lost": (4, 0)}


def build():
    """Makes the library and the program where they are missing; ./check has made them, with flags of its own."""
    if not (INJECT.exists() and SPOOL_WAY.exists()):
        subprocess.run(["make", "-s", "-C", TOP, f"BUILD={BUILD}", INJECT, SPOOL_WAY], check=True)


class Injector:
    """Counts the calls of the named programs; at(program, n, kind) arms the n-th from now on."""

    def __init__(self, folder, programs):
        self.path = pathlib.Path(folder) / "control"
        self.path.write_bytes(b"".join(p.encode().ljust(SLOT.size, b"\0") for p in programs).ljust(SIZE, b"\0"))
        self.path.chmod(0o666)
        self.slots = {p: i * SLOT.size for i, p in enumerate(programs)}
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), SIZE)

    def environment(self):
        return {"LD_PRELOAD": str(INJECT), "TASSIS_FAULT_CONTROL": str(self.path), "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}

    def _field(self, program, offset, value=None, code="<Q"):
        at = self.slots[program] + offset
        if value is not None:
            struct.pack_into(code, self.map, at, value)
        return struct.unpack_from(code, self.map, at)[0]

    def count(self, program):
        return self._field(program, 32)

    def at(self, program, n, kind):
        """Arms the n-th call from now on; EIO and ENOSPC wait for the next call on a file, peer-lost for one on a socket."""
        code, error = KINDS[kind]
        self._field(program, 48, 0)
        self._field(program, 56, code, "<I")
        self._field(program, 60, error, "<I")
        self._field(program, 40, self.count(program) + n)

    def disarm(self, program):
        self._field(program, 40, 0)

    def fired(self, program):
        """Whether the armed call was met."""
        return self._field(program, 48) != 0

    def close(self):
        self.map.close()
