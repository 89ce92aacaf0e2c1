"""The log: where it goes, rotation, and that a line is one event whatever a peer sends."""
import base64, os, re, signal, socket, subprocess, threading

import pytest
from far_end import ZONE, FarEnd
from harness import AS_ROOT, SANITIZED, TOP, wait_for
from test_thread import ANY_CERTIFICATE

DAEMONS = {"master", "smtpd", "lookupd", "resolvd", "queued", "local", "remote"}
EVENTS_H = (TOP / "common/log/events.h").read_text()
EVENTS = "|".join(re.findall(r"EVENT\((\w+), [A-Z]", EVENTS_H))
KEYS = "|".join(re.findall(r"KEY\((\w+), \"", EVENTS_H))
BARE, QUOTED = r"[-._@:/+<>\[\]=~,0-9A-Za-z]+", r'"(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9A-F]{2})*"'
FIELDS = rf"(?:{BARE} |- )(?:{EVENTS})(?: (?:{KEYS})=(?:{BARE}|{QUOTED})(?:\.\.\.)?)*(?: \.\.\.)?"
LINE = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z ({'|'.join(DAEMONS)})(?:/\d+)?\[\d+\] {FIELDS}")
SYSLOG_LINE = re.compile(rf"<(\d+)>tassis/({'|'.join(DAEMONS)})(?:/\d+)?\[\d+\]: {FIELDS}")


# What a sanitizer says of OpenSSL's own stacks; no line of ours.
NOT_OURS = re.compile(r"^==\d+==WARNING: ASan is ignoring requested .*\nFalse positive .*\nFor details .*\n?", re.M)


def daemons_of(text, form=LINE):
    """Which daemons wrote, after a look at every line."""
    found = set()
    if SANITIZED:
        text = NOT_OURS.sub("", text)
    for line in text.splitlines():
        match = form.fullmatch(line)
        assert match, f"no line of the log:\n{line!r}"
        found.add(match.groups()[-1])
    return found


# -- where it goes


def test_lines_of_every_daemon_go_to_standard_error(make_tassis):
    tassis = make_tassis(settings={"log_to": "stderr"}).start()
    id = tassis.send(text="to standard error\r\n")
    out = tassis.folder / "log" / "master.out"
    wait_for(lambda: f"{id} removed" in out.read_text())
    tassis.stop()
    assert daemons_of(out.read_text()) == DAEMONS
    assert not tassis.log.exists()


def write_to_both(tassis, old, reopen):
    """Sends a message before and one after the log was renamed and reopen was called; each stands in its own file, whole."""
    before = tassis.send(text="before\r\n")
    tassis.wait_log(rf"{before} removed")
    tassis.log.rename(old)
    between = tassis.send(text="between\r\n")
    wait_for(lambda: f"{between} removed" in old.read_text(), what="the renamed file to be written on")
    reopen()
    wait_for(tassis.log.exists, what="a new log file")
    wait_for(lambda: f"{tassis.send(text='after')} removed" in tassis.log_text())
    ended = old.read_text()
    after = tassis.send(text="after\r\n")
    tassis.wait_log(rf"{after} removed")
    assert old.read_text() == ended, "a daemon still writes to the old file"
    assert [e for e in re.findall(rf"{after} (\w+)", tassis.log_text()) if e in ("received", "queued", "delivered", "removed")] == ["received", "queued", "delivered", "removed"]


def test_log_is_opened_anew_on_usr1(tassis):
    write_to_both(tassis, tassis.folder / "log" / "usr1", lambda: os.kill(tassis.master.pid, signal.SIGUSR1))
    assert tassis.log.stat().st_mode & 0o777 == 0o640


def test_log_is_opened_anew_on_control_reopen(tassis):
    write_to_both(tassis, tassis.folder / "log" / "reopen", lambda: tassis.tassis("control", "reopen"))


def test_log_that_cannot_be_opened_anew_stays_where_it_was(tassis):
    old = tassis.folder / "log" / "stays"
    tassis.log.rename(old)
    tassis.log.mkdir()
    tassis.tassis("control", "reopen")
    assert re.search(rf"master\[\d+\] - file_unusable .*{tassis.log}", old.read_text())
    id = tassis.send(text="in the old log\r\n")
    wait_for(lambda: f"{id} removed" in old.read_text())
    tassis.log.rmdir()
    old.rename(tassis.log)
    tassis.tassis("control", "reopen")


def test_level_of_the_log_changes_on_reload(make_tassis):
    tassis = make_tassis(settings={"log_level": "info"}).start()
    assert tassis.reload(log_level="warning").returncode == 0

    def silent():
        since = len(tassis.log_text())
        tassis.send(text="unheard\r\n")
        tassis.wait_queue_empty()
        return " received " not in tassis.log_text()[since:]

    wait_for(silent)


class Syslog:
    """A system log: a datagram socket, and what came."""

    def __init__(self, path):
        self.path, self.lines, self.socket = path, [], None
        self.start()

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        threading.Thread(target=self.run, args=(self.socket,), daemon=True).start()

    def run(self, mine):
        while line := mine.recv(65536):
            self.lines.append(line.decode())

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.path.unlink()

    def has(self, text):
        return any(text in line for line in self.lines)


# /dev/log is this instance's alone: a /dev of few nodes, in a mount namespace of its own.
PRIVATE_DEV = """
mount -t tmpfs -o mode=755 tassis-t "$0/dev"
for node in null zero full random urandom; do : >"$0/dev/$node"; mount --bind "/dev/$node" "$0/dev/$node"; done
ln -s /proc/self/fd "$0/dev/fd"
ln -s "$0/syslog" "$0/dev/log"
mount --rbind "$0/dev" /dev
exec "$@"
"""


