"""What a disk may hold after a power cut: replays the log of t/fault/inject.c up to an instant and lays out states that could be found afterwards.

Relied on is what ext4, XFS and btrfs give, and no more: once fsync of a file has returned, its octets and size are durable as they were when it was called, and so are the names that
it was given before, with the folders above. fsync of a folder makes the names in it durable. All else is lost, kept, or half kept, each object by itself and in any order:
weaker than a journal, which keeps the order of what concerns names. rename and unlink happen or do not; the changes of one object's names keep their order."""
import os, pathlib, struct

HEADER = struct.Struct("<IIII Q QQQ Q III III".replace(" ", ""))
MAGIC = 0x314C4654
CREATE, MKDIR, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RANGE, RENAME, LINK, UNLINK, ATTRIBUTES, ACKNOWLEDGED = range(1, 13)
SECTOR = 512


class Record:
    __slots__ = ("pid", "kind", "inode", "parent", "parent2", "offset", "mode", "uid", "gid", "name", "name2", "data")


def read_log(octets):
    """The records of a log; one that a dying process left unfinished ends it."""
    at = 0
    while at + HEADER.size <= len(octets):
        r = Record()
        magic, size, r.pid, r.kind, _, r.inode, r.parent, r.parent2, r.offset, r.mode, r.uid, r.gid, name_n, name2_n, data_n = HEADER.unpack_from(octets, at)
        assert magic == MAGIC, f"the log is broken at {at}"
        if at + size > len(octets):
            return
        rest = octets[at + HEADER.size : at + size]
        r.name, r.name2, r.data = rest[:name_n].decode(), rest[name_n : name_n + name2_n].decode(), bytes(rest[name_n + name2_n :])
        yield r
        at += size


def acknowledge(log, text):
    """Notes in the log that a message was acknowledged: from here on it must survive. For a client, right after the reply."""
    data = text.encode()
    with open(log, "ab", buffering=0) as f:
        f.write(HEADER.pack(MAGIC, HEADER.size + len(data), os.getpid(), ACKNOWLEDGED, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, len(data)) + data)


class Object:
    """A file or folder, from its creation on: what was done to its names and its octets, and how much of either is durable."""

    def __init__(self, mode, uid, gid):
        self.mode, self.uid, self.gid = mode, uid, gid
        self.names, self.data = [], []
        self.durable_names = self.durable_data = 0

    def names_after(self, k):
        found = set()
        for added, removed in self.names[:k]:
            found -= removed
            found |= added
        return found

    def parents(self):
        return {p for added, removed in self.names for p, _ in added | removed}


def put(content, offset, octets):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(octets)] = octets


