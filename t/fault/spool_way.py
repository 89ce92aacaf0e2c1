"""Running t/fault/spool_way, and what it says of folders."""
import subprocess

from injector import SPOOL_WAY


def write(folder, n, seed=1, environment=None, sync_directory=False):
    """Writes n messages; gives the ids that were acknowledged before it ended, and how it ended."""
    command = [SPOOL_WAY, "write", folder, str(n), str(seed)] + (["sync-directory"] if sync_directory else [])
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return [line.split()[1] for line in done.stdout.splitlines()], done


def check(*folders):
    """folder -> {id: verdict} of each."""
    found = {}
    out = subprocess.run([SPOOL_WAY, "check", *folders], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        verdict, _, rest = line.partition(" ")
        if verdict == "folder":
            one = found[rest] = {}
        else:
            one[rest.split()[0]] = line
    return found


def faults_of(acknowledged, found):
    """What is not as it must be: something acknowledged that is not committed, or something committed that nobody wrote so."""
    lost = [i for i in acknowledged if not found.get(i, "gone").startswith("committed")]
    return [f"{i} was acknowledged and is {found.get(i, 'gone')}" for i in lost] + [v for v in found.values() if v.startswith("wrong")]
