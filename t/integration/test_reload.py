"""New settings reach deliveries at once, whatever an old worker is still busy with; and a reload puts off nothing."""
import re, threading

import far_end
import harness


def test_worker_that_is_never_idle_is_not_asked_any_more_after_a_reload(make_tassis):
    """Its one delivery hangs at a far end that does not reply; what comes after the reload is the new worker's, with the new settings."""
    with far_end.FarEnd({"data": "silent"}) as slow, far_end.FarEnd() as quick:
        tassis = make_tassis()
        tassis.sql("INSERT INTO relays (network) VALUES ('127.0.0.1')")
        for domain, port in ("slow.test", slow.port), ("quick.test", quick.port):
            tassis.sql("INSERT INTO routes (domain, host, port) VALUES (%s, '127.0.0.1', %s)", domain, port)
        tassis.start()
        old = set(tassis.processes("deliverd-remote"))
        tassis.send(to="a@slow.test", sender="test@test.com")
        harness.wait_for(lambda: any("DATA" in str(line) for line in slow.dialogue), what="the slow far end to be asked\n" + tassis.log_tail())
        assert tassis.reload(delivery_debug=True).returncode == 0
        tassis.wait_log(r"remote/0\[\d+\] - stopping ")
        tassis.send(to="b@quick.test", sender="test@test.com")
        harness.wait_for(lambda: quick.messages, what="the second message\n" + tassis.log_tail())
        (pid,) = set(re.findall(r"remote/0\[(\d+)\] \S+ next_hop_dialogue ", tassis.log_text()))
        assert int(pid) not in old
        assert old < set(tassis.processes("deliverd-remote"))  # and it is there still


def test_no_delivery_is_put_off_or_asked_twice_by_a_reload(make_tassis):
    tassis = make_tassis().start()
    stop = threading.Event()
    n = 0

    def reload():
        while not stop.is_set():
            assert tassis.tassis("reload").returncode == 0

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        for n in range(1, 201):
            tassis.send(text=f"number {n}\r\n")
    finally:
        stop.set()
        thread.join()
    harness.wait_for(lambda: len(tassis.messages()) == n, what="all messages\n" + tassis.log_tail())
    tassis.wait_queue_empty()
    assert len(tassis.messages()) == n
    assert not re.search(r" deferred | peer_lost peer=local ", tassis.log_text())  # each old worker was left, and lost nobody's question
