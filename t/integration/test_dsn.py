"""What a sender hears of a message: as they asked for it (RFC 3461), in a form that programs read (RFC 3464), in their words and language."""
import email, email.policy, os, re

import pytest
from far_end import ZONE, FarEnd
from harness import LIBEXEC, run, wait_for
from test_thread import ANY_CERTIFICATE

QUICK = {"queue_retry_min": "1s", "queue_retry_greylist": "1s", "queue_retry_max": "1s"}
KNOWS_DSN = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 50000000", "DSN")


@pytest.fixture
def near(make_tassis):
    def make(far, zone=ZONE, **settings):
        return make_tassis(zone=zone, settings={"delivery_port": far.port, **QUICK, **settings}).start()

    return make


def submit(tassis, to, mail=(), sender="test@test.com", header="", text="from a user\r\n"):
    """to: (address, parameters of RCPT) each."""
    with tassis.smtp(tassis.submission_port) as client:
        client.ehlo("laptop.example")
        client.starttls(context=ANY_CERTIFICATE)
        client.ehlo("laptop.example")
        client.login("test@test.com", "1111")
        assert client.has_extn("dsn")
        code, reply = client.mail(sender, mail)
        assert code == 250, reply
        for address, *parameters in to:
            code, reply = client.rcpt(address, parameters)
            assert code == 250, reply
        code, reply = client.data(f"From: <{sender}>\r\nTo: <{to[0][0]}>\r\nSubject: Lunch\r\n{header}\r\n{text}")
        assert code == 250, reply


class Notice:
    """A message as RFC 3464 has it; what is not so fails the test."""

    def __init__(self, octets):
        self.octets = octets
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        assert not self.message.defects
        assert self.message.get_content_type() == "multipart/report"
        assert self.message.get_param("report-type") == "delivery-status"
        assert self.message["Auto-Submitted"] == "auto-replied" and self.message["MIME-Version"] == "1.0"
        assert self.message["Date"] and self.message["Message-ID"]
        assert self.message["Return-Path"] == "<>"
        self.people, self.machine, self.original = self.message.get_payload()
        assert self.people.get_content_type() == "text/plain"
        assert self.machine.get_content_type() == "message/delivery-status"
        self.words = self.people.get_content()
        self.about, *self.recipients = self.machine.get_payload()
        assert self.about["Reporting-MTA"] == "dns; mx.test.com" and email.utils.parsedate_to_datetime(self.about["Arrival-Date"])
        for one in self.recipients:
            assert one["Final-Recipient"].startswith("rfc822; ") and re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", one["Status"])
            assert one["Action"] in ("failed", "delayed", "delivered", "relayed", "expanded")
            assert one["Status"][0] == {"failed": "5", "delayed": "4"}.get(one["Action"], "2") or one["Status"] == "4.4.7"
            assert email.utils.parsedate_to_datetime(one["Last-Attempt-Date"])


def notices(tassis, user="test@test.com"):
    return [Notice(m) for m in tassis.messages(user) if b"multipart/report" in m]


def notice(tassis, n=1, user="test@test.com"):
    """The first of n."""
    wait_for(lambda: len(notices(tassis, user)) == n, what=f"{n} notices\n" + tassis.log_tail())
    tassis.wait_queue_empty()
    assert len(notices(tassis, user)) == n
    return notices(tassis, user)[0]


def test_success_is_told_of_a_mailbox(near):
    with FarEnd() as far:
        tassis = near(far)
        submit(tassis, [("test@test.com", "NOTIFY=SUCCESS", "ORCPT=rfc822;Te+2Bst@test.com")], ["ENVID=QQ+2B314159"])
        told = notice(tassis)
        (one,) = told.recipients
        assert (one["Action"], one["Final-Recipient"], one["Original-Recipient"]) == ("delivered", "rfc822; test@test.com", "rfc822; Te+st@test.com")
        assert told.about["Original-Envelope-Id"] == "QQ+314159"
        assert "It lies in the mailbox." in told.words and told.message["Subject"] == "Your message was delivered"
        assert told.original.get_content_type() == "text/rfc822-headers" and b"from a user" not in told.octets


def test_success_is_told_of_a_host_that_does_not_know_dsn(near):
    with FarEnd() as far:
        tassis = near(far)
        submit(tassis, [("bob@far.test", "NOTIFY=SUCCESS")], ["RET=FULL"])
        (one,) = notice(tassis).recipients
        assert (one["Action"], one["Remote-MTA"], one["Diagnostic-Code"]) == ("relayed", "dns; mx.far.test", "smtp; 250 2.0.0 taken")
        assert not any("NOTIFY" in line or "RET=" in line for line in far.dialogue)


