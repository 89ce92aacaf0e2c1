"""Whatever fails, what was acknowledged arrives, and nothing is refused for good because of it."""
import contextlib, os, random, shutil, signal, smtplib, socket, subprocess, threading, time

import pytest
from far_end import FarEnd
from harness import AS_ROOT, PATIENCE, SANITIZED, wait_for
from test_thread import submit


# What waits, because somebody was away, is tried again soon: tests wait for it.
UNDER_LOAD = {"log_level": "info", "queue_retry_min": "1s", "queue_retry_max": "2s"}


class Load:
    """Clients that send numbered messages until told to end; what got its 250 is remembered."""

    def __init__(self, tassis, n=4, to="test@test.com"):
        self.tassis, self.to, self.acknowledged, self.permanent, self.ending = tassis, to, [], [], False
        self.lock = threading.Lock()
        self.n, self.name = 0, os.urandom(4).hex()
        self.threads = [threading.Thread(target=self.run) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def next_mark(self):
        with self.lock:
            self.n += 1
            return f"load-{self.name}-{self.n:06d}"

    def run(self):
        while not self.ending:
            try:
                with self.tassis.smtp() as client:
                    client.ehlo("load.example.org")
                    for _ in range(10):
                        if self.ending:
                            return
                        mark = self.next_mark()
                        for code, reply in (client.mail("ann@example.org"), client.rcpt(self.to)):
                            if code >= 500:
                                self.permanent.append((mark, code, reply))
                            if code != 250:
                                raise smtplib.SMTPException(reply)
                        code, reply = client.data(f"Subject: {mark}\r\n\r\n{mark}\r\n")
                        if code == 250:
                            with self.lock:
                                self.acknowledged.append(mark)
                        elif code >= 500:
                            self.permanent.append((mark, code, reply))
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join()

    def wait(self, n):
        wait_for(lambda: len(self.acknowledged) >= n, PATIENCE * 3, f"{n} messages to be acknowledged; now {len(self.acknowledged)}\n" + self.tassis.log_tail())

    def arrived(self, user="test@test.com"):
        marks = {}
        for message in self.tassis.messages(user):
            mark = message.rstrip().rsplit(b"\n", 1)[-1].decode()
            if mark.startswith(f"load-{self.name}-"):
                marks[mark] = marks.get(mark, 0) + 1
        return marks

    def lost(self):
        return sorted(set(self.acknowledged) - set(self.arrived()))

    def check(self, duplicates_allowed=0):
        """Every acknowledged message is there; the number that came twice is bounded."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.lost(), PATIENCE * 3)
        lost, n_duplicates = self.lost(), sum(n - 1 for n in self.arrived().values())
        print(f"{len(self.acknowledged)} acknowledged, {len(lost)} lost, {n_duplicates} arrived more than once, {len(self.permanent)} refused for good")
        assert not lost, lost[:20]
        assert not self.permanent
        assert n_duplicates <= duplicates_allowed


@pytest.mark.parametrize("daemon", ["smtpd", "lookupd", "resolvd", "queued", "deliverd-local", "deliverd-remote"])
def test_killed_daemon_comes_back_while_mail_flows(make_tassis, daemon):
    tassis = make_tassis(settings=UNDER_LOAD).start()
    load = Load(tassis)
    try:
        for n in range(3):
            before = len(load.acknowledged)
            killed = set(tassis.kill(daemon))
            wait_for(lambda: set(tassis.processes(daemon)) - killed and len(tassis.processes(daemon)) == len(killed), what=f"a new {daemon}")
            load.wait(before + 20)
    finally:
        load.end()
    load.check(duplicates_allowed=3 * 64)
    # What a worker left that died before it had reached queued is found by the scan of each minute.
    tassis.wait_queue_empty(PATIENCE + 70)


def test_everything_killed_at_once_loses_nothing(make_tassis):
    tassis = make_tassis(settings=UNDER_LOAD).start()
    for _ in range(2):
        load = Load(tassis)
        load.wait(50)
        tassis.kill_all()
        load.end()
        tassis.start()
        load.check(duplicates_allowed=128)
        tassis.wait_queue_empty()


def test_postgresql_stopped_and_started_bounces_and_refuses_nothing(cluster, make_tassis):
    tassis = make_tassis(settings={**UNDER_LOAD, "lookup_stale_max": "0s"}).start()
    load = Load(tassis)
    try:
        load.wait(20)
        cluster.stop()
        try:
            tassis.wait_log("database_lost")
        finally:
            cluster.start()
        before = len(load.acknowledged)
        load.wait(before + 20)
    finally:
        load.end()
    load.check()
    assert " failed " not in tassis.log_text()


def test_what_is_known_is_served_while_postgresql_is_away(cluster, make_tassis):
    tassis = make_tassis().start()
    tassis.send(text="warm\r\n")
    tassis.wait_message("warm")
    cluster.stop()
    try:
        tassis.wait_log("database_lost")
        tassis.send(text="still known\r\n")
        tassis.wait_message("still known")
        with tassis.smtp() as client:
            client.ehlo("client.example.org")
            client.mail("ann@example.org")
            code, reply = client.rcpt("never-asked-for@test.com")
            assert code == 451 and reply.startswith(b"4.3.0")
    finally:
        cluster.start()


def test_postgresql_away_at_start_heals_without_a_restart(cluster, make_tassis):
    tassis = make_tassis()
    cluster.stop()
    try:
        tassis.start()
        with tassis.smtp() as client:
            client.ehlo("client.example.org")
            client.mail("ann@example.org")
            assert client.rcpt("test@test.com")[0] == 451
    finally:
        cluster.start()

    def taken():
        with tassis.smtp() as client:
            client.ehlo("client.example.org")
            client.mail("ann@example.org")
            return client.rcpt("test@test.com")[0] == 250

    wait_for(taken)


def test_reload_drops_no_session(make_tassis):
    tassis = make_tassis().start()
    old = set(tassis.processes("smtpd"))
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        client.mail("ann@example.org")
        client.rcpt("test@test.com")
        assert tassis.reload(smtp_max_recipients=200).returncode == 0
        wait_for(lambda: set(tassis.processes("smtpd")) - old, what="new smtpd workers")
        tassis.send(text="through a new worker\r\n")
        code, _ = client.data("Subject: held\r\n\r\nthrough the old worker\r\n")
        assert code == 250
    tassis.wait_message("through the old worker")
    tassis.wait_message("through a new worker")
    wait_for(lambda: not old & set(tassis.processes("smtpd")), what="the old workers to end")


def test_refused_reload_leaves_the_running_configuration(make_tassis):
    tassis = make_tassis().start()
    refused = tassis.reload(smtp_max_recipient=200)
    assert refused.returncode != 0 and "did you mean smtp_max_recipients" in refused.stdout + refused.stderr
    tassis.send(text="as before\r\n")
    tassis.wait_message("as before")


def test_deferred_message_survives_a_restart(make_tassis):
    with FarEnd({"MAIL": ["450 4.2.0 later", "250 2.1.0 ok"]}) as far:
        tassis = make_tassis(zone="far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n", settings={"delivery_port": far.port, "queue_retry_min": "2s"}).start()
        submit(tassis, ["bob@far.test"], "again after the restart\r\n")
        tassis.wait_log("deferred")
        tassis.stop()
        assert len(tassis.spool_files()) == 1
        tassis.start()
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()


@pytest.mark.skipif(not AS_ROOT, reason="needs root: mounts a small file system")
def test_full_disk_gives_452_and_loses_nothing(make_tassis):
    tassis = make_tassis()
    tassis.spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "tassis-t", tassis.spool], check=True)
    try:
        tassis.start()
        tassis.send(text="while there is room\r\n")
        tassis.wait_message("while there is room")
        tassis.wait_queue_empty()
        filler = tassis.spool / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
            while True:
                f.write(b"x" * 4096)
        with tassis.smtp() as client:
            client.ehlo("client.example.org")
            client.mail("ann@example.org")
            client.rcpt("test@test.com")
            code, reply = client.data("Subject: full\r\n\r\n" + ("x" * 70 + "\r\n") * 3000)
            assert code == 452 and reply.startswith(b"4.3.1")
        assert not tassis.spool_files()
        filler.unlink()
        tassis.send(text="room again\r\n")
        tassis.wait_message("room again")
    finally:
        tassis.stop(check=False)
        tassis.kill_all()
        subprocess.run(["umount", "-l", tassis.spool], check=True)


def test_corrupt_spool_file_is_set_aside_and_the_rest_goes_on(make_tassis):
    tassis = make_tassis(settings={"log_level": "info"})
    with FarEnd({"MAIL": "450 4.2.0 later"}) as far:
        tassis.write_conf(delivery_port=far.port)
        tassis.set_zone("far.test MX 10 mx.far.test", "mx.far.test A 127.0.0.1")
        tassis.start()
        submit(tassis, ["bob@far.test"], "to be broken\r\n")
        tassis.wait_log("deferred")
        tassis.stop()
        (file,) = tassis.spool_files()
        octets = bytearray(file.read_bytes())
        octets[600:604] = b"\0\0\0\0"
        file.write_bytes(octets)
        (tassis.spool / "clean").unlink(missing_ok=True)
        tassis.start()
        tassis.wait_log(f"{file.name} corrupt")
        assert (tassis.spool / "corrupt" / file.name).exists()
        tassis.send(text="unharmed\r\n")
        tassis.wait_message("unharmed")


def test_noise_on_port_25_harms_nobody(tassis):
    noise = random.Random(25)
    for _ in range(20):
        with socket.create_connection((tassis.address, tassis.smtp_port), timeout=5) as s:
            with contextlib.suppress(OSError):
                s.sendall(noise.randbytes(noise.randrange(1, 20000)))
    tassis.send(text="in spite of noise\r\n")
    tassis.wait_message("in spite of noise")


def test_endless_line_is_refused_and_costs_no_memory(tassis):
    def resident():
        return sum(int(open(f"/proc/{pid}/statm").read().split()[1]) * 4096 for pid in tassis.processes("smtpd"))

    before = resident()
    with socket.create_connection((tassis.address, tassis.smtp_port), timeout=10) as s:
        s.recv(1000)
        with contextlib.suppress(OSError):
            for _ in range(400):
                s.sendall(b"x" * 65536)
            s.sendall(b"\r\n")
        with contextlib.suppress(OSError):
            assert s.recv(1000)[:1] in (b"5", b"4", b"")
    if not SANITIZED: # which keeps what is freed for a while
        assert resident() - before < 4 << 20
