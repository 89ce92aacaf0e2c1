"""tassis queue: the administrator sees every message that waits, and steers it; with real daemons and a far end that does as the test says."""
import json, os, pathlib, pty, re, shutil, subprocess, time

import pytest
from far_end import ZONE, FarEnd
from harness import LIBEXEC, PREFIX, wait_for
from test_thread import submit

LATER = {"queue_retry_min": "1h", "queue_retry_greylist": "1h", "queue_retry_max": "4h"}
NOT_NOW = "452 4.2.2 Bob's mailbox is full"


@pytest.fixture
def near(make_tassis):
    def make(far, start=True, **settings):
        made = make_tassis(zone=ZONE, settings={"delivery_port": far.port, **LATER, **settings})
        return made.start() if start else made

    return make


def listed(tassis, *options):
    return [json.loads(line) for line in tassis.tassis("queue", "list", "--json", *options).stdout.splitlines()]


def waiting(tassis, n=1):
    """The ids of the n messages that wait and are not being delivered."""

    def ids():
        found = [e["id"] for e in listed(tassis) if e["next_attempt"]]
        return found if len(found) == n else None

    return wait_for(ids)


def queue(tassis, *words, status=0, **more):
    done = tassis.tassis("queue", *words, check=False, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture
def full(near):
    """A far end that takes nothing for Bob now, and a tassis with one message for him that waits."""
    with FarEnd({"RCPT": NOT_NOW}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], "for Bob\r\n")
        yield tassis, far, waiting(tassis)[0]


def test_list_shows_those_that_its_patterns_mean(full):
    tassis, far, first = full
    submit(tassis, ["eve@far.test"], "for Eve\r\n")
    waiting(tassis, 2)
    assert len(listed(tassis, "--to", "*@far.test")) == 2
    assert [e["first_recipient"] for e in listed(tassis, "--to", "EVE@*")] == ["eve@far.test"]
    assert len(listed(tassis, "--from", "test@*", "--domain", "far.test")) == 2
    assert listed(tassis, "--from", "<>") == listed(tassis, "--older", "2h") == listed(tassis, "--held") == []
    wait_for(lambda: len(listed(tassis, "--older", "1s")) == 2)
    assert "No message is like that." in queue(tassis, "list", "--to", "nobody").stdout
    assert "--older wants a time" in queue(tassis, "list", "--older", "soon", status=2).stderr


def test_show_has_every_attempt_with_its_time_and_the_far_ends_words(full):
    tassis, far, id = full
    far.replies["RCPT"] = "451 4.3.0 the disk hums"
    queue(tassis, "retry", id)
    shown = wait_for(lambda: (s := json.loads(queue(tassis, "show", "--json", id).stdout)) and len(s["attempts"]) == 2 and s)
    assert [a["reply"] for a in shown["attempts"]] == [NOT_NOW, "451 4.3.0 the disk hums"]
    assert [a["host"] for a in shown["attempts"]] == ["mx.far.test"] * 2 and shown["attempts"][0]["at"] < shown["attempts"][1]["at"]
    text = queue(tassis, "show", id).stdout
    assert text.count("attempt  ") == 2 and "mx.far.test said: " + NOT_NOW in text


def test_cat_writes_the_message_with_lf_line_ends(full):
    tassis, far, id = full
    assert queue(tassis, "cat", id).stdout.endswith("\n\nfor Bob\n")
    raw = subprocess.run([PREFIX / "sbin/tassis", "-c", tassis.main_conf, "queue", "cat", id], capture_output=True, env=tassis.environment()).stdout
    assert b"\r" not in raw and b"\nReceived: " in b"\n" + raw
    assert "there is no message" in queue(tassis, "cat", "01hqz0a0a0a0a0a0a0a0a0", status=1).stderr