def test_a_host_that_knows_dsn_gets_what_was_asked_for(near):
    with FarEnd(extensions=KNOWS_DSN) as far:
        tassis = near(far)
        tassis.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'other', 'eve@far.test')")
        submit(tassis, [("bob@far.test", "NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bx@x.test"), ("other@test.com", "NOTIFY=FAILURE"), ("dan@far.test",)], ["RET=HDRS", "ENVID=e1"])
        wait_for(lambda: sum(len(m[1]) for m in far.messages) == 3)
        tassis.wait_queue_empty()
        assert any(re.fullmatch(r"C: MAIL FROM:<test@test.com>.* RET=HDRS ENVID=e1", line) for line in far.dialogue)
        assert "C: RCPT TO:<bob@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@x.test" in far.dialogue
        assert "C: RCPT TO:<eve@far.test> NOTIFY=FAILURE ORCPT=rfc822;other@test.com" in far.dialogue
        assert "C: RCPT TO:<dan@far.test>" in far.dialogue
        assert not notices(tassis)


def test_a_list_is_expanded(near):
    with FarEnd(extensions=KNOWS_DSN) as far:
        tassis = near(far)
        tassis.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'all', 'eve@far.test'), ('test.com', 'all', 'test@test.com')")
        submit(tassis, [("all@test.com", "NOTIFY=SUCCESS,FAILURE")])
        (one,) = notice(tassis).recipients
        assert (one["Action"], one["Final-Recipient"]) == ("expanded", "rfc822; all@test.com")
        assert "C: RCPT TO:<eve@far.test> NOTIFY=FAILURE ORCPT=rfc822;all@test.com" in far.dialogue


def test_failure_returns_the_whole_message_or_its_header(near):
    with FarEnd({"RCPT": "550 5.1.1 nobody here"}) as far:
        tassis = near(far, bounce_size_max="20k")
        submit(tassis, [("bob@far.test",)], ["RET=FULL", "ENVID=whole"])
        told = notice(tassis)
        (one,) = told.recipients
        assert (one["Action"], one["Status"], one["Diagnostic-Code"]) == ("failed", "5.1.1", "smtp; 550 5.1.1 nobody here")
        assert "nobody here" in told.words and "bob@far.test" in told.words
        assert told.original.get_content_type() == "message/rfc822" and "from a user" in told.original.get_payload(0).get_content()
        submit(tassis, [("bob@far.test",)], ["RET=HDRS", "ENVID=header"])
        notice(tassis, 2)
        submit(tassis, [("bob@far.test",)], ["RET=FULL", "ENVID=large"], text="from a user\r\n" * 2000)
        notice(tassis, 3)
        told = {t.about["Original-Envelope-Id"]: t for t in notices(tassis)}
        for name in ("header", "large"):
            assert told[name].original.get_content_type() == "text/rfc822-headers"
            assert b"Subject: Lunch" in told[name].octets and b"from a user" not in told[name].octets


def test_never_and_other_words_are_heeded(near):
    with FarEnd({"RCPT": "550 5.1.1 nobody here"}) as far:
        tassis = near(far)
        submit(tassis, [("bob@far.test", "NOTIFY=NEVER"), ("eve@far.test", "NOTIFY=SUCCESS,DELAY"), ("dan@far.test", "NOTIFY=FAILURE"), ("test@test.com", "NOTIFY=NEVER")])
        (one,) = notice(tassis).recipients
        assert one["Final-Recipient"] == "rfc822; dan@far.test"
        assert len(re.findall("notice_unwanted", tassis.log_text())) == 2


def test_delay_is_told_once_and_not_of_what_went_to_a_list(near):
    with FarEnd({"RCPT": "450 4.2.1 come again"}) as far:
        tassis = near(far, queue_delay_warning="2s")
        for word in ("bulk", "List", "junk"):
            submit(tassis, [("bob@far.test",)], header=f"Precedence: {word}\r\n")
        submit(tassis, [("eve@far.test",), ("dan@far.test", "NOTIFY=FAILURE")])
        wait_for(lambda: notices(tassis), what="a notice\n" + tassis.log_tail())
        seen = tassis.log_text().count("deferred ")
        wait_for(lambda: tassis.log_text().count("deferred ") > seen + 15)
        (told,) = notices(tassis)
        (one,) = told.recipients
        assert (one["Action"], one["Status"], one["Final-Recipient"]) == ("delayed", "4.2.1", "rfc822; eve@far.test")
        until = email.utils.parsedate_to_datetime(one["Will-Retry-Until"]) - email.utils.parsedate_to_datetime(told.about["Arrival-Date"])
        assert until.total_seconds() == 5 * 86400
        id = re.search(r" (\S+) warned id=", tassis.log_text())[1]
        assert "come again" in (shown := tassis.tassis("queue", "show", id).stdout) and "failed" not in shown
        tassis.kill("queued")
        seen = tassis.log_text().count("deferred ")
        wait_for(lambda: tassis.log_text().count("deferred ") > seen + 10)
        assert len(notices(tassis)) == 1


