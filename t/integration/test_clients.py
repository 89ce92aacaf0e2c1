"""Real clients and a real far end that are not ours: swaks, openssl, smtplib with its commands pipelined by hand, Postfix's smtp-source and smtp-sink."""
import email, re, shutil, socket, subprocess, time

import pytest
from harness import AS_ROOT, PATIENCE, TOP, Tassis, free_port, run, wait_for
from test_thread import ANY_CERTIFICATE, submit


@pytest.fixture(scope="module")
def postfix_tools():
    """The words before the name of one of Postfix's tools."""
    done = run(TOP / "t/tools/postfix-tools", TOP / ".check/postfix", check=False)
    if done.returncode != 0:
        pytest.skip("smtp-source and smtp-sink cannot be had: " + done.stderr.strip().splitlines()[-1])
    *before, folder = done.stdout.split()
    return lambda tool: [*before, f"{folder}/{tool}"]


# -- swaks


@pytest.fixture
def swaks(tassis):
    if not shutil.which("swaks"):
        pytest.skip("there is no swaks here")

    def call(*words, port, check=True):
        return run("swaks", "--server", tassis.address, "--port", port, "--ehlo", "laptop.example", "--timeout", int(PATIENCE), "-f", "test@test.com", "-t", "test@test.com", *words, check=check)

    return call


LOGIN = ("--auth", "PLAIN", "--auth-user", "test@test.com", "--auth-password", "1111")


def test_swaks_submits_with_starttls_and_auth_plain(tassis, swaks):
    done = swaks("--tls", *LOGIN, "--body", "swaks over starttls", port=tassis.submission_port)
    assert re.search(r"=== TLS started with cipher TLSv1\.[23]:", done.stdout) and " ~> AUTH PLAIN " in done.stdout
    message = email.message_from_bytes(tassis.wait_message("swaks over starttls"))
    assert "with ESMTPSA" in message["Received"] and message["Return-Path"] == "<test@test.com>"


def test_swaks_submits_over_implicit_tls_with_commands_pipelined(tassis, swaks):
    swaks("--tls-on-connect", *LOGIN, "--pipeline", "--body", "swaks over implicit tls", port=tassis.smtps_port)
    tassis.wait_message("swaks over implicit tls")


def test_swaks_brings_mail_to_port_25_with_tls_and_without(tassis, swaks):
    for word in ("--tls", "--pipeline"):
        swaks(word, "-f", "ann@example.org", "--body", f"swaks to port 25 {word}", port=tassis.smtp_port)
        tassis.wait_message(f"swaks to port 25 {word}")


def test_swaks_is_not_offered_auth_in_the_clear(tassis, swaks):
    for port in (tassis.smtp_port, tassis.submission_port):
        done = swaks(*LOGIN, port=port, check=False)
        assert done.returncode == 28 and "AUTH" not in re.sub(r"(?m)^\*.*", "", done.stdout), done.stdout


# -- openssl


def s_client(tassis, *words, port, text, starttls=False):
    """What openssl and the server said. The server closes after QUIT, and openssl ends."""
    way = ["-starttls", "smtp", "-name", "laptop.example"] if starttls else []
    command = ["openssl", "s_client", "-connect", f"{tassis.address}:{port}", *way, "-crlf", "-ign_eof", *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE * 2).stdout


@pytest.mark.parametrize("starttls", [False, True], ids=["implicit", "starttls"])
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_speaks_tls_and_takes_its_session_up_again(tassis, tmp_path, version, starttls):
    port, session = tassis.submission_port if starttls else tassis.smtps_port, tmp_path / "session"
    first = s_client(tassis, f"-tls{version}", "-sess_out", session, port=port, starttls=starttls, text="EHLO laptop.example\nQUIT\n")
    name = "TLSv" + version.replace("_", ".")
    assert f"New, {name}, Cipher is " in first, first
    assert "250 HELP" in first and "221 2.0.0" in first
    for _ in range(3):
        again = s_client(tassis, f"-tls{version}", "-sess_in", session, port=port, starttls=starttls, text="QUIT\n")
        assert f"Reused, {name}, Cipher is " in again, again


