"""The power goes at every instant of a log of what was done to the disk; of what was not durable, all, nothing, or any part is found afterwards (t/fault/power.py). What was
acknowledged before that instant must be there."""
import os, random, shutil

import pytest

import power, spool_way
from injector import ALL, INJECT

MESSAGES = 10


@pytest.fixture(scope="module")
def spool_log(tmp_path_factory):
    """Messages written once, with a log of it; (records, the folder's name in states, the folder)."""
    folder = tmp_path_factory.mktemp("log")
    spool, log = folder / "spool", folder / "log"
    spool.mkdir()
    log.touch()
    environment = {**os.environ, "LD_PRELOAD": str(INJECT), "TASSIS_FAULT_LOG": str(log), "TASSIS_FAULT_PROGRAMS": "spool_way"}
    environment["ASAN_OPTIONS"] = "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
    acknowledged, done = spool_way.write(spool, MESSAGES, 1, environment)
    assert done.returncode == 0 and len(acknowledged) == MESSAGES
    records = list(power.read_log(log.read_bytes()))
    assert [r.data.decode() for r in records if r.kind == power.ACKNOWLEDGED] == acknowledged
    return records, spool


def empty_disk(spool, ignore_sync=False):
    """The folder's object, without what was made in it later."""
    away = spool.parent / "empty"
    away.mkdir(exist_ok=True)
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