def test_held_message_survives_kill_9_and_is_not_tried_until_it_is_released(full):
    tassis, far, id = full
    del far.replies["RCPT"]
    assert "1 message is held." in queue(tassis, "hold", id).stdout
    tassis.kill_all()
    tassis.start()
    assert [e["held"] for e in wait_for(lambda: listed(tassis))] == [True]
    assert "0 messages are due now" in queue(tassis, "flush").stdout
    assert "is held; tassis queue release lets it go" in queue(tassis, "retry", id, status=1).stderr
    conf = tassis.folder / "sendmail.conf"
    conf.write_text(f"spool_dir = {tassis.spool}\n")
    mailq = subprocess.run([PREFIX / "sbin/tassis-mailq", "-C", conf], capture_output=True, text=True, check=True).stdout
    assert id + "!" in mailq, mailq
    time.sleep(1)
    assert not far.messages
    assert "1 message is released, and due now." in queue(tassis, "release", "--all").stdout
    wait_for(lambda: far.messages)
    tassis.wait_queue_empty()
    tassis.wait_log(f"{id} held who=")


def test_delete_asks_once_or_takes_yes_and_the_log_says_who(full):
    tassis, far, id = full
    submit(tassis, ["eve@far.test"], "for Eve\r\n")
    waiting(tassis, 2)
    refused = queue(tassis, "delete", "--to", "*@far.test", status=1, stdin=subprocess.DEVNULL)
    assert "nothing was done to these 2 messages; --yes" in refused.stderr and len(listed(tassis)) == 2
    queue(tassis, "delete", status=2)
    queue(tassis, "delete", id, "--all", status=2)

    ours, theirs = pty.openpty()
    asking = subprocess.Popen([PREFIX / "sbin/tassis", "-c", tassis.main_conf, "queue", "delete", "--all"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=tassis.environment())
    os.write(ours, b"y\n")
    out, err = asking.communicate(timeout=30)
    os.close(ours), os.close(theirs)
    assert "Delete 2 messages, and tell nobody? [y/N]" in err and out == "2 messages are deleted.\n"
    assert not tassis.spool_files() and not tassis.messages()
    tassis.wait_log(f"{id} deleted who=")
    submit(tassis, ["bob@far.test"])
    waiting(tassis)
    assert "1 message is deleted." in queue(tassis, "delete", "--all", "--yes").stdout


def test_deleted_while_it_is_delivered_it_goes_when_that_attempt_has_ended(near):
    with FarEnd({"data": ["silent"]}) as far:
        tassis = near(far, delivery_end_timeout="3s")
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: "C: DATA" in far.dialogue)
        id = listed(tassis)[0]["id"]
        assert "1 message is being delivered now, and deleted after that attempt" in queue(tassis, "delete", id).stdout
        assert tassis.spool_files()
        tassis.wait_queue_empty()
        tassis.wait_log(f"{id} deleted who=")
        assert not tassis.messages()


def test_bounce_returns_it_to_its_sender_at_once(full):
    tassis, far, id = full
    assert "1 message goes back to its sender." in queue(tassis, "bounce", id).stdout
    report = tassis.wait_message("Content-Type: message/delivery-status").decode()
    assert "administrator" in report and "bob@far.test" in report and "Action: failed" in report
    tassis.wait_queue_empty()
    assert not far.messages


def test_retry_goes_past_the_back_off_of_a_dead_host_with_one_probe(near):
    with FarEnd() as far:
        pass
    tassis = near(far)
    for i in range(3):
        submit(tassis, [f"bob{i}@far.test"])
    ids = waiting(tassis, 3)
    stats = [json.loads(line) for line in queue(tassis, "stats", "--json").stdout.splitlines()]
    assert [(d["destination"], d["waiting"], d["failing"]) for d in stats] == [("far.test", 3, True)] and stats[0]["reply"]
    with FarEnd(port=far.port) as far:
        assert "1 message is due now." in queue(tassis, "retry", ids[0]).stdout
        wait_for(lambda: far.messages)


def test_stats_shows_by_destination_what_waits_since_when_and_its_last_answer(full):
    tassis, far, id = full
    text = queue(tassis, "stats").stdout
    assert re.search(r"^ +1  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  far.test", text, re.M), text
    assert "mx.far.test said: " + NOT_NOW in text and "1 message waits, 0 held, 0 being delivered." in text


