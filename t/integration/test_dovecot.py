"""Debian's Dovecot with the shipped files, in an instance of its own: the same users, the same Maildirs, the same quota."""
import base64, contextlib, hashlib, imaplib, os, re, shutil, smtplib, socket, ssl, subprocess

import pytest

import harness

DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
DOVEADM = shutil.which("doveadm") or "/usr/bin/doveadm"
ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE
PASSWORD = "p4ss w\u00f6rd"

pytestmark = [
    pytest.mark.skipif(not os.path.exists(DOVECOT), reason="there is no Dovecot here (Debian: dovecot-imapd dovecot-lmtpd dovecot-pgsql)"),
    pytest.mark.skipif(harness.AS_ROOT and harness.SANITIZED, reason="Dovecot reads no mail of root's, and a sanitizer's build delivers as the caller"),
]


class Dovecot:
    """The shipped files with this test's folders in place of the system's."""

    def __init__(self, tassis):
        self.tassis, self.folder, self.port = tassis, tassis.folder / "dovecot", harness.free_port()
        self.owner, self.group = tassis.mail.owner(), tassis.mail.group()
        for sub in "", "run", "state":
            (self.folder / sub).mkdir()
        self.conf = self.folder / "dovecot.conf"
        shipped = "".join(self.shipped(name) for name in ("tassis.conf", "tassis-lmtp.conf", "tassis-sasl.conf"))
        (self.folder / "tassis-sql.conf.ext").write_text(self.shipped("tassis-sql.conf.ext"))
        self.conf.write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