def test_a_bounce_of_a_bounce_goes_to_double_bounce_once(near):
    with FarEnd({"RCPT": "550 5.1.1 nobody here"}) as far:
        tassis = near(far, double_bounce="test@test.com", auth_sender="any")
        submit(tassis, [("bob@far.test",)], sender="gone@far.test")
        told = notice(tassis)
        (one,) = told.recipients
        assert one["Final-Recipient"] == "rfc822; gone@far.test" and told.message["Subject"] == "A notice could not be delivered"
        assert b"Final-Recipient: rfc822; bob@far.test" in told.octets  # of the notice in it
        assert len(re.findall(" double_bounced ", tassis.log_text())) == 1


def test_a_double_bounce_that_fails_is_dropped_and_logged(near):
    with FarEnd({"RCPT": "550 5.1.1 nobody here"}) as far:
        tassis = near(far, double_bounce="also-gone@far.test", auth_sender="any")
        submit(tassis, [("bob@far.test",)], sender="gone@far.test")
        tassis.wait_log("notice_dropped .*to=also-gone@far.test")
        tassis.wait_queue_empty()
        assert len(re.findall(" double_bounced ", tassis.log_text())) == 1 and not tassis.messages()


def test_notices_are_sent_so_that_nobody_answers_them(near):
    with FarEnd({"RCPT bob@far.test": "550 5.1.1 nobody here"}, extensions=KNOWS_DSN) as far:
        tassis = near(far, auth_sender="any")
        submit(tassis, [("bob@far.test",)], sender="eve@far.test")
        wait_for(lambda: far.messages)
        assert far.messages[0][0] == "" and "C: RCPT TO:<eve@far.test> NOTIFY=NEVER" in far.dialogue


def test_words_can_be_replaced_and_translated(near):
    with FarEnd({"RCPT": "550 5.1.1 nobody here"}) as far:
        tassis = near(far, notice_language="de")
        submit(tassis, [("bob@far.test",)])
        told = notice(tassis)
        assert told.message["Subject"] == "Ihre Nachricht konnte nicht zugestellt werden" and "Was Sie tun können" in told.words
        templates = tassis.folder / "templates" / "en"
        templates.mkdir(parents=True)
        (templates / "failure.txt").write_text("Subject: Zurück: %{id}\nRefused: %{host} will nicht:\n\nHallo\n%{recipients}\nIhr %{hostname}\n")
        (templates / "delay.txt").write_text("this is not how it is done\n")
        assert tassis.reload(notice_language="en", notice_templates=tassis.folder / "templates").returncode == 0
        tassis.wait_log("file_unusable .*en/delay.txt")
        submit(tassis, [("bob@far.test",)])
        notice(tassis, 2)
        told = next(t for t in notices(tassis) if "Hallo" in t.words)
        assert told.message["Subject"].startswith("Zurück: ") and "mx.far.test will nicht:" in told.words and "Ihr mx.test.com" in told.words


def test_sendmail_asks_for_notices(near):
    with FarEnd(extensions=KNOWS_DSN) as far:
        tassis = near(far)
        conf = tassis.folder / "sendmail.conf"
        conf.write_text(f"spool_dir = {tassis.spool}\n")
        run(LIBEXEC / "sendmail", "-C", conf, "-N", "success,failure", "-R", "hdrs", "-V", "x+1", "-f", "test@test.com", "bob@far.test", input="Subject: hi\n\nhello\n", env={**os.environ, "MAIN_CONF": str(tassis.main_conf)})
        wait_for(lambda: far.messages)
        assert any(re.search(r"RET=HDRS ENVID=x\+2B1", line, re.I) for line in far.dialogue)
        assert any(re.search(r"RCPT TO:<bob@far.test> NOTIFY=SUCCESS,FAILURE", line, re.I) for line in far.dialogue)
