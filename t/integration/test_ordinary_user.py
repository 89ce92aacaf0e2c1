"""Nothing needs root: an ordinary user runs all of it, as himself. As an ordinary user every test of this folder shows that; as root this one does, for nobody."""
import os, pathlib, pwd, shutil, subprocess, sys, warnings

import pytest
from far_end import FarEnd
from harness import AS_ROOT, LIBEXEC, PREFIX, TOP, Cluster, Tassis, run, temporary_folder, wait_for
from test_thread import submit

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
ZONE = "far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n"


def owner(pid):
    return int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("Uid:")).split()[1])


def journey(folder):
    """A local and a remote message through an instance that is all the caller's: processes, files, PostgreSQL."""
    cluster = Cluster(folder / "postgresql")
    try:
        with FarEnd() as far:
            tassis = Tassis(cluster, zone=ZONE, settings={"delivery_port": far.port})
            try:
                tassis.start()
                tassis.send(text="to a mailbox\r\n")
                tassis.wait_message("to a mailbox")
                submit(tassis, ["bob@far.test"], "to another host\r\n")
                assert "to another host" in str(wait_for(lambda: far.messages, what="the message at the far end"))
                tassis.wait_queue_empty()
                assert {owner(pid) for pid in tassis.processes()} == {os.geteuid()}
                assert {path.lstat().st_uid for path in tassis.folder.rglob("*")} == {os.geteuid()}
                tassis.stop()
            finally:
                tassis.end()
    finally:
        cluster.stop()


@pytest.mark.skipif(not AS_ROOT, reason="all tests run as an ordinary user already")
def test_all_of_it_runs_as_nobody():
    for path in (LIBEXEC / "master", PREFIX / "sbin" / "tassis", TOP / "t/tools/dns-server", pathlib.Path(__file__)):
        if subprocess.run([*AS_NOBODY, "test", "-r", path]).returncode != 0:
            warnings.warn(f"an ordinary user was not tried: nobody cannot read {path}")
            pytest.skip(f"nobody cannot read {path}")
    folder = temporary_folder()
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    try:
        run(*AS_NOBODY, sys.executable, "-B", __file__, folder, cwd="/", env={**os.environ, "TMPDIR": str(folder), "HOME": str(folder)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    journey(pathlib.Path(sys.argv[1]))
