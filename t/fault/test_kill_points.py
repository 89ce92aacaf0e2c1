"""The process dies, or its call fails, at the N-th call of one message's way, for every N; then it starts again, and what was acknowledged must be there."""
import itertools, os

import pytest

import spool_way, system
from harness import wait_for
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
        if kind == "peer-lost":
            continue
        for n in range(1, count + 1, 1 if ALL else 3):
            _, _, fired, faults = run_spool_way(tmp_path, next(seeds), n, kind)
            assert not faults, (kind, n, faults)
            points += fired
    assert points >= (3 if ALL else 1) * count
    print(f"spool: {points} points, none lost")


def calls_of_one_message(injector, ways):
    """How many counted calls each program makes for a message, at most."""
    most = dict.fromkeys(system.PROGRAMS, 0)
    for _ in range(3):
        before = {p: injector.count(p) for p in most}
        mark, acknowledged = ways.send()
        assert acknowledged
        ways.wait([mark])
        ways.tassis.wait_queue_empty()
        most = {p: max(n, injector.count(p) - before[p]) for p, n in most.items()}
    return most


# What a lost connection leaves may wait for queued's scan, which comes once a minute.
@pytest.mark.parametrize("kind", [k for k in KINDS if ALL or k != "peer-lost"])
def test_every_message_arrives_whatever_call_it_was_that_failed(cluster, tmp_path, kind):
    """kill: the daemon dies there; every other time all others die with it, and all starts again. Else the call fails, and it heals without a restart."""
    tmp_path.chmod(0o755)
    injector = Injector(tmp_path, system.PROGRAMS)
    points = 0
    with system.running(cluster, deferral=ALL, preload=injector.environment()) as (tassis, ways):
        calls = calls_of_one_message(injector, ways)
        todo = [(program, n) for program, most in calls.items() for n in range(1, most + 1)]
        for i, (program, n) in enumerate(todo if ALL else todo[list(KINDS).index(kind) :: 8]):
            injector.at(program, n, kind)
            mark, acknowledged = ways.send()
            wait_for(lambda: injector.fired(program) or not acknowledged or not ways.missing([mark]), what=f"{kind} at call {n} of {program}")
            injector.disarm(program)
            points += injector.fired(program)
            if kind.startswith("kill"):
                if acknowledged and i % 2:
                    ways.wait([mark])
                tassis.crash()  # at every other point what the daemon's peers had under way dies too; at the others, so that master's pause before the next one does not grow
        ways.wait()
        assert not ways.refused
        tassis.wait_queue_empty()
        print(f"{kind}: {points} points of {calls}; acknowledged {len(ways.acknowledged)}, lost {len(ways.missing())}, duplicate {ways.duplicates()}")
        # A mailbox's file is named for message and recipient. What a far end took, and a notice, can go twice: between that and its record.
        assert "local" not in ways.duplicates()
        assert points >= (len(todo) // 2 if ALL else 3)
