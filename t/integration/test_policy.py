"""Who may send to whom, asked of the real daemons: the table of t/vectors/policy, by every kind of client, a session each. And what becomes of spam, of what a
user submits, of a full mailbox."""
import smtplib, socket, ssl

import pytest
from harness import PATIENCE, TOP, Tassis, wait_for

ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE
ROWS = [line.split("\t") for line in (TOP / "t/vectors/policy/recipients").read_text().splitlines() if line and line[0] != "#"]
PASSWORD = "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"
RELAY_OF_ONE, RELAY_OF_ALL, RELAY_BY_NETWORK = "127.0.0.2", "127.0.0.3", "127.0.7.9"
# A reverse-path: what it is in the table, whose own it is, and which client is a relay for it.
SENDERS = {
    "": ("null", True, (RELAY_OF_ONE, RELAY_OF_ALL, RELAY_BY_NETWORK)),
    "ann@example.org": ("remote", False, ()),
    "test@elsewhere.example": ("remote", True, ()),
    "test@test.com": ("local", True, (RELAY_OF_ONE, RELAY_OF_ALL)),
    "test+list@test.com": ("local", True, (RELAY_OF_ONE, RELAY_OF_ALL)),
    "boss@test.com": ("local", False, (RELAY_OF_ONE, RELAY_OF_ALL)),
    "carol@second.example": ("local", False, (RELAY_OF_ALL, RELAY_BY_NETWORK)),
}
RECIPIENTS = {"eve@example.net": "remote", "test@test.com": "local", "list@test.com": "local", "carol@second.example": "local", "x@relay.example": "relay", "nobody@test.com": "unknown", "off@test.com": "disabled"}


def verdict(*facts):
    (row,) = [row for row in ROWS if all(column in ("*", fact) for column, fact in zip(row, facts))]
    return row[-1]


class Local(smtplib.SMTP):
    """A program of this host, at public/submit."""

    def _get_socket(self, path, _, timeout):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(path)
        return s


class Policy(Tassis):
    def fill(self):
        self.sql("INSERT INTO domains(name) VALUES ('second.example')")
        self.sql("INSERT INTO domains(name, kind, recipients) VALUES ('relay.example', 'relay', 'any')")
        self.sql("INSERT INTO users(domain, local_part, password) VALUES ('second.example', 'carol', %s)", PASSWORD)
        self.sql("INSERT INTO users(domain, local_part, enabled) VALUES ('test.com', 'off', false)")
        self.sql("INSERT INTO users(domain, local_part, quota_messages) VALUES ('test.com', 'small', 2)")
        self.sql("INSERT INTO aliases(domain, local_part, target) VALUES ('test.com', 'list', 'test@test.com'), ('test.com', 'list', 'carol@second.example')")
        self.sql("INSERT INTO sender_addresses(user_id, address) SELECT id, 'test@elsewhere.example' FROM users WHERE local_part = 'test'")
        self.sql("INSERT INTO relays(network, domain) VALUES (%s, 'test.com'), (%s, NULL), ('127.0.7.0/24', 'second.example')", RELAY_OF_ONE, RELAY_OF_ALL)
        return self

    def client(self, who):
        if who == "host":
            return Local(str(self.spool / "public/submit"), 25, timeout=PATIENCE, local_hostname="localhost")
        if who != "user":
            return self.smtp(source_address=(who, 0), local_hostname="client.example")
        client = smtplib.SMTP_SSL(self.address, self.smtps_port, timeout=PATIENCE, context=ANY_CERTIFICATE, local_hostname="laptop.example")
        client.ehlo()
        client.login("test@test.com", "1111")
        return client

    def submit(self, who, sender, to, header, text):
        """The end of data's reply."""
        with self.client(who) as client:
            client.ehlo()
            assert client.mail(sender)[0] == 250
            assert client.rcpt(to)[0] == 250
            return client.data(header + "\r\n" + text + "\r\n")


def make(cluster, **settings):
    return Policy(cluster, settings={"smtp_max_errors": 1000, **settings}).fill()


@pytest.fixture(scope="module")
def plain(cluster):
    one = make(cluster)
    yield one.start()
    one.end()


@pytest.fixture(scope="module")
def other(cluster):
    """Every setting that this is about is not as it is by default."""
    one = make(cluster, auth_sender="any", local_sender="spf", null_sender="reject", quota_full="permanent", spam_header=["X-Spam-Flag: YES"], save_sent=True, envelope_from="header")
    yield one.start()
    one.end()


def everything_is_as_the_table_says(tassis, who):
    login = {"user": "yes", "host": "host"}.get(who, "no")
    settings = [tassis.tassis("config", name).stdout.strip() for name in ("auth_sender", "local_sender", "null_sender")]
    wrong = []
    with tassis.client(who) as client:
        client.ehlo()
        for sender, (kind, own, relays) in SENDERS.items():
            for to, where in RECIPIENTS.items():
                wanted = verdict(login, kind, where, "yes" if who in relays else "no", "yes" if own and who == "user" else "no", "no", *settings)
                assert client.mail(sender)[0] == 250
                code, reply = client.rcpt(to)
                got = "taken" if code == 250 else f"{code} {reply.decode().split()[0]}"
                if got != wanted:
                    wrong.append(f"{who} from <{sender}> to <{to}>: {code} {reply.decode()}, not {wanted}")
                client.rset()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", ["127.0.0.1", RELAY_OF_ONE, RELAY_OF_ALL, RELAY_BY_NETWORK, "user", "host"])
