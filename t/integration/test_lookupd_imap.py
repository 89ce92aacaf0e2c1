"""Debian's Dovecot with the shipped files: it reads the Maildirs that tassis writes, for the users of the same table."""
import imaplib, os, re, shutil, subprocess

import pytest

import harness

DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"


def configuration(tassis, folder, port):
    """The shipped files with this test's folders in place of the system's."""
    owner = tassis.mail.owner()
    sql = (harness.TOP / "etc/dovecot/tassis-sql.conf.ext").read_text()
    sql = sql.replace("/var/mail/tassis/", f"{tassis.mail}/")
    for what, whose in ("uid", owner), ("gid", tassis.mail.group()):
        sql = re.sub(rf"'vmail' AS (\w*{what})", rf"'{whose}' AS \1", sql)
    sql = sql.replace("connect = host=/run/tassis/postgresql dbname=tassis", f"connect = host={tassis.cluster.socket_folder} dbname={tassis.database}")
    (folder / "tassis-sql.conf.ext").write_text(sql)
    shipped = (harness.TOP / "etc/dovecot/tassis.conf").read_text().replace("/etc/dovecot/tassis-sql.conf.ext", str(folder / "tassis-sql.conf.ext"))
    as_caller = "" if harness.AS_ROOT else f"""
default_internal_user = {owner}
default_internal_group = {tassis.mail.group()}
default_login_user = {owner}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
"""
    conf = folder / "dovecot.conf"
    conf.write_text(f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
{as_caller}
{shipped}""")
    return conf


@pytest.fixture
def imap(make_tassis):
    """A running tassis, and a function that logs in by IMAP."""
    if not os.path.exists(DOVECOT):
        pytest.skip("there is no Dovecot here (Debian: dovecot-imapd dovecot-pgsql)")
    tassis = make_tassis().start()
    folder, port = tassis.folder / "dovecot", harness.free_port()
    folder.mkdir()
    conf = configuration(tassis, folder, port)
    (folder / "run").mkdir()
    (folder / "state").mkdir()
    dovecot = subprocess.Popen([DOVECOT, "-F", "-c", conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(folder / "out", "w"))

    def connect():
        try:
            return imaplib.IMAP4("127.0.0.1", port)
        except OSError:
            assert dovecot.poll() is None, (folder / "out").read_text()
            return None

    def log_in(user, password):
        client = harness.wait_for(connect)
        client.login(user, password)
        return client

    yield tassis, log_in
    dovecot.terminate()
    dovecot.wait()


@pytest.mark.skipif(harness.AS_ROOT and harness.SANITIZED, reason="Dovecot reads no mail of root's, and a sanitizer's build delivers as the caller")
def test_dovecot_reads_what_tassis_delivered(imap):
    tassis, log_in = imap
    tassis.send(text="read me by IMAP\r\n")
    tassis.wait_message("read me by IMAP")
    client = log_in("test@test.com", "1111")
    assert client.select("INBOX") == ("OK", [b"1"])
    assert b"read me by IMAP\r\n" in client.fetch("1", "(RFC822)")[1][0][1]
    assert {line.split()[-1] for line in client.list()[1]} == {b"INBOX", b"sent", b"spam"}
    client.logout()


def test_wrong_password_is_refused_by_imap_too(imap):
    tassis, log_in = imap
    with pytest.raises(imaplib.IMAP4.error):
        log_in("test@test.com", "1112")


def test_user_added_logs_in_by_imap_at_once(imap):
    tassis, log_in = imap
    tassis.sql("INSERT INTO users (local_part, domain, password) VALUES ('bea', 'test.com', '{SHA256.HEX}' || encode(sha256('2222'), 'hex'))")
    log_in("bea@test.com", "2222").logout()