def test_verbs_without_a_running_queued_exit_3(full):
    tassis, far, id = full
    tassis.stop()
    for words in (["hold", id], ["delete", id], ["retry", "--all"], ["flush"], ["stats"]):
        queue(tassis, *words, status=3)
    assert [e["id"] for e in listed(tassis)] == [id]
    assert queue(tassis, "cat", id).stdout.endswith("for Bob\n")


def test_stop_returns_running_deliveries_within_its_limit(near):
    with FarEnd({"data": ["silent", "250 2.0.0 taken"]}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], "once more\r\n")
        wait_for(lambda: "C: DATA" in far.dialogue)
        began = time.monotonic()
        tassis.stop()
        assert time.monotonic() - began < 60
        assert len(tassis.spool_files()) == 1
        tassis.start()
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()
        assert len(far.messages) == 1


def test_stop_lets_a_running_delivery_end(near):
    with FarEnd() as far:
        tassis = near(far)
        slow = far.reply_to
        far.reply_to = lambda key, default: (time.sleep(2) if key == "data" else None, slow(key, default))[1]
        submit(tassis, ["bob@far.test"], "just in time\r\n")
        wait_for(lambda: "C: DATA" in far.dialogue)
        tassis.stop()
        assert len(far.messages) == 1 and not tassis.spool_files()


# ---- adopting


@pytest.fixture
def dead(near):
    """A far end that says not now, a spool of a killed host with five messages for it, one of them held, and a living host."""
    with FarEnd({"RCPT": NOT_NOW}) as far:
        one = near(far)
        for i in range(5):
            submit(one, [f"bob{i}@far.test"], f"number {i}\r\n")
        ids = waiting(one, 5)
        queue(one, "hold", ids[0])
        one.kill_all()
        del far.replies["RCPT"]
        yield one, far, near(far, start=False), ids


def came(far):
    return sorted(re.search(rb"number (\d)", m[2])[1].decode() for m in far.messages)


def test_adopt_takes_over_a_dead_hosts_spool_while_ours_runs(dead):
    one, far, two, ids = dead
    two.start()
    said = queue(two, "adopt", str(one.spool)).stdout
    assert "5 messages are adopted" in said
    assert {e["id"] for e in wait_for(lambda: listed(two))} >= {ids[0]} and not one.spool_files()
    assert "4 messages are due now" in queue(two, "flush").stdout
    wait_for(lambda: len(far.messages) == 4)
    wait_for(lambda: [e["id"] for e in listed(two)] == [ids[0]])
    queue(two, "release", ids[0])
    wait_for(lambda: came(far) == list("01234"))
    two.wait_queue_empty()


def test_adopt_while_ours_does_not_run_and_its_next_start_takes_them_up(dead):
    one, far, two, ids = dead
    two.start()
    two.stop()
    assert "its next start takes them up" in queue(two, "adopt", str(one.spool)).stdout
    two.start()
    queue(two, "release", "--all")
    queue(two, "flush")
    wait_for(lambda: came(far) == list("01234"))


def test_adopt_refuses_a_spool_on_which_tassis_runs(dead):
    one, far, two, ids = dead
    two.start()
    one.start()
    assert "tassis runs on" in queue(two, "adopt", str(one.spool), status=1).stderr
    assert len(one.spool_files()) == 5
    assert "our own spool_dir" in queue(two, "adopt", str(two.spool), status=1).stderr
    assert "is no spool_dir" in queue(two, "adopt", "/tmp", status=1).stderr


