"""Quota without Dovecot: reached at RCPT, reached by a list's members at delivery, and refused for good where the setting says so."""
import pytest

import harness

SMALL = 100000


@pytest.fixture
def small(make_tassis):
    """A user with a quota of 100,000 octets, and a list with them in it, whose folder RCPT does not know."""

    def make(**settings):
        tassis = make_tassis(settings={"log_level": "debug", **settings})
        tassis.sql("UPDATE users SET quota_bytes = %s", SMALL)
        tassis.sql("INSERT INTO users (domain, local_part) VALUES ('test.com', 'other')")
        tassis.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'list', 'test@test.com'), ('test.com', 'list', 'other@test.com')")
        return tassis.start()

    return make


def ask(tassis, size=None, to="test@test.com"):
    with tassis.smtp() as client:
        client.ehlo()
        assert client.mail("ann@example.org", [f"SIZE={size}"] if size is not None else [])[0] == 250
        code, reply = client.rcpt(to)
        return code, reply.decode().split()[0]


def fill(tassis):
    """A message that takes all the room there is."""
    tassis.send(text=("y" * 70 + "\r\n") * (SMALL // 70), subject="fills")
    tassis.wait_message("Subject: fills")
    tassis.wait_queue_empty()


def test_recipient_over_quota_gets_452(small):
    tassis = small()
    assert ask(tassis, SMALL) == (250, "2.1.5")
    assert ask(tassis, SMALL + 1) == (452, "4.2.2")
    fill(tassis)
    assert ask(tassis) == (452, "4.2.2")
    assert ask(tassis, 1) == (452, "4.2.2")
    assert ask(tassis, to="other@test.com") == (250, "2.1.5")
    tassis.sql("UPDATE users SET quota_bytes = NULL")
    harness.wait_for(lambda: ask(tassis)[0] == 250, 5)


def test_recipient_over_quota_gets_552_where_the_setting_says_so(small):
    tassis = small(quota_full="permanent")
    assert ask(tassis, SMALL + 1) == (552, "5.2.2")


def test_list_member_over_quota_is_put_off_and_others_have_it(small):
    tassis = small()
    fill(tassis)
    tassis.send(to="list@test.com", text="to the list\r\n")
    tassis.wait_message("to the list", "other@test.com")
    tassis.wait_log(r"to=test@test\.com .*status=4\.2\.2")
    assert not any(b"to the list" in m for m in tassis.messages())
    for path in (tassis.maildir() / "new").iterdir():
        path.unlink()
    (tassis.maildir() / "maildirsize").unlink()
    tassis.tassis("queue", "flush")
    tassis.wait_message("to the list")
    tassis.wait_queue_empty()
    assert len(tassis.messages("other@test.com")) == 1


def test_list_member_over_quota_is_refused_for_good_where_the_setting_says_so(small):
    tassis = small(quota_full="permanent")
    fill(tassis)
    tassis.sql("INSERT INTO relays (network) VALUES ('127.0.0.1')")
    tassis.send(to="list@test.com", sender="other@test.com", text="to the list\r\n")
    notice = tassis.wait_message("5.2.2", "other@test.com")
    assert b"the mailbox is full" in notice and b"test@test.com" in notice
    tassis.wait_queue_empty()