@pytest.fixture
def syslog(make_tassis):
    if not AS_ROOT or subprocess.run(["unshare", "-m", "true"]).returncode != 0:
        pytest.skip("needs root and mount namespaces: only there /dev/log can be another one for a test")
    tassis = make_tassis(settings={"log_to": "syslog", "log_level": "info"})
    (tassis.folder / "dev").mkdir()
    server = Syslog(tassis.folder / "syslog")
    tassis.under = ["unshare", "-m", "sh", "-ec", PRIVATE_DEV, tassis.folder]
    yield tassis, server
    server.stop()


def test_lines_go_to_the_system_log_as_facility_mail(syslog):
    tassis, server = syslog
    tassis.start()
    id = tassis.send(text="to the system log\r\n")
    wait_for(lambda: server.has(f"{id} removed"))
    tassis.kill("resolvd")
    wait_for(lambda: server.has("process_died"))
    tassis.stop()
    assert daemons_of("\n".join(server.lines), SYSLOG_LINE) == DAEMONS
    priority = {"removed": 2 * 8 + 6, "process_died": 2 * 8 + 3}
    for line in server.lines:
        for event, number in priority.items():
            assert f" {event} " not in line or line.startswith(f"<{number}>"), line
    assert not tassis.log.exists()


def test_mail_flows_without_a_system_log_and_lines_come_when_it_is_back(syslog):
    tassis, server = syslog
    server.stop()
    tassis.start()
    tassis.send(text="while nobody listens\r\n")
    tassis.wait_message("while nobody listens")
    assert not server.lines
    server.start()
    tassis.tassis("control", "reopen")
    wait_for(lambda: server.has(f"{tassis.send(text='again')} received"))


# -- what a peer sends


def last_line(tassis, event, since, **fields):
    tassis.wait_log(rf" {event} ", since=since)
    lines = [line for line in tassis.log_text()[since:].splitlines() if f" {event} " in line]
    daemons_of(tassis.log_text()[since:].rpartition("\n")[0])
    return lines[-1]


def test_helo_with_quotes_backslashes_and_other_octets_is_quoted(tassis):
    since = len(tassis.log_text())
    with tassis.smtp() as client:
        client.command_encoding = "latin-1"
        assert client.docmd('EHLO "a\\b"\xff\xc3)')[0] == 250
        client.mail("ann@example.org")
        assert client.rcpt("nobody@test.com")[0] == 550
    assert r' helo="\"a\\b\"\xFF\xC3)"' in last_line(tassis, "recipient_refused", since)


def test_escape_codes_and_line_ends_in_a_command_reach_no_line(tassis):
    since = len(tassis.log_text())
    with socket.create_connection((tassis.address, tassis.smtp_port), timeout=20) as s:
        s.sendall(b"EHLO \x1b[2J\x07evil\r\nEHLO a\rb\r\nNOOP\n\r\nQUIT\r\n")
        while s.recv(4096):
            pass
    tassis.wait_log(" client_left ", since=since)
    text = tassis.log_text()[since:]
    assert daemons_of(text.rpartition("\n")[0]) >= {"smtpd"} and text.count(" command_refused ") >= 2
    assert "\x1b" not in text and "\r" not in text


@pytest.fixture
def login(tassis):
    """AUTH PLAIN of any octets; returns the reply."""

    def attempt(user, password):
        with tassis.smtp(tassis.submission_port) as client:
            client.ehlo("laptop.example")
            client.starttls(context=ANY_CERTIFICATE)
            client.ehlo("laptop.example")
            return client.docmd("AUTH PLAIN", base64.b64encode(b"\0" + user + b"\0" + password).decode())

    return attempt


def test_line_forged_in_a_user_name_stays_within_its_line(tassis, login):
    since = len(tassis.log_text())
    forged = "2026-01-01T00:00:00.000000Z queued/0[1] 0123456789abcdefghijkl removed"
    assert login(b"evil\n" + forged.encode() + b'\n" reply=250 \x1b[31m', b"1111")[0] == 535
    line = last_line(tassis, "authentication_refused", since)
    assert rf'user="evil\x0A{forged}\x0A\" reply=250 \x1B[31m"' in line
    assert not re.search(rf"^{re.escape(forged)}", tassis.log_text(), re.M)


def test_passwords_stand_in_no_line(tassis, login):
    """At level debug, where frames between the daemons are logged too."""
    secret = b"unmistakably secret"
    assert login(b"test@test.com", secret)[0] == 535
    assert login(b"test@test.com", b"1111")[0] == 235
    tassis.wait_log(" authenticated ")
    text = tassis.log_text()
    assert "unmistakably" not in text and base64.b64encode(secret).decode()[4:-4] not in text
    assert "auth_ask" in text, "no frame with a password was logged: this test shows nothing"


def test_words_of_the_far_end_are_quoted(make_tassis):
    with FarEnd({"MAIL": '450 4.2.0 say "no" \\ \x1b[31mred \x7f\xff'}) as far:
        tassis = make_tassis(zone=ZONE, settings={"delivery_port": far.port}).start()
        tassis.sql("INSERT INTO aliases(domain, local_part, target) VALUES ('test.com', 'far', 'bob@far.test')")
        tassis.send(to="far@test.com")
        line = last_line(tassis, "deferred", 0)
        assert re.search(r'say \\"no\\" \\\\ (\\x1B|\?)\[31mred', line), line
