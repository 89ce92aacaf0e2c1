"""What users submit gets the fields it lacks and loses Bcc; mail of other hosts is never changed."""
import email, re, smtplib, ssl

import pytest

LOGIN = ("test@test.com", "1111")


@pytest.fixture(scope="module", autouse=True)
def quiet(tassis):
    """One instance for the file."""
    return tassis


def submit(tassis, message, to="test@test.com", sender="test@test.com"):
    """Over the port of users, logged in; returns the reply to the end of data."""
    with smtplib.SMTP_SSL(tassis.address, tassis.smtps_port, context=ssl._create_unverified_context(), timeout=20) as client:
        client.ehlo("client.example.org")
        client.user, client.password = LOGIN
        client.auth("PLAIN", client.auth_plain)
        client.mail(sender)
        client.rcpt(to)
        return client.data(message)


def content_of(stored):
    """A stored message without the trace fields that were put before it."""
    return stored[stored.index(b"\n", stored.index(b";\n\t") + 3) + 1 :].decode()


def test_date_and_message_id_are_added_below_received_and_nothing_else_changes(tassis):
    body = "From: test@test.com\r\nX-Odd:   kept  as it is \r\n\tfolded\r\nSubject: adds one\r\n\r\nbody\r\n"
    code, reply = submit(tassis, body)
    assert code == 250
    stored = tassis.wait_message("adds one")
    added, _, rest = content_of(stored).partition("From:")
    assert re.fullmatch(r"Date: \w{3}, [ \d]\d \w{3} \d{4} [\d:]{8} [+-]\d{4}\nMessage-ID: <" + reply.decode().split()[-1] + r"@mx\.test\.com>\n", added), added
    assert "From:" + rest == body.replace("\r\n", "\n")


def test_fields_that_are_there_stay_alone(tassis):
    body = "date: Tue, 1 Apr 2025 00:00:00 +0000\r\nMESSAGE-ID: <mine@test.com>\r\nSubject: adds none\r\n\r\nbody\r\n"
    assert submit(tassis, body)[0] == 250
    assert content_of(tassis.wait_message("adds none")) == body.replace("\r\n", "\n")


@pytest.mark.parametrize("octets", [10, 200000])
def test_bcc_goes_from_a_submission(tassis, octets):
    """Small, when all of it stands in memory, and large, when its header is on the disk already."""
    body = "Date: Tue, 1 Apr 2025 00:00:00 +0000\r\nMessage-ID: <mine@test.com>\r\nBcc: secret@test.com,\r\n secret2@test.com\r\n"
    body += f"Subject: hides {octets}\r\nResent-Bcc: secret3@test.com\r\n\r\nBcc: in the body stays\r\n" + "x" * 70 * (octets // 70) + "\r\n"
    assert submit(tassis, body)[0] == 250
    stored = tassis.wait_message(f"hides {octets}")
    head, _, rest = content_of(stored).partition("\n\n")
    assert head == f"Date: Tue, 1 Apr 2025 00:00:00 +0000\nMessage-ID: <mine@test.com>\nSubject: hides {octets}"
    assert rest == body.partition("\r\n\r\n")[2].replace("\r\n", "\n")
    assert b"secret" not in stored


def test_a_message_of_header_alone_loses_bcc_too(tassis):
    assert submit(tassis, "Subject: header alone\r\nBcc: secret@test.com\r\n")[0] == 250
    stored = tassis.wait_message("header alone")
    assert b"secret" not in stored and email.message_from_bytes(stored)["Message-ID"]


def test_mail_from_other_hosts_is_never_changed(tassis):
    body = "Subject: from elsewhere\r\nBcc: shown@test.com\r\n\r\nbody\r\n"
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        client.mail("ann@example.org")
        client.rcpt("test@test.com")
        assert client.data(body)[0] == 250
    assert content_of(tassis.wait_message("from elsewhere")) == body.replace("\r\n", "\n")


def test_a_header_beyond_the_limit_is_refused_552(tassis):
    code, reply = submit(tassis, "X: " + ("y" * 900 + "\r\n ") * 500 + "\r\n\r\nbody\r\n")
    assert (code, reply[:5]) == (552, b"5.3.4"), reply
    with tassis.smtp() as client:  # which is a limit of submissions alone
        client.ehlo("client.example.org")
        client.mail("ann@example.org")
        client.rcpt("test@test.com")
        assert client.data("X: " + ("y" * 900 + "\r\n ") * 500 + "\r\n\r\nlong header\r\n")[0] == 250