def test_policy_is_as_the_table_says(plain, who):
    everything_is_as_the_table_says(plain, who)


@pytest.mark.parametrize("who", ["127.0.0.1", RELAY_OF_ONE, RELAY_OF_ALL, RELAY_BY_NETWORK, "user", "host"])
def test_policy_with_the_other_settings_is_as_the_table_says(other, who):
    everything_is_as_the_table_says(other, who)


def test_nobody_sends_at_a_port_of_users_without_a_login(plain):
    with smtplib.SMTP_SSL(plain.address, plain.smtps_port, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        client.ehlo("laptop.example")
        for sender in SENDERS:
            code, reply = client.mail(sender)
            assert (code, reply[:5]) == (530, b"5.7.0")


def test_refused_recipient_has_one_line_in_the_log_with_the_clients_address(plain):
    with plain.client("127.0.0.1") as client:
        client.ehlo()
        client.mail("boss@test.com")
        client.rcpt("logged@example.net")
    plain.wait_log(r"recipient_refused session=\S+ client=127\.0\.0\.1 .*from=boss@test\.com to=logged@example\.net reply=550 status=5\.7\.1 reason=")


def test_relay_that_is_deleted_may_no_longer_send(make_tassis, cluster):
    tassis = make(cluster)
    make_tassis.made.append(tassis)
    tassis.start()

    def answer():
        with tassis.client(RELAY_OF_ONE) as client:
            client.ehlo()
            client.mail("test@test.com")
            return client.rcpt("eve@example.net")[0]

    assert answer() == 250
    tassis.sql("DELETE FROM relays")
    wait_for(lambda: answer() == 550)


def test_spam_is_marked_in_mail_from_others(other):
    since = len(other.log_text())
    code, _ = other.submit("127.0.0.1", "ann@example.org", "test@test.com", "X-Spam-Flag: YES\r\n", "buy this")
    assert code == 250
    other.wait_log(r'"route_ask reverse_path=ann@example\.org forward_path=test@test\.com spam=yes ', since=since)
    code, _ = other.submit("user", "test@test.com", "test@test.com", "From: test@test.com\r\nX-Spam-Flag: YES\r\n", "forwarded spam")
    assert code == 250
    other.wait_log(r'"route_ask reverse_path=test@test\.com forward_path=test@test\.com spam=no ', since=since)


def test_submitted_message_is_saved_in_sent(other):
    since = len(other.log_text())
    code, reply = other.submit("user", "test@test.com", "carol@second.example", "From: test@test.com\r\n", "kept for me")
    assert code == 250
    message = other.wait_message("kept for me", "carol@second.example")
    assert b" for <carol@second.example>" in message
    other.wait_log(r'"route_ask reverse_path=test@test\.com forward_path=test@test\.com spam=no mailbox=sent"', since=since)
    wait_for(lambda: any(b"kept for me" in m for m in other.messages(folder=".sent")), what="the copy in sent\n" + other.log_tail())
    other.wait_log(rf"{reply.decode().split()[-1]} removed")


def test_from_field_is_the_reverse_path(other):
    code, _ = other.submit("user", "test@test.com", "carol@second.example", 'From: "T. est" <Test@Elsewhere.example>\r\n', "by its header")
    assert code == 250
    assert b"Return-Path: <Test@elsewhere.example>\n" in other.wait_message("by its header", "carol@second.example")
    code, _ = other.submit("host", "root@mx.test.com", "carol@second.example", "From: cron <boss@test.com>\r\n", "by a program")
    assert code == 250
    assert b"Return-Path: <boss@test.com>\n" in other.wait_message("by a program", "carol@second.example")


def test_from_field_that_is_not_ones_own_is_refused(make_tassis, cluster):
    tassis = make(cluster, envelope_from="header")
    make_tassis.made.append(tassis)
    tassis.start()
    code, reply = tassis.submit("user", "test@test.com", "carol@second.example", "From: boss@test.com\r\n", "as the boss")
    assert (code, reply) == (550, b"5.7.1 the message is from boss@test.com: the sender's address is not one of yours")
    tassis.wait_log(r"message_refused .*user=test@test\.com from=test@test\.com reply=550 status=5\.7\.1")
    assert tassis.submit("user", "", "carol@second.example", "From: boss@test.com\r\n", "null stays null")[0] == 250
    assert b"Return-Path: <>\n" in tassis.wait_message("null stays null", "carol@second.example")


def test_deliverd_is_asked_for_room_at_rcpt(plain):
    since = len(plain.log_text())
    with plain.client("127.0.0.1") as client:
        client.ehlo()
        client.mail("ann@example.org", ["SIZE=12345"])
        assert client.rcpt("small@test.com")[0] == 250
        assert client.rcpt("test@test.com")[0] == 250
    plain.wait_log(r"local/\S+ - frame peer=smtpd step=received text=\"quota_ask folder=test\.com/small/ quota_bytes=0 quota_messages=2 size_bytes=12345\"", since=since)
    assert len([line for line in plain.log_text()[since:].splitlines() if "step=received text=\"quota_ask" in line]) == 1
