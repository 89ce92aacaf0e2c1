"""When a message is tried again: a host that is dead, one that turns connections away, one that greylists; with real daemons and a far end on loopback."""
import re, time

import pytest

from far_end import ZONE, FarEnd
from harness import free_port, wait_for


@pytest.fixture
def own(make_tassis):
    return make_tassis(zone=ZONE)


def begin(own, port, **settings):
    own.write_conf(**{"queue_retry_min": "3s", "queue_retry_max": "40s", "delivery_port": port, **settings})
    own.start()
    own.sql("INSERT INTO relays(network) VALUES ('127.0.0.0/8') ON CONFLICT DO NOTHING")


def send(own, n, to="you@far.test"):
    for i in range(n):
        own.send(to=to, sender="test@test.com", subject=f"number {i}")


def n_tries(own):
    return len(re.findall(r" next_hop_failed ", own.log_text()))


def test_dead_host_costs_one_probe_a_period(own):
    port = free_port()
    begin(own, port)
    send(own, 30)
    own.wait_log(r" destination_failing .*far\.test")
    wait_for(lambda: len(re.findall(r" deferred ", own.log_text())) >= 30, what="all to wait")
    first = n_tries(own)
    assert first <= 10  # the first five, and those whose route was asked meanwhile
    time.sleep(10)  # periods of 3 to 5 s: probes, not 30 attempts each
    assert n_tries(own) - first <= 4
    with FarEnd(port=port) as far:
        wait_for(lambda: len(far.messages) == 30, 60, "all to come when the host is back")
    own.wait_log(r" destination_back ")
    own.wait_queue_empty()


def test_flush_probes_a_dead_host(own):
    port = free_port()
    begin(own, port, queue_retry_min="1h", queue_retry_max="4h")
    send(own, 12)
    own.wait_log(r" destination_failing ")
    wait_for(lambda: len(re.findall(r" deferred ", own.log_text())) >= 12, what="all to wait")
    with FarEnd(port=port) as far:
        time.sleep(1)
        assert not far.messages
        own.tassis("queue", "flush")
        wait_for(lambda: len(far.messages) == 12, what="all to come after a flush")


def test_host_that_turns_all_away_by_421_is_left_alone(own):
    with FarEnd({"connect": "421 4.3.2 too busy"}) as far:
        begin(own, far.port, queue_retry_min="1h", queue_retry_max="4h")
        send(own, 25)
        own.wait_log(r" destination_failing ")
        time.sleep(2)
        assert far.connections <= 10
        far.replies.clear()
        own.tassis("queue", "flush")
        wait_for(lambda: len(far.messages) == 25, what="all to come when it takes mail")


def test_host_that_greylists_is_asked_again_soon(own):
    with FarEnd({"RCPT": ["450 4.7.1 come back in a moment", "250 2.1.5 ok"]}) as far:
        begin(own, far.port, queue_retry_min="1h", queue_retry_max="4h", queue_retry_greylist="2s")
        send(own, 1)
        own.wait_log(r" deferred ")
        began = time.monotonic()
        wait_for(lambda: far.messages, 30, "the message to be taken at the second attempt")
        assert time.monotonic() - began < 20
        assert " destination_failing " not in own.log_text()  # it speaks