class Disk:
    def __init__(self, roots, ignore_sync=False):
        """roots: label -> folder, as they are now and all durable. ignore_sync is for showing that the states can tell: as if nobody ever called fsync."""
        self.ignore_sync = ignore_sync
        self.objects, self.current, self.roots, self.acknowledged, self.pending = [], {}, {}, [], {}
        for label, folder in roots.items():
            self.roots[label] = self._scan(pathlib.Path(folder))

    def _object(self, inode, mode, uid, gid):
        o = self.current[inode] = Object(mode, uid, gid)
        self.objects.append(o)
        return o

    def _scan(self, path):
        st = path.lstat()
        o = self._object(st.st_ino, st.st_mode, st.st_uid, st.st_gid)
        if path.is_dir():
            for entry in sorted(path.iterdir()):
                if not entry.is_symlink() and (entry.is_dir() or entry.is_file()):
                    child = self._scan(entry)
                    child.names.append(({(o, entry.name)}, set()))
                    child.durable_names = 1
        else:
            o.data, o.durable_data = [("write", 0, path.read_bytes())], 1
        return o

    # -- one operation after the other

    def apply(self, r):
        if r.kind == ACKNOWLEDGED:
            self.acknowledged.append(r.data.decode())
        elif r.kind in (CREATE, MKDIR):
            if r.parent in self.current:
                self._object(r.inode, r.mode, r.uid, r.gid).names.append(({(self.current[r.parent], r.name)}, set()))
            else:
                self.current.pop(r.inode, None)
        elif o := self.current.get(r.inode):
            self._change(o, r)

    def _change(self, o, r):
        place = (self.current.get(r.parent), r.name)
        if r.kind == WRITE:
            o.data.append(("write", r.offset, r.data))
        elif r.kind == TRUNCATE:
            o.data.append(("truncate", r.offset, b""))
        elif r.kind == RENAME:
            o.names.append(({(self.current.get(r.parent2), r.name2)}, {place}))
        elif r.kind == LINK:
            o.names.append(({place}, set()))
        elif r.kind == UNLINK:
            o.names.append((set(), {place}))
        elif r.kind == ATTRIBUTES:
            o.mode, o.uid, o.gid = r.mode, r.uid, r.gid
        elif r.kind == SYNC_BEGIN:
            self.pending.setdefault((r.pid, r.inode), []).append(self._would_be_durable(o))
        elif r.kind == SYNC_END and not self.ignore_sync:
            for obj, n_names, n_data in self.pending[r.pid, r.inode].pop(0):
                obj.durable_names = max(obj.durable_names, n_names)
                obj.durable_data = max(obj.durable_data, n_data)

    def _would_be_durable(self, o):
        found, above = [(o, len(o.names), len(o.data))], {p for p, _ in o.names_after(len(o.names)) if p}
        while above:
            p = above.pop()
            found.append((p, len(p.names), 0))
            above |= {q for q, _ in p.names_after(len(p.names)) if q}
        if o.mode & 0o170000 == 0o040000:
            for child in self.objects:
                in_it = [i + 1 for i, (added, removed) in enumerate(child.names) if any(p is o for p, _ in added | removed)]
                if in_it:
                    found.append((child, in_it[-1], 0))
        return found

    # -- what may be found

    VARIANTS = ("none", "all", "zeros", "stale", "names-lost", "sizes-lost")

    def states(self, rng, n_random, variants=VARIANTS):
        """(name, state) of each variant, and of so many random mixtures. A state is path -> (Object, octets or None for a folder)."""
        for variant in variants:
            yield variant, self._state(variant, rng)
        for i in range(n_random):
            yield f"random {i}", self._state("random", rng)

    def _state(self, variant, rng):
        kept = {}
        for o in self.objects:
            k = rng.randint(o.durable_names, len(o.names)) if variant == "random" else o.durable_names if variant in ("none", "names-lost") else len(o.names)
            for place in o.names_after(k):
                kept[place] = o
        children = {}
        for (parent, name), o in kept.items():
            children.setdefault(parent, []).append((name, o))
        state = {}
        for label, root in self.roots.items():
            self._walk(state, children, label, root, variant, rng)
        return state

    def _walk(self, state, children, path, o, variant, rng):
        if o.mode & 0o170000 != 0o040000:
            state[path] = (o, self._content(o, variant, rng))
            return
        state[path] = (o, None)
        for name, child in children.get(o, ()):
            self._walk(state, children, f"{path}/{name}", child, variant, rng)

    def _content(self, o, variant, rng):
        content = bytearray()
        for i, (kind, offset, octets) in enumerate(o.data):
            how = "present" if i < o.durable_data else {"none": "absent", "sizes-lost": "absent", "zeros": "zeros", "stale": "stale", "random": None}.get(variant, "present")
            if how is None:
                how = rng.choice(("absent", "zeros", "stale", "present", "sectors"))
            if kind == "truncate":
                if how == "present" or (how == "sectors" and rng.random() < 0.5):
                    put(content, offset, b"")
                    del content[offset:]
            else:
                self._write(o, content, offset, octets, how, rng)
        return bytes(content)

    def _write(self, o, content, offset, octets, how, rng):
        if how == "present":
            put(content, offset, octets)
        elif how == "zeros":
            put(content, max(len(content), offset + len(octets)), b"")
        elif how == "stale":
            put(content, offset, self._stale(o, offset, len(octets), rng))
        elif how == "sectors":
            at = 0
            while at < len(octets):
                n = min(SECTOR - (offset + at) % SECTOR, len(octets) - at)
                self._write(o, content, offset + at, octets[at : at + n], rng.choice(("absent", "zeros", "stale", "present", "present")), rng)
                at += n

    def _stale(self, o, offset, n, rng):
        """What stood in those blocks before: the octets of another file, from the same place where it has some."""
        for _ in range(8):
            kind, start, octets = rng.choice(rng.choice(self.objects).data or [("", 0, b"")])
            if kind == "write" and octets:
                rest = octets[offset - start :] if start <= offset < start + len(octets) else octets
                return (rest * (n // len(rest) + 1))[:n]
        return b"\xff" * n


def lay_out(state, folder, keep=lambda path: True):
    """Makes the files of a state below folder (label -> folder/label)."""
    folder = pathlib.Path(folder)
    for path, (o, octets) in state.items():
        if not keep(path):
            continue
        to = folder / path
        if octets is None:
            to.mkdir(parents=True, exist_ok=True)
        else:
            to.write_bytes(octets)
        if os.geteuid() == 0:
            os.chown(to, o.uid, o.gid)
        to.chmod(o.mode & 0o7777)