def test_session_of_one_worker_is_taken_up_by_another(make_tassis, tmp_path):
    tassis = make_tassis(settings={"smtp_workers": 3, "tls_minimum": "1.3"}).start()
    session, seen = tmp_path / "session", set()
    s_client(tassis, "-sess_out", session, port=tassis.smtps_port, text="QUIT\n")

    def everyone():
        since = len(tassis.log_text())
        assert "Reused, TLSv1.3" in s_client(tassis, "-sess_in", session, port=tassis.smtps_port, text="QUIT\n")
        seen.add(tassis.wait_log(r" (smtpd/\d+)\[\d+\] \w+ tls_started ", since=since).group(1))
        return len(seen) > 1

    wait_for(everyone, what="a second worker to take a connection")
    assert "Cipher is (NONE)" in s_client(tassis, "-tls1_2", port=tassis.smtps_port, text="QUIT\n"), "tls_minimum = 1.3 is not held"


def test_versions_before_1_2_are_refused(tassis):
    for version in ("-tls1", "-tls1_1"):
        said = s_client(tassis, version, "-cipher", "DEFAULT:@SECLEVEL=0", port=tassis.smtps_port, text="QUIT\n")
        assert "Cipher is (NONE)" in said and "220 " not in said, said


# -- smtplib, its commands written by hand


