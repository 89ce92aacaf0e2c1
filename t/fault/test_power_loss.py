"""The power goes at every instant of a log of what was done to the disk; of what was not durable, all, nothing, or any part is found afterwards (t/fault/power.py). What was
acknowledged before that instant must be there."""
import os, random, shutil

import pytest

import power, spool_way, system
from injector import ALL, INJECT

MESSAGES = 10


def preload(log, *programs):
    return {"LD_PRELOAD": str(INJECT), "TASSIS_FAULT_LOG": str(log), "TASSIS_FAULT_PROGRAMS": ":".join(programs),
            "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}


def new_log(folder):
    log = folder / "log"
    log.touch()
    log.chmod(0o666)
    return log


@pytest.fixture(scope="module")
def spool_log(tmp_path_factory):
    """Messages written once, with a log of it; (records, the folder's name in states, the folder)."""
    folder = tmp_path_factory.mktemp("log")
    spool, log = folder / "spool", new_log(folder)
    spool.mkdir()
    acknowledged, done = spool_way.write(spool, MESSAGES, 1, {**os.environ, **preload(log, "spool_way")})
    assert done.returncode == 0 and len(acknowledged) == MESSAGES
    records = list(power.read_log(log.read_bytes()))
    assert [r.data.decode() for r in records if r.kind == power.ACKNOWLEDGED] == acknowledged
    return records, spool


def empty_disk(spool, ignore_sync=False):
    """The folder's object, without what was made in it later."""
    disk = power.Disk({}, ignore_sync)
    st = spool.stat()
    disk.roots["spool"] = disk._object(st.st_ino, st.st_mode, st.st_uid, st.st_gid)
    return disk


def check_states(disk, rng, n_random, folder, variants=power.Disk.VARIANTS):
    """Lays out the states of this instant; (how many, what is wrong with them)."""
    names, faults = [], []
    for name, state in disk.states(rng, n_random, variants):
        power.lay_out(state, folder / name.replace(" ", "-"))
        names.append(name)
    found = spool_way.check(*(folder / n.replace(" ", "-") / "spool" for n in names))
    for name, one in zip(names, found.values()):
        faults += [f"{name}: {f}" for f in spool_way.faults_of(disk.acknowledged, one)]
    shutil.rmtree(folder)
    return len(names), faults


def replay(records, spool, folder, n_random, every=1, **options):
    disk, rng, n, faults = empty_disk(spool, **options), random.Random(1764088515), 0, []
    for i, r in enumerate(records):
        disk.apply(r)
        if i % every and r.kind != power.ACKNOWLEDGED:
            continue
        made, wrong = check_states(disk, rng, n_random, folder / "states")
        n += made
        faults += [f"after record {i}: {f}" for f in wrong]
    return n, faults


def test_spool_keeps_what_it_acknowledged_through_a_power_cut_at_every_instant(spool_log, tmp_path):
    n, faults = replay(*spool_log, tmp_path, 40 if ALL else 2, 1 if ALL else 3)
    assert not faults, faults[:10]
    print(f"spool: {n} states after a power cut, none lost")


def test_replay_finds_the_loss_in_a_spool_that_never_syncs(spool_log, tmp_path):
    """So that a replay that finds nothing means something."""
    _, faults = replay(*spool_log, tmp_path, 1, 20, ignore_sync=True)
    assert any("is gone" in f for f in faults) and any("is uncommitted" in f for f in faults)


# ---- the whole system

WRITERS = ("master", "smtpd", "queued", "deliverd-local")


class Taken(list):
    """What the far end took, noted in the log at that instant: it keeps it, for a power cut is this host's."""

    log = None

    def append(self, message):
        super().append(message)
        power.acknowledge(self.log, "far")


def one_log(ways, tassis, folder, n):
    """n messages the whole way, with a log; gives the records, and the disk as it was before: as it is, and as if nobody called fsync."""
    log = new_log(folder)
    tassis.stop()
    disks = [power.Disk({"spool": tassis.spool, "mail": tassis.mail}, ignore_sync) for ignore_sync in (False, True)]
    ways.far.messages = Taken()
    ways.far.messages.log = log
    tassis.preload = preload(log, *WRITERS)
    tassis.start()
    for _ in range(n):
        mark, acknowledged = ways.send()
        assert acknowledged
        power.acknowledge(log, mark)
    ways.wait()
    tassis.wait_queue_empty()
    tassis.kill_all()
    tassis.preload = {}
    return list(power.read_log(log.read_bytes())), *disks


def start_on(state, disk, tassis, ways, taken, seconds=90):
    """Starts tassis on a state of the disk; what was acknowledged must come, or have come."""
    for folder in (tassis.spool, tassis.mail):
        shutil.rmtree(folder)
    power.lay_out(state, tassis.folder)
    ways.read.clear()
    ways.far.messages = taken[: disk.acknowledged.count("far")]
    tassis.start()
    try:
        ways.wait([a for a in disk.acknowledged if a != "far"], seconds)
        tassis.wait_queue_empty()
    finally:
        tassis.kill_all()


def test_every_message_arrives_after_a_power_cut_at_every_instant(cluster, tmp_path):
    tmp_path.chmod(0o755)
    rng, n = random.Random(1764088515), 0
    with system.running(cluster, deferral=ALL) as (tassis, ways):
        records, disk, without_sync = one_log(ways, tassis, tmp_path, 3)
        taken = list(ways.far.messages)
        # Only what changes the disk, or what must be there, makes a new state.
        points = [i for i, r in enumerate(records) if r.kind in (power.WRITE, power.SYNC_END, power.RENAME, power.LINK, power.UNLINK, power.ACKNOWLEDGED)]
        chosen = set(points if ALL else rng.sample(points, 6))
        for i, r in enumerate(records):
            disk.apply(r)
            without_sync.apply(r)
            if i not in chosen:
                continue
            variants = power.Disk.VARIANTS if ALL else rng.sample(power.Disk.VARIANTS, 2)
            for name, state in disk.states(rng, 4 if ALL else 1, variants):
                try:
                    start_on(state, disk, tassis, ways, taken)
                except AssertionError as e:
                    raise AssertionError(f"after record {i} of {len(records)}, {name}: {e}") from None
                n += 1
        with pytest.raises(AssertionError, match="local.*is missing"):  # so that finding nothing means something
            start_on(next(without_sync.states(rng, 0, ["none"]))[1], without_sync, tassis, ways, taken, 1)
        print(f"system: {n} states after a power cut at {len(chosen)} of {len(points)} instants; acknowledged {len(ways.acknowledged)}, lost 0")