def test_adopt_leaves_what_cannot_be_read_and_says_so(dead):
    one, far, two, ids = dead
    path = next(p for p in one.spool_files() if p.name == ids[1])
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"number")] ^= 1
    path.write_bytes(octets)
    two.start()
    done = queue(two, "adopt", str(one.spool), status=1)
    assert "4 messages are adopted" in done.stdout and ids[1] in done.stderr and "is left there" in done.stderr
    assert [p.name for p in one.spool_files()] == [ids[1]]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_adopt_killed_at_any_call_loses_nothing(dead, elsewhere):
    """Killed after each number of renames, unlinks and syncs in turn, and called again, everything is here in the end."""
    one, far, two, ids = dead
    spool = one.spool
    if elsewhere:
        spool = pathlib.Path("/dev/shm") / f"tassis-{os.getpid()}"
        if os.stat("/dev/shm").st_dev == os.stat(two.folder).st_dev:
            pytest.skip("THERE IS NO OTHER FILE SYSTEM IN /dev/shm HERE: a copy across file systems is not tested")
        shutil.rmtree(spool, ignore_errors=True)
        shutil.copytree(one.spool, spool, ignore=shutil.ignore_patterns("private", "control", "public"))
        for path in one.spool_files():
            shutil.copystat(path, spool / path.relative_to(one.spool))
    try:
        two.start()
        two.stop()
        if shutil.which("strace") is None:
            pytest.skip("THERE IS NO strace HERE: adopt is not killed at its calls")
        for n in range(1, 60):
            killed = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,unlinkat,fsync", "-e", f"inject=renameat2,unlinkat,fsync:signal=KILL:when={n}", LIBEXEC / "admin", "-c", two.main_conf, "queue", "adopt", spool],
                capture_output=True, text=True, env=two.environment())
            there = {p.name for p in spool.glob("queue/*/*") if p.name in ids}
            assert there | {p.name for p in two.spool_files() if p.name in ids} == set(ids), (n, killed)
            if not there:
                break
        queue(two, "adopt", str(spool))
        assert sorted(p.name for p in two.spool_files() if len(p.name) == 22) == sorted(ids)
        two.start()
        queue(two, "release", "--all")
        queue(two, "flush")
        wait_for(lambda: came(far) == list("01234"))
    finally:
        if elsewhere:
            shutil.rmtree(spool, ignore_errors=True)


def test_adopt_that_died_before_it_told_queued_is_seen_within_a_minute(dead):
    """The marker in queue/ that nobody holds makes queued look by itself."""
    one, far, two, ids = dead
    two.start()
    for path in one.spool_files():
        target = two.spool / "queue" / path.parent.name / path.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        owner = os.stat(two.spool / "queue")
        os.rename(path, target)
        os.chown(target, owner.st_uid, owner.st_gid)
        os.chown(target.parent, owner.st_uid, owner.st_gid)
    (two.spool / "queue" / "adopting").touch()
    assert not listed(two)
    wait_for(lambda: len(listed(two)) == 5, 75, "the minute's look")
    assert not (two.spool / "queue" / "adopting").exists()


def test_twenty_thousand_messages_begin_to_show_before_the_last_is_read(near):
    fill = pathlib.Path(os.environ.get("TASSIS_BUILD", "")) / "t/bench/fill"
    if not fill.exists():
        pytest.skip(f"THERE IS NO {fill}: a long queue is not tested")
    with FarEnd() as far:
        tassis = near(far)
        tassis.stop()
        owner = os.stat(tassis.spool / "queue")
        subprocess.run([fill, tassis.spool, "20000", str(int(time.time()) + 3600), "carol@test.com", "bob@far.test"], check=True)
        for path in [tassis.spool / "queue", *(tassis.spool / "queue").rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
        tassis.start()
        tassis.wait_log("event=scanned|scanned ")
        began = time.monotonic()
        listing = subprocess.Popen([LIBEXEC / "admin", "-c", tassis.main_conf, "queue", "list", "--json"], stdout=subprocess.PIPE, text=True, env=tassis.environment())
        json.loads(listing.stdout.readline())
        first = time.monotonic() - began
        n = 1 + sum(1 for _ in listing.stdout)
        assert listing.wait() == 0 and n == 20000
        assert first < time.monotonic() - began
        assert queue(tassis, "hold", "--to", "*@far.test").stdout == "20000 messages are held.\n"
        assert queue(tassis, "delete", "--all", "--yes").stdout == "20000 messages are deleted.\n"
        assert not tassis.spool_files()
