"""Power cuts on real file systems: spool and Maildirs lie on an ext4, and on an XFS, in an image on a loop device. Under load all processes are stopped, the image is copied as it
is, with nothing flushed, and the copy is mounted (its journal replayed) and served. What was acknowledged before the copy must be there."""
import contextlib, os, random, shutil, signal, subprocess, time

import pytest

import system
from harness import temporary_folder, wait_for
from injector import ALL
from test_faults import Load

FILE_SYSTEMS = {"ext4": ("64M", ["mkfs.ext4", "-q", "-F"], "loop"), "xfs": ("320M", ["mkfs.xfs", "-q", "-f"], "loop,nouuid")}
CUTS = 60 if ALL else 2


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


class Image:
    """A file system in a file, mounted at disk/."""

    def __init__(self, folder, kind):
        size, mkfs, self.options = FILE_SYSTEMS[kind]
        self.kind, self.path, self.copy, self.mounted_at = kind, folder / "image", folder / "copy", folder / "disk"
        self.mounted_at.mkdir()
        self.mkfs = mkfs
        self.path.touch()
        os.truncate(self.path, {"64M": 64 << 20, "320M": 320 << 20}[size])
        for step in ([*mkfs, self.path], self._mount(self.path)):
            done = run(*step)
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                pytest.skip(f"no {kind} on a loop device here: {' '.join(map(str, step))}: {done.stderr.strip()}")

    def _mount(self, path):
        return ["mount", "-t", self.kind, "-o", self.options, path, self.mounted_at]

    def cut(self):
        """Copies the image as it stands. The copy is of one instant: nobody wrote to the image while it was made."""
        for _ in range(50):
            run("cp", "--sparse=auto", self.path, self.copy)
            if run("cmp", self.path, self.copy).returncode == 0:
                return
        raise AssertionError("the image does not stand still")

    def go_on_with_the_copy(self):
        self.unmount()
        self.copy.replace(self.path)
        done = run(*self._mount(self.path))
        assert done.returncode == 0, done.stderr

    def unmount(self):
        wait_for(lambda: run("umount", self.mounted_at).returncode == 0, what="umount")


@pytest.fixture
def image(request):
    if os.geteuid() != 0:
        pytest.skip("mounting an image takes root")
    folder = temporary_folder()
    made = Image(folder, request.param)
    yield made
    run("umount", "-l", made.mounted_at)
    shutil.rmtree(folder, ignore_errors=True)


def stop_all(tassis):
    """Every process stands still; what they wrote and did not sync stays where it is."""
    for pid in [tassis.master.pid, *tassis.processes()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("image", FILE_SYSTEMS, indirect=True)
def test_nothing_acknowledged_is_lost_when_the_power_goes(cluster, image):
    rng, total, from_spool = random.Random(), 0, 0
    with system.running(cluster, spool_dir=image.mounted_at / "spool", mail_dir=image.mounted_at / "mail") as (tassis, _):
        tassis.spool, tassis.mail = image.mounted_at / "spool", image.mounted_at / "mail"
        for cut in range(CUTS):
            if cut % 2:  # what is acknowledged stays in the spool
                for pid in tassis.processes("deliverd-local"):
                    os.kill(pid, signal.SIGSTOP)
            load = Load(tassis, 6)
            try:
                load.wait(20)
                time.sleep(rng.uniform(0, 0.4))
                (image.mounted_at / "not-synced").write_bytes(b"x" * 5000)
                stop_all(tassis)
                with load.lock:
                    acknowledged = set(load.acknowledged)
                image.cut()
                tassis.kill_all()
            finally:
                load.end()
            image.go_on_with_the_copy()
            not_synced = image.mounted_at / "not-synced"
            assert not not_synced.exists() or b"x" not in not_synced.read_bytes()  # else this is no power cut
            not_synced.unlink(missing_ok=True)
            before = acknowledged & set(load.arrived())
            tassis.start()
            wait_for(lambda: acknowledged <= set(load.arrived()), 60,
                     f"{sorted(acknowledged - set(load.arrived()))[:5]} of {len(acknowledged)} to arrive; {len(before)} were there\n" + tassis.log_tail())
            assert not load.permanent
            tassis.wait_queue_empty(60)
            total += len(acknowledged)
            from_spool += len(acknowledged - before)
            shutil.rmtree(tassis.maildir() / "new")
            tassis.crash()
        assert from_spool > 0
        print(f"{image.kind}: {CUTS} power cuts; acknowledged {total}, lost 0; {from_spool} of them came out of the spool afterwards")