def read_replies(client, n):
    return [client.getreply() for _ in range(n)]


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "tls"])
def test_groups_of_commands_in_one_packet_are_answered_in_order(tassis, encrypted):
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        assert client.has_extn("pipelining")
        if encrypted:
            client.starttls(context=ANY_CERTIFICATE)
            client.ehlo("client.example.org")
        client.sock.sendall(b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<test@test.com>\r\nRCPT TO:<nobody@test.com>\r\nDATA\r\n")
        assert [code for code, _ in read_replies(client, 4)] == [250, 250, 550, 354]
        # RFC 2920 3.1: the end of data and the next group may share a packet.
        client.sock.sendall(b"Subject: a\r\n\r\npipelined a\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<test@test.com>\r\nNOOP\r\nDATA\r\n")
        assert [code for code, _ in read_replies(client, 6)] == [250, 250, 250, 250, 250, 354]
        client.sock.sendall(b"Subject: b\r\n\r\npipelined b\r\n.\r\nQUIT\r\n")
        assert [code for code, _ in read_replies(client, 2)] == [250, 221]
    for text in ("pipelined a", "pipelined b"):
        assert text.encode() in tassis.wait_message(text)


def test_commands_that_come_octet_by_octet_are_understood(tassis):
    with tassis.smtp() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in b"EHLO client.example.org\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<test@test.com>\r\nDATA\r\n":
            client.sock.sendall(bytes([octet]))
        assert [code for code, _ in read_replies(client, 4)] == [250, 250, 250, 354]
        for octet in b"\r\n..octets\r\n.\r\n":
            client.sock.sendall(bytes([octet]))
            time.sleep(0.001)
        assert client.getreply()[0] == 250
    assert tassis.wait_message("octets").endswith(b"\n\n.octets\n")


def test_every_reply_that_may_have_an_enhanced_code_has_one(tassis):
    """Not what RFC 2034 3 leaves out: the greeting, 250 to EHLO and HELO, 354."""
    with tassis.smtp() as client:
        for command, code in (("HELO client.example.org", 250), ("EHLO client.example.org", 250), ("EHLO", 501), ("VRFY test", 252), ("VRFY", 501), ("EXPN all", 502), ("HELP", 214), ("NOOP", 250),
                              ("RSET", 250), ("AUTH PLAIN AAAA", 502), ("BDAT 1", 500), ("RCPT TO:<test@test.com>", 503), ("DATA", 503), ("MAIL", 501), ("MAIL FROM:<a b@c>", 501), ("MAIL FROM:<ann@example.org> X=1", 555),
                              ("MAIL FROM:<ann@example.org> SIZE=99999999999", 552), ("MAIL FROM:<ann@example.org>", 250), ("MAIL FROM:<ann@example.org>", 503), ("RCPT TO:<nobody@test.com>", 550), ("DATA", 554),
                              ("RCPT TO:<test@test.com>", 250), ("STARTTLS x", 501), ("DATA", 354), (".", 250), ("QUIT", 221)):
            client.putcmd(command)
            said, text = client.getreply()
            plain = said == 354 or (command[:4] in ("EHLO", "HELO") and said == 250)
            has = bool(re.match(rb"%d\.\d{1,3}\.\d{1,3} " % (said // 100), text))
            assert (said, has) == (code, not plain), (command, said, text)


# -- smtp-source


def test_smtp_source_brings_many_messages_over_many_connections(tassis, postfix_tools):
    before = len(tassis.messages())
    run(*postfix_tools("smtp-source"), "-s", 10, "-m", 300, "-l", 2000, "-f", "ann@example.org", "-t", "test@test.com", "-S", "from smtp-source", "-M", "source.example.org", f"{tassis.address}:{tassis.smtp_port}", timeout=PATIENCE * 3)
    wait_for(lambda: len(tassis.messages()) == before + 300, PATIENCE * 2, "300 messages in the mailbox")
    tassis.wait_queue_empty()
    ours = [m for m in tassis.messages() if b"\nSubject: from smtp-source\n" in m]
    assert len(ours) == 300 and len({re.search(rb"\n\tid (\w{22})", m).group(1) for m in ours}) == 300


# -- smtp-sink


class Sink:
    """Postfix's smtp-sink at a port; what it took lies in a file each."""

    def __init__(self, tool, folder, port, *words):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        user = ["-u", "nobody"] if AS_ROOT else []
        self.process = subprocess.Popen([*tool, *user, "-d", f"{folder}/", *words, f"127.0.0.1:{port}", "100"], stderr=subprocess.DEVNULL)
        wait_for(lambda: self.answers(port), what="smtp-sink to answer")

    @staticmethod
    def answers(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    def messages(self):
        return [p.read_bytes() for p in self.folder.iterdir()]

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def sink(tassis_to_sink, postfix_tools):
    tassis, port = tassis_to_sink
    made = []

    def start(*words):
        made.append(Sink(postfix_tools("smtp-sink"), tassis.folder / f"sink{time.monotonic_ns()}", port, *words))
        return made[-1]

    yield start
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def tassis_to_sink(cluster):
    port = free_port()
    zone = "".join(f"{name}.test MX 10 mx.{name}.test\nmx.{name}.test A 127.0.0.1\n" for name in ("many", "hard", "soft", "gone", "old"))
    tassis = Tassis(cluster, zone=zone, settings={"delivery_port": port, "queue_retry_min": "1s", "queue_retry_max": "1s", "log_level": "info"})
    try:
        yield tassis.start(), port
    finally:
        tassis.end()


def test_smtp_sink_takes_what_smtp_source_brings_through_us(tassis_to_sink, sink, postfix_tools):
    """An alias leads abroad, so that port 25 takes it."""
    tassis, _ = tassis_to_sink
    tassis.sql("INSERT INTO aliases(domain, local_part, target) VALUES ('test.com', 'abroad', 'bob@many.test')")
    taker = sink()
    run(*postfix_tools("smtp-source"), "-s", 5, "-m", 100, "-l", 1000, "-f", "ann@example.org", "-t", "abroad@test.com", f"{tassis.address}:{tassis.smtp_port}", timeout=PATIENCE * 3)
    wait_for(lambda: len(taker.messages()) == 100, PATIENCE * 2, "100 messages at the far end")
    tassis.wait_queue_empty()
    for message in taker.messages():
        assert b"\nX-Rcpt-Args: <bob@many.test>" in message and b"ann@example.org" in message


def test_smtp_sink_that_refuses_for_good_makes_a_bounce_with_its_words(tassis_to_sink, sink):
    tassis, _ = tassis_to_sink
    sink("-f", "RCPT", "-B", "552 5.2.2 no room for Bob")
    submit(tassis, ["bob@hard.test"], "to be refused\r\n")
    assert b"552 5.2.2 no room for Bob" in tassis.wait_message("bob@hard.test")
    tassis.wait_queue_empty()


@pytest.mark.parametrize("domain,words", [("soft", ("-r", "DATA")), ("gone", ("-q", "MAIL"))], ids=["refuses for now", "disconnects"])
def test_smtp_sink_that_cannot_now_gets_it_later(tassis_to_sink, sink, domain, words):
    tassis, _ = tassis_to_sink
    ill = sink(*words)
    submit(tassis, [f"bob@{domain}.test"], "again later\r\n")
    tassis.wait_log(rf" deferred .*to=bob@{domain}\.test")
    ill.stop()
    well = sink()
    wait_for(lambda: any(b"again later" in m for m in well.messages()), what="the message at the far end")
    tassis.wait_queue_empty()
    assert not ill.messages()


def test_smtp_sink_that_knows_no_esmtp_is_served(tassis_to_sink, sink):
    tassis, _ = tassis_to_sink
    old = sink("-e")
    submit(tassis, ["bob@old.test"], "as in 1982\r\n")
    wait_for(lambda: any(b"as in 1982" in m for m in old.messages()), what="the message at the far end")
    tassis.wait_queue_empty()
