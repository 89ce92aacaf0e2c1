"""The administrator's commands."""
import json, re

import pytest
from far_end import ZONE, FarEnd
from harness import PATIENCE, SANITIZED, SHARE, TASSIS, run, wait_for
from test_thread import submit


def test_status_names_every_daemon(tassis):
    text = tassis.tassis("status").stdout
    for name in ("smtpd", "lookupd", "resolvd", "queued", "local", "remote"):
        assert name in text, text


def test_status_of_a_stopped_tassis_exits_3(make_tassis):
    assert make_tassis().tassis("status", check=False).returncode == 3


def test_config_shows_what_differs(tassis):
    text = tassis.tassis("config").stdout
    assert "hostname = mx.test.com" in text


def test_config_gives_one_value(tassis):
    assert tassis.tassis("config", "smtp_max_recipients").stdout.strip() == "1000"


def test_wrong_main_conf_names_file_line_and_what_would_be_right(make_tassis):
    tassis = make_tassis()
    tassis.main_conf.write_text(tassis.main_conf.read_text() + "smtp_worker = 3\nqueue_lifetime = 5 years\n")
    n = len(tassis.main_conf.read_text().splitlines())
    done = tassis.tassis("check", check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"line {n - 1}: smtp_worker is not a setting; did you mean smtp_workers?" in text
    assert f"line {n}: queue_lifetime:" in text and "1min to 30d" in text
    assert tassis.tassis("start", check=False).returncode == 1


def test_check_of_a_right_configuration_is_content(tassis):
    done = tassis.tassis("check", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_broken_pem_is_named(make_tassis):
    tassis = make_tassis()
    broken = tassis.folder / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    tassis.write_conf(tls_certificate=broken)
    done = tassis.tassis("check", check=False)
    assert done.returncode == 1 and str(broken) in done.stdout + done.stderr


def test_queue_list_and_show_tell_what_waits_and_why(make_tassis):
    with FarEnd({"MAIL": "450 4.2.0 the far end is tired"}) as far:
        tassis = make_tassis(zone=ZONE, settings={"delivery_port": far.port}).start()
        id = submit(tassis, ["bob@far.test"])
        tassis.wait_log("deferred")
        text = tassis.tassis("queue", "list").stdout
        assert id in text and "bob@far.test" in text
        listed = json.loads(tassis.tassis("queue", "list", "--json").stdout.splitlines()[0])
        assert (listed[0] if isinstance(listed, list) else listed)["id"] == id
        text = tassis.tassis("queue", "show", id).stdout
        assert "the far end is tired" in text and "test@test.com" in text


def test_queue_flush_tries_at_once(make_tassis):
    with FarEnd({"MAIL": ["450 4.2.0 later", "250 2.1.0 ok"]}) as far:
        tassis = make_tassis(zone=ZONE, settings={"delivery_port": far.port}).start()
        submit(tassis, ["bob@far.test"])
        tassis.wait_log("deferred")
        tassis.tassis("queue", "flush")
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()


def test_schema_upgrade_can_be_repeated(tassis):
    tassis.tassis("schema", "upgrade")
    assert "up to date" in tassis.tassis("schema", "status").stdout or tassis.tassis("schema", "status").returncode == 0


def test_stop_and_start_leave_no_process(make_tassis):
    tassis = make_tassis().start()
    pids = list(tassis.processes())
    assert pids
    tassis.stop()
    import os

    assert not [p for p in pids if os.path.exists(f"/proc/{p}")]


def test_start_lets_go_of_the_output_it_was_given(make_tassis):
    """Who reads what start prints to its end is not made to wait for the daemons' end."""
    tassis = make_tassis()
    try:
        assert tassis.tassis("start", timeout=PATIENCE).returncode == 0
        refused = tassis.reload(log_to="stderr")
        assert refused.returncode == 1 and "log_to = stderr" in refused.stdout + refused.stderr
    finally:
        tassis.tassis("stop", check=False)


@pytest.mark.parametrize("mistake", ["smtp_workerz = 3", "message_size_max = 1", "listen = nowhere", "hostname = no_domain\nqueue_lifetime = 5 years"])
def test_stop_is_not_refused_for_a_mistake_in_main_conf(make_tassis, mistake):
    tassis = make_tassis().start()
    tassis.main_conf.write_text(tassis.main_conf.read_text() + mistake + "\n")
    assert tassis.tassis("status", check=False).returncode == 1
    assert tassis.tassis("control", "ping").stdout == "master is there.\n"
    assert "has stopped" in tassis.tassis("stop").stdout
    assert tassis.master.wait(PATIENCE) == 0
    tassis.master = None
    assert tassis.tassis("stop", check=False).returncode == 3


def test_stop_with_a_main_conf_that_is_not_there_stops_nothing(tassis):
    done = run(TASSIS, "-c", tassis.folder / "nowhere.conf", "stop", check=False)
    assert done.returncode == 1 and str(tassis.folder / "nowhere.conf") in done.stderr
    assert " runs: " in tassis.tassis("status").stdout


def test_reload_with_mistakes_names_each_with_its_line(tassis):
    good = tassis.main_conf.read_text()
    n = len(good.splitlines())
    try:
        tassis.main_conf.write_text(good + "smtp_workerz = 3\nqueue_lifetime = 5 years\n")
        done = tassis.tassis("reload", check=False)
    finally:
        tassis.main_conf.write_text(good)
    assert done.returncode == 1 and f"line {n + 1}: smtp_workerz" in done.stderr and f"line {n + 2}: queue_lifetime" in done.stderr
    assert "The running configuration stays" in done.stderr


def test_second_master_on_the_same_spool_is_refused(tassis):
    done = tassis.tassis("start", check=False)
    assert done.returncode == 1 and re.search("already|running|another", done.stdout + done.stderr)


@pytest.mark.skipif(SANITIZED, reason="the memory of a sanitizer cannot be read to its end")
def test_database_password_reaches_lookupd_alone(tassis):
    """Only lookupd's memory may hold what is SECRET in main.conf."""
    secret = tassis.settings["database"].encode()
    for pid, name in tassis.processes().items():
        held = False
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if m:
                    start, end = (int(x, 16) for x in m.groups())
                    try:
                        mem.seek(start)
                        held = held or secret in mem.read(end - start)
                    except OSError:
                        pass
        assert held == (name == "lookupd"), name
