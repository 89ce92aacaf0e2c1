"""Two hosts, each with its spool and daemons, on one PostgreSQL: what is said to one, both know; either may die."""
import smtplib, time

import pytest
from harness import wait_for
from test_thread import ANY_CERTIFICATE


@pytest.fixture
def hosts(make_tassis):
    one = make_tassis(hostname="mx1.test.com").start()
    two = make_tassis(hostname="mx2.test.com", database=one.database)
    two.mail = two.settings["mail_dir"] = one.mail  # as a shared file system would have it
    two.write_conf()
    return one, two.start()


def logs_in(host, user, password):
    with smtplib.SMTP_SSL(host.address, host.smtps_port, timeout=20, context=ANY_CERTIFICATE) as client:
        client.ehlo("laptop.example")
        try:
            client.login(user, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def test_user_made_on_one_host_logs_in_on_both_within_a_second(hosts):
    one, two = hosts
    assert not logs_in(one, "carol@test.com", "secret-1") and not logs_in(two, "carol@test.com", "secret-1")  # both have asked, and may remember
    one.tassis("user", "add", "carol@test.com", "--password-stdin", input="secret-1\n")
    began = time.monotonic()
    for host in hosts:
        wait_for(lambda: logs_in(host, "carol@test.com", "secret-1"), 1, "the login at " + host.hostname)
    assert time.monotonic() - began < 2  # a second, and the time of the logins themselves


def test_mail_comes_to_a_user_through_either_host(hosts):
    for host in hosts:
        host.send(text=f"through {host.hostname}\r\n")
        host.wait_message(f"through {host.hostname}", seconds=20)


@pytest.mark.parametrize("dies", [0, 1])
def test_either_host_may_die(hosts, dies):
    lost, left = hosts[dies], hosts[1 - dies]
    lost.kill_all()
    left.send(text="the other one is dead\r\n")
    left.wait_message("the other one is dead")
    left.tassis("user", "add", "dora@test.com", "--password-stdin", input="secret-2\n")
    wait_for(lambda: logs_in(left, "dora@test.com", "secret-2"), 1)
    lost.start()
    wait_for(lambda: logs_in(lost, "dora@test.com", "secret-2"))
    lost.send(text="and back\r\n")
    lost.wait_message("and back")
