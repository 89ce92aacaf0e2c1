"""One message the whole way, by every way in and out."""
import re, smtplib, ssl

import pytest
from far_end import ZONE, FarEnd
from harness import wait_for

ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE


def submit(tassis, to, text="from a user\r\n", implicit=False, sender="test@test.com"):
    if implicit:
        client = smtplib.SMTP_SSL(tassis.address, tassis.smtps_port, timeout=20, context=ANY_CERTIFICATE)
        client.ehlo("laptop.example")
    else:
        client = tassis.smtp(tassis.submission_port)
        client.ehlo("laptop.example")
        client.starttls(context=ANY_CERTIFICATE)
        client.ehlo("laptop.example")
    with client:
        client.login("test@test.com", "1111")
        code, reply = client.mail(sender)
        assert code == 250, reply
        for one in to:
            code, reply = client.rcpt(one)
            assert code == 250, reply
        code, reply = client.data(f"From: <{sender}>\r\nTo: <{to[0]}>\r\nSubject: hi\r\n\r\n{text}")
        assert code == 250, reply
        return reply.decode().split()[-1]


def test_message_on_port_25_lies_in_the_maildir(tassis):
    id = tassis.send(text="into the mailbox\r\n.with a dot\r\n")
    message = tassis.wait_message("into the mailbox")
    head, _, body = message.partition(b"\n\n")
    assert head.startswith(b"Return-Path: <ann@example.org>\n")
    assert b"Delivered-To: test@test.com\n" in head
    assert re.search(rb"\nReceived: from client\.example\.org \(.*\[127\.0\.0\.1\]\)\n\tby mx\.test\.com with ESMTP\n\tid " + id.encode() + rb" for <test@test\.com>;\n", head)
    assert body == b"into the mailbox\n.with a dot\n"
    assert b"\r" not in message


def test_name_in_the_maildir_tells_size_and_virtual_size(tassis):
    tassis.send(text="sizes\r\n")
    message = tassis.wait_message("sizes")
    names = [p.name for p in (tassis.maildir() / "new").iterdir() if p.read_bytes() == message]
    size, virtual = map(int, re.search(r",S=(\d+),W=(\d+)", names[0]).groups())
    assert size == len(message) and virtual == len(message) + message.count(b"\n")


def test_accepted_message_leaves_the_spool_when_it_is_delivered(tassis):
    id = tassis.send(text="gone from the spool\r\n")
    tassis.wait_message("gone from the spool")
    tassis.wait_log(rf"{id} removed")
    tassis.wait_queue_empty()


def test_log_tells_the_whole_way_of_a_message(tassis):
    id = tassis.send(text="in the log\r\n")
    tassis.wait_log(rf"{id} removed")
    events = re.findall(rf"{id} (\w+)", tassis.log_text())
    assert [e for e in events if e in ("received", "queued", "delivered", "removed")] == ["received", "queued", "delivered", "removed"]


def test_user_submits_over_starttls_to_a_local_mailbox(tassis):
    submit(tassis, ["test@test.com"], "submitted with starttls\r\n")
    assert b"ESMTPSA" in tassis.wait_message("submitted with starttls")


def test_user_submits_over_implicit_tls(tassis):
    submit(tassis, ["test@test.com"], "submitted with implicit tls\r\n", implicit=True)
    tassis.wait_message("submitted with implicit tls")


def test_remote_recipient_is_reached_by_its_mx(make_tassis):
    with FarEnd() as far:
        tassis = make_tassis(zone=ZONE, settings={"delivery_port": far.port}).start()
        submit(tassis, ["bob@far.test"], "over the hills\r\n")
        (reverse, forward, octets, tls) = wait_for(lambda: far.messages and far.messages[0])
        assert (reverse, forward) == ("test@test.com", ["bob@far.test"])
        assert octets.endswith(b"\r\n\r\nover the hills\r\n")
        tassis.wait_queue_empty()


def test_one_message_to_a_local_and_a_remote_recipient(make_tassis):
    with FarEnd() as far:
        tassis = make_tassis(zone=ZONE, settings={"delivery_port": far.port}).start()
        submit(tassis, ["test@test.com", "bob@far.test"], "here and there\r\n")
        tassis.wait_message("here and there")
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()


def test_two_tassis_hand_a_message_from_one_to_the_other(make_tassis):
    far = make_tassis(hostname="mx.far.example", sample=False).start()
    far.sql("INSERT INTO domains(name) VALUES ('far.example')")
    far.sql("INSERT INTO users(domain, local_part, password) VALUES ('far.example', 'bob', '{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c')")
    near = make_tassis(zone="far.example MX 10 mx.far.example\nmx.far.example A 127.0.0.1\n", settings={"delivery_port": far.smtp_port}).start()
    submit(near, ["bob@far.example"], "from host to host\r\n")
    message = far.wait_message("from host to host", "bob@far.example")
    assert message.count(b"Received: ") == 2
    near.wait_log(r" remote/0.* tls_started next_hop=mx\.far\.example address=127\.0\.0\.1 tls=\"TLSv1\.3")


@pytest.mark.parametrize("address", ["::1"])
def test_ipv6_listener_takes_mail(make_tassis, address):
    tassis = make_tassis(address=address).start()
    tassis.send(text="over six\r\n")
    assert b"[IPv6:::1]" in tassis.wait_message("over six")


def test_message_of_eight_megabytes_arrives_whole(tassis):
    line = "x" * 76 + "\r\n"
    text = "big one\r\n" + line * (8 * 1024 * 1024 // len(line))
    tassis.send(text=text)
    message = tassis.wait_message("big one")
    assert message.partition(b"\n\n")[2] == text.replace("\r\n", "\n").encode()


def test_fifty_recipients_get_one_file_linked(make_tassis):
    tassis = make_tassis()
    tassis.sql("INSERT INTO users(domain, local_part, password) SELECT 'test.com', 'u' || n, '{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c' FROM generate_series(1, 50) n")
    tassis.start()
    tassis.send(to=[f"u{n}@test.com" for n in range(1, 51)], text="to all of you\r\n")
    for n in range(1, 51):
        tassis.wait_message("to all of you", f"u{n}@test.com")
    files = [p for n in range(1, 51) for p in (tassis.maildir(f"u{n}@test.com") / "new").iterdir()]
    assert len(files) == 50 and len({p.stat().st_ino for p in files}) == 1


def test_unknown_user_is_refused_at_rcpt(tassis):
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        client.mail("ann@example.org")
        code, reply = client.rcpt("nobody@test.com")
        assert code == 550 and reply.startswith(b"5.1.1")


def test_strangers_may_not_relay(tassis):
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        client.mail("ann@example.org")
        code, reply = client.rcpt("bob@elsewhere.example")
        assert (code, reply[:5]) in ((550, b"5.7.1"), (530, b"5.7.0"))


def test_wrong_password_is_refused(tassis):
    with tassis.smtp(tassis.submission_port) as client:
        client.ehlo("laptop.example")
        client.starttls(context=ANY_CERTIFICATE)
        client.ehlo("laptop.example")
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("test@test.com", "2222")
        assert refused.value.smtp_code == 535 and refused.value.smtp_error.startswith(b"5.7.8")