service imap-login {{
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
{"" if harness.AS_ROOT else self.as_caller()}
{shipped}""")
        self.process = subprocess.Popen([DOVECOT, "-F", "-c", self.conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.folder / "out", "w"))

    def shipped(self, name):
        text = (harness.TOP / "etc/dovecot" / name).read_text()
        text = text.replace("/etc/dovecot/tassis-sql.conf.ext", str(self.folder / "tassis-sql.conf.ext"))
        text = text.replace("/var/mail/tassis/", f"{self.tassis.mail}/").replace("/var/spool/tassis/", f"{self.tassis.spool}/")
        text = text.replace("connect = host=/run/tassis/postgresql dbname=tassis", f"connect = host={self.tassis.cluster.socket_folder} dbname={self.tassis.database}")
        for what, whose in ("uid", self.owner), ("gid", self.group):
            text = re.sub(rf"'vmail' AS (\w*{what})", rf"'{whose}' AS \1", text)
        return text if harness.AS_ROOT else text.replace("user = vmail", f"user = {self.owner}").replace("group = mail", f"group = {self.group}")

    def as_caller(self):
        no_chroot = "".join(f"service {name} {{\n  chroot =\n}}\n" for name in ("anvil", "imap-login"))
        return f"default_internal_user = {self.owner}\ndefault_internal_group = {self.group}\ndefault_login_user = {self.owner}\n{no_chroot}"

    def connect(self):
        try:
            return imaplib.IMAP4("127.0.0.1", self.port)
        except OSError:
            assert self.process.poll() is None, (self.folder / "out").read_text()
            return None

    def log_in(self, user, password=PASSWORD):
        client = harness.wait_for(self.connect)
        client.login(user, password) if password.isascii() else client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        return client

    @contextlib.contextmanager
    def client(self, user, password=PASSWORD):
        with self.log_in(user, password) as client:
            yield client

    def doveadm(self, *words, **more):
        return harness.run(DOVEADM, "-c", self.conf, *words, **more).stdout

    def end(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def host(cluster):
    """A running tassis, with a running Dovecot."""
    tassis = harness.Tassis(cluster, settings={"save_sent": True, "spam_header": ["X-Spam-Flag: YES"], "detail_mailbox": True})
    tassis.start()
    tassis.dovecot = Dovecot(tassis)
    yield tassis
    tassis.dovecot.end()
    tassis.end()


def add_user(host, name, kept=None, **columns):
    columns = {"domain": "test.com", "local_part": name, "password": kept or "{SHA256.HEX}" + hashlib.sha256(PASSWORD.encode()).hexdigest(), **columns}
    host.sql(f"INSERT INTO users ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", *columns.values())
    host.sql("INSERT INTO mailboxes (user_id, name) SELECT u.id, m.name FROM users u, unnest(ARRAY['inbox', 'sent', 'spam']) AS m (name) WHERE u.local_part = %s", name)
    return f"{name}@test.com"


def submit(host, user, to=None, password=PASSWORD, text="Hello\r\n", **headers):
    """Logs in by SMTP, and sends a message if there is somebody to send it to."""
    with smtplib.SMTP_SSL(host.address, host.smtps_port, timeout=harness.PATIENCE, context=ANY_CERTIFICATE, local_hostname="laptop.example") as client:
        client.ehlo()
        code, reply = client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        assert code == 235, reply
        if to:
            head = "".join(f"{k}: {v}\r\n" for k, v in {"From": user, "To": to, **headers}.items())
            client.sendmail(user, [to], head + "\r\n" + text)


def usage(host, user, password=PASSWORD):
    """What IMAP says of the quota: resource -> (used, limit)."""
    with host.dovecot.client(user, password) as client:
        said = b" ".join(b" ".join(x) if isinstance(x, list) else x for x in client.getquotaroot("INBOX")[1][1]).decode()
    return {name: (int(used), int(limit)) for name, used, limit in re.findall(r"(STORAGE|MESSAGE) (\d+) (\d+)", said)}


def kept_sum(host, user):
    """Octets and messages of all that is in the Maildir."""
    files = [p for sub in ("new", "cur") for p in [*host.maildir(user).glob(f"{sub}/*"), *host.maildir(user).glob(f".*/{sub}/*")]]
    return sum(p.stat().st_size for p in files), len(files)


def wait_stored(host, user, n, folder=""):
    """And counted, which comes after."""
    harness.wait_for(lambda: len(host.messages(user, folder)) == n, what=f"{n} messages of {user} in {folder or 'the root'}\n" + host.log_tail())
    host.wait_queue_empty()


def sizes(host, user):
    return (host.maildir(user) / "maildirsize").read_text()


# ---- users and mail


def test_dovecot_reads_what_tassis_delivered(host):
    user = add_user(host, "reader")
    host.send(to=user, text="read me by IMAP\r\n")
    host.wait_message("read me by IMAP", user)
    with host.dovecot.client(user) as client:
        assert client.select("INBOX") == ("OK", [b"1"])
        assert b"read me by IMAP\r\n" in client.fetch("1", "(RFC822)")[1][0][1]
        assert {line.split()[-1] for line in client.list()[1]} == {b"INBOX", b"sent", b"spam"}


def test_sample_user_logs_in_and_a_wrong_password_is_refused(host):
    host.dovecot.log_in("test@test.com", "1111").logout()
    with pytest.raises(imaplib.IMAP4.error):
        host.dovecot.log_in("test@test.com", "1112")


def test_user_added_by_one_statement_logs_in_by_imap_and_smtp_a_second_later(host):
    with host.smtp() as client:
        client.ehlo()
        client.mail("ann@example.org")
        assert client.rcpt("bea@test.com")[0] == 550  # and lookupd has kept that in mind
    host.sql("INSERT INTO users (local_part, domain, password) VALUES ('bea', 'test.com', '{SHA256.HEX}' || encode(sha256('2222'), 'hex'))")
    harness.wait_for(lambda: takes(host, "bea@test.com"), 1)
    host.dovecot.log_in("bea@test.com", "2222").logout()
    submit(host, "bea@test.com", password="2222")


def test_user_added_by_the_command_logs_in_by_imap_and_smtp_a_second_later(host):
    host.tassis("user", "add", "cem@test.com", "--password-stdin", input="3333\n")
    host.dovecot.log_in("cem@test.com", "3333").logout()
    submit(host, "cem@test.com", password="3333")


def kept_forms():
    """What users' rows may hold: made by Dovecot, and by us."""
    forms = {"SHA256.HEX": "{SHA256.HEX}" + hashlib.sha256(PASSWORD.encode()).hexdigest()}
    for scheme in "SCRAM-SHA-256", "SHA512-CRYPT", "BLF-CRYPT", "ARGON2ID":
        forms[scheme] = scheme
    return forms.items()


@pytest.mark.parametrize("scheme, kept", kept_forms(), ids=[name for name, _ in kept_forms()])
def test_password_of_each_form_is_good_for_imap_and_smtp(host, scheme, kept):
    if not kept.startswith("{"):
        kept = host.dovecot.doveadm("pw", "-s", scheme, "-p", PASSWORD).strip()
    user = add_user(host, scheme.lower().replace(".", "-"), kept)
    host.dovecot.log_in(user).logout()
    submit(host, user)
    host.dovecot.log_in(user).logout()  # a weak form has been written anew meanwhile
    with pytest.raises(imaplib.IMAP4.error):
        host.dovecot.log_in(user, "another")


def test_password_that_tassis_wrote_anew_is_good_for_imap(host):
    user = add_user(host, "weak")
    submit(host, user)
    harness.wait_for(lambda: host.sql("SELECT password FROM users WHERE local_part = 'weak'")[0][0].startswith("{SCRAM-SHA-256}"))
    host.dovecot.log_in(user).logout()


# ---- mailboxes


def test_spam_goes_to_the_folder_that_is_junk(host):
    user = add_user(host, "junk")
    host.send(to=user, text="buy\r\n", **{"X-Spam-Flag": "YES"})
    wait_stored(host, user, 1, ".spam")
    assert host.messages(user) == []
    assert (host.maildir(user) / ".spam/maildirfolder").exists()
    with host.dovecot.client(user) as client:
        assert rb'(\HasNoChildren \Junk) "." spam' in client.list()[1]
        assert client.select("spam") == ("OK", [b"1"])
        assert client.fetch("1", "(FLAGS)")[1] == [rb"1 (FLAGS (\Recent))"]


def test_what_is_submitted_is_in_sent_as_read(host):
    user, to = add_user(host, "sender"), add_user(host, "receiver")
    submit(host, user, to, text="keep a copy\r\n")
    wait_stored(host, user, 1, ".sent")
    (path,) = (host.maildir(user) / ".sent/cur").iterdir()
    assert path.name.endswith(":2,S")
    with host.dovecot.client(user) as client:
        assert rb'(\HasNoChildren \Sent) "." sent' in client.list()[1]
        assert client.select("sent") == ("OK", [b"1"])
        assert client.fetch("1", "(FLAGS)")[1] == [rb"1 (FLAGS (\Seen \Recent))"]
        assert b"Delivered-To" not in client.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1]
    assert b"Delivered-To: receiver@test.com\n" in host.wait_message("keep a copy", to)


def test_folder_made_by_tassis_is_the_mailbox_of_that_name_and_subscribed(host):
    add_user(host, "lists")
    names = ["R&D", "work/2026"]
    for name in names:
        host.sql("INSERT INTO mailboxes (user_id, name) SELECT id, %s FROM users WHERE local_part = 'lists'", name)
    for name in names:
        host.send(to=f"lists+{name}@test.com", text="to a mailbox\r\n")
    for folder in ".R&-D", ".work.2026":
        wait_stored(host, "lists@test.com", 1, folder)
    with host.dovecot.client("lists@test.com") as client:
        mailboxes, subscribed = (b"\n".join(filter(None, told[1])) for told in (client.list(), client.lsub()))
        for name in b"R&-D", b"work.2026":
            assert name in mailboxes and name in subscribed
            assert client.select(name) == ("OK", [b"1"])


# ---- quota


def test_quota_kept_by_tassis_is_what_dovecot_says(host):
    user = add_user(host, "counted", quota_bytes=1000000, quota_messages=10)
    for n in range(3):
        host.send(to=user, text="x" * 70 + "\r\n", **({"X-Spam-Flag": "YES"} if n == 2 else {}))
        host.wait_queue_empty()  # deliveries at once may both count a message while there is no maildirsize yet
    wait_stored(host, user, 2)
    wait_stored(host, user, 1, ".spam")
    octets, messages = kept_sum(host, user)
    before = sizes(host, user)
    assert before.startswith("1000000S,10C\n")
    assert usage(host, user) == {"STORAGE": (-(-octets // 1024), 977), "MESSAGE": (messages, 10)}
    assert re.search(rf"MESSAGE\s+{messages}\s+10\s", host.dovecot.doveadm("quota", "get", "-u", user))
    assert sizes(host, user) == before  # it was believed, not made anew
    with open(host.maildir(user) / "maildirsize", "a") as f:
        f.write("500000 5\n")
    assert usage(host, user)["MESSAGE"] == (messages + 5, 10)


def test_what_imap_appends_and_removes_counts_for_tassis(host):
    user = add_user(host, "appender", quota_bytes=1000000)
    host.send(to=user)
    wait_stored(host, user, 1)
    with host.dovecot.client(user) as client:
        client.create("Archive")
        assert client.append("Archive", None, None, b"Subject: x\r\n\r\n" + b"y" * 70 * 10000)[0] == "OK"
    said = sizes(host, user)
    with host.smtp() as client:
        client.ehlo()
        client.mail("ann@example.org", ["SIZE=400000"])
        code, reply = client.rcpt(user)
        assert (code, reply[:5]) == (452, b"4.2.2")
        client.rset()
        client.mail("ann@example.org", ["SIZE=200000"])
        assert client.rcpt(user)[0] == 250
    with host.dovecot.client(user) as client:
        client.select("Archive")
        client.store("1", "+FLAGS", r"\Deleted")
        client.expunge()
    with host.smtp() as client:
        client.ehlo()
        client.mail("ann@example.org", ["SIZE=400000"])
        assert client.rcpt(user)[0] == 250
    assert said.startswith("1000000S\n") and sizes(host, user).startswith("1000000S\n")


def test_mailbox_that_tassis_filled_is_full_for_imap(host):
    user = add_user(host, "filled", quota_messages=2)
    for n in range(2):
        host.send(to=user)
        wait_stored(host, user, n + 1)
    with host.dovecot.client(user) as client:
        answer = client.append("INBOX", None, None, b"Subject: x\r\n\r\n")
        assert answer[0] == "NO" and b"OVERQUOTA" in answer[1][0]
    with host.smtp() as client:
        client.ehlo()
        client.mail("ann@example.org")
        assert client.rcpt(user)[0] == 452


def test_quota_that_is_changed_or_removed_is_another_one_for_both(host):
    user = add_user(host, "changed", quota_messages=1)
    host.send(to=user)
    wait_stored(host, user, 1)
    assert usage(host, user)["MESSAGE"] == (1, 1)
    host.sql("UPDATE users SET quota_messages = 3 WHERE local_part = 'changed'")
    harness.wait_for(lambda: takes(host, user), 5)
    host.send(to=user)
    wait_stored(host, user, 2)
    assert sizes(host, user).startswith("3C\n")
    assert usage(host, user)["MESSAGE"] == (2, 3)
    host.sql("UPDATE users SET quota_messages = NULL WHERE local_part = 'changed'")
    with host.dovecot.client(user) as client:
        for _ in range(5):
            assert client.append("INBOX", None, None, b"Subject: x\r\n\r\n")[0] == "OK"
    assert sizes(host, user).startswith("0S\n")
    harness.wait_for(lambda: takes(host, user), 5)
    host.send(to=user)
    wait_stored(host, user, 8)
    assert re.search(r"\n\d+ 1\n$", sizes(host, user))  # there is a file; so it is kept up


def takes(host, user):
    with host.smtp() as client:
        client.ehlo()
        client.mail("ann@example.org")
        return client.rcpt(user)[0] == 250


# ---- Dovecot's other sockets


class Lmtp(smtplib.LMTP):
    def __init__(self, path):
        super().__init__(str(path), timeout=harness.PATIENCE)


def test_lmtp_delivers_into_the_same_maildir_with_the_same_quota(host):
    user = add_user(host, "pushed", quota_messages=2)
    socket_path = host.spool / "public/dovecot-lmtp"
    harness.wait_for(socket_path.exists)
    if harness.AS_ROOT:
        assert (socket_path.owner(), socket_path.stat().st_mode & 0o777) == ("vmail", 0o600)
    with Lmtp(socket_path) as client:
        client.sendmail("ann@example.org", [user], "Subject: x\r\n\r\npushed by another\r\n")
    assert b"pushed by another" in host.wait_message("pushed by another", user)
    assert takes(host, user)
    host.send(to=user)
    wait_stored(host, user, 2)
    assert not takes(host, user)
    with Lmtp(socket_path) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("ann@example.org", [user], "Subject: x\r\n\r\none too many\r\n")
    assert b".2.2" in refused.value.smtp_error


def test_other_programs_log_users_in_by_the_sasl_socket(host):
    user = add_user(host, "chatter")
    path = host.spool / "public/dovecot-auth"
    harness.wait_for(path.exists)
    if harness.AS_ROOT:
        assert (path.group(), path.stat().st_mode & 0o777) == ("mail", 0o660)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(harness.PATIENCE)
        s.connect(str(path))
        stream = s.makefile("rw")
        stream.write(f"VERSION\t1\t1\nCPID\t{os.getpid()}\n")
        stream.flush()
        said = [stream.readline()]
        while said[-1] != "DONE\n":
            said.append(stream.readline())
        assert any(line.startswith("MECH\tPLAIN") for line in said)
        for number, password, verdict in (1, PASSWORD, "OK"), (2, "wrong", "FAIL"):
            answer = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            stream.write(f"AUTH\t{number}\tPLAIN\tservice=xmpp\tsecured\tresp={answer}\n")
            stream.flush()
            line = stream.readline().split("\t")
            assert line[:2] == [verdict, str(number)] and f"user={user}" in [word.strip() for word in line]


# ---- the files themselves


def test_shipped_files_are_good_beside_debians(host, tmp_path):
    """As their first lines say: copied into conf.d, the system's users left out."""
    system = "/etc/dovecot"
    if not os.path.isdir(system + "/conf.d"):
        pytest.skip("Debian's configuration of Dovecot is not here")
    shutil.copytree(system, tmp_path / "dovecot", symlinks=True, ignore=lambda folder, names: [n for n in names if n == "private" or not os.access(f"{folder}/{n}", os.R_OK)])
    (tmp_path / "dovecot/private").mkdir(exist_ok=True)
    auth = tmp_path / "dovecot/conf.d/10-auth.conf"
    auth.write_text(auth.read_text().replace("!include auth-system.conf.ext", "#!include auth-system.conf.ext"))
    for name, to in ("tassis.conf", "90-tassis.conf"), ("tassis-lmtp.conf", "91-tassis-lmtp.conf"), ("tassis-sasl.conf", "91-tassis-sasl.conf"):
        (tmp_path / "dovecot/conf.d" / to).write_text(host.dovecot.shipped(name))
    shown = harness.run(shutil.which("doveconf") or "/usr/bin/doveconf", "-n", "-c", tmp_path / "dovecot/dovecot.conf")
    assert shown.stderr.replace("\n", "") == "" or "Warning" not in shown.stderr
    for line in "mail_location = maildir:~/", "quota = maildir:User quota", "special_use = \\Junk", "dovecot-lmtp", "dovecot-auth", "mail_plugins = \" quota imap_quota\"":
        assert line in shown.stdout, shown.stdout
    assert "driver = pam" not in shown.stdout
