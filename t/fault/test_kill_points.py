"""The process dies, or its call fails, at the N-th call of one message's way, for every N; then it starts again, and what was acknowledged must be there."""
import itertools, os

import pytest

import spool_way
from injector import ALL, KINDS, Injector

MESSAGES = 10


def run_spool_way(folder, seed, n=0, kind=None):
    """One run with the n-th call met; gives (acknowledged ids, number of calls, what went wrong)."""
    spool = folder / f"spool{seed}"
    spool.mkdir()
    control = Injector(folder, ["spool_way"])
    if kind:
        control.at("spool_way", n, kind)
    acknowledged, done = spool_way.write(spool, MESSAGES, seed, {**os.environ, **control.environment()})
    count, fired = control.count("spool_way"), control.fired("spool_way")
    control.close()
    found = spool_way.check(spool)[str(spool)]
    faults = spool_way.faults_of(acknowledged, found)
    if kind and fired and kind.startswith("kill") != (done.returncode == -9):
        faults.append(f"ended with {done.returncode} {done.stderr}")
    # What failed was refused, and nothing of it stays; where the call was the unlink itself, the file is empty.
    if kind in ("EIO", "ENOSPC"):
        refused = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("refused")]
        faults += [f"{i} was refused and is there" for i in refused if i in found and not found[i].startswith("uncommitted")]
        if len(acknowledged) + len(refused) != MESSAGES:
            faults.append(f"{len(acknowledged)} acknowledged and {len(refused)} refused of {MESSAGES}")
    return acknowledged, count, fired, faults


def test_spool_keeps_what_it_acknowledged_at_every_call(tmp_path):
    acknowledged, count, _, faults = run_spool_way(tmp_path, 0)
    assert len(acknowledged) == MESSAGES and not faults and count >= 3 * MESSAGES
    seeds, points = itertools.count(1), 0
    for kind in KINDS:
        for n in range(1, count + 1, 1 if ALL else 3):
            _, _, fired, faults = run_spool_way(tmp_path, next(seeds), n, kind)
            assert not faults, (kind, n, faults)
            points += fired
    assert points > (3 if ALL else 1) * count
    print(f"spool: {points} points, none lost")
