"""sendmail as cron, mutt, PHP and git call it: to the daemons, or into maildrop/ while there are none; mailq."""
import contextlib, email, os, pathlib, pwd, re, shutil, socket, stat, subprocess, textwrap, time

import pytest
from harness import AS_ROOT, LIBEXEC, PREFIX, TOP, as_nobody, free_port, temporary_folder, wait_for

SENDMAIL = LIBEXEC / "sendmail"
ME = pwd.getpwuid(os.getuid()).pw_name
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs"]
needs_root = pytest.mark.skipif(not AS_ROOT, reason="another user's files: root only")


@pytest.fixture(scope="module")
def conf(tassis):
    """What an administrator writes for users where spool_dir is not the default: sendmail.conf."""
    path = tassis.folder / "sendmail.conf"
    path.write_text(f"spool_dir = {tassis.spool}\n")
    path.chmod(0o644)
    return path


@pytest.fixture
def sendmail(conf):
    def call(*options, text="", before=(), program=SENDMAIL, check=0):
        done = subprocess.run([*before, program, "-C", conf, *options], input=text.encode(), capture_output=True, timeout=60, cwd="/")
        assert done.returncode == check, (done.returncode, done.stderr)
        return done

    return call


def drops(tassis):
    return [p for p in (tassis.spool / "maildrop").iterdir()]


# ---- as others call it


def test_cron_sends_to_a_local_user(tassis, sendmail):
    """Debian's cron: -i -FCronDaemon -B8BITMIME -oem, and a header that names root alone."""
    tassis.sql("INSERT INTO domains (name) VALUES ('mx.test.com') ON CONFLICT DO NOTHING")
    tassis.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('mx.test.com', 'root', 'test@test.com') ON CONFLICT DO NOTHING")
    text = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> backup\nMIME-Version: 1.0\n\n.\n10 %\r20 %\r100 %\n"
    sendmail("-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root", text=text)
    message = email.message_from_bytes(tassis.wait_message("backup"))
    assert message.get_payload() == ".\n10 %\n20 %\n100 %\n"
    assert message["From"] == "root (Cron Daemon)" and message["Date"] and message["Message-ID"].endswith("@mx.test.com>")
    assert f"by mx.test.com (from uid {os.getuid()}) with ESMTP" in message["Received"]
    assert message["Return-Path"] == f"<{ME}@mx.test.com>"


def test_mutt_sends_with_its_options(tassis, sendmail):
    sendmail("-oem", "-oi", "-f", "ann@example.org", "--", "test@test.com", text="From: Ann <ann@example.org>\nTo: test@test.com\nSubject: from mutt\n\nhello\n")
    assert email.message_from_bytes(tassis.wait_message("from mutt"))["Return-Path"] == "<ann@example.org>"


def test_php_sends_with_t_and_i(tassis, sendmail):
    text = "To: test@test.com\r\nSubject: from PHP\r\nX-PHP-Originating-Script: 0:a.php\r\nBcc: Hidden <test@test.com>, hidden@test.com\r\n\r\nhello\r\n.\r\nmore\r\n"
    done = sendmail("-t", "-i", text=text, check=67)  # hidden is nobody: the other one gets it all the same
    assert b"not sent to hidden@test.com: 550 5.1.1" in done.stderr
    stored = tassis.wait_message("from PHP")
    assert b"idden" not in stored and b"\n.\nmore\n" in stored
    assert f"<{ME}@mx.test.com>" in email.message_from_bytes(stored)["From"] or email.message_from_bytes(stored)["From"] == f"{ME}@mx.test.com"


def test_git_send_email_sends(tassis, conf, sendmail):
    """git calls its program with -i and the recipients; by itself where it is there, else by its own words."""
    if subprocess.run(["git", "send-email", "-h"], capture_output=True).returncode not in (0, 129):
        sendmail("-i", "test@test.com", text="From: Ann <ann@example.org>\nTo: test@test.com\nSubject: [PATCH] from git\n\n---\n a | 1 +\n")
    else:
        folder = temporary_folder()
        program = folder / "sendmail"
        program.write_text(f'#!/bin/sh\nexec {SENDMAIL} -C {conf} "$@"\n')
        program.chmod(0o755)
        (folder / "0001.patch").write_text("From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: Ann <ann@example.org>\nDate: Tue, 1 Apr 2025 00:00:00 +0000\nSubject: [PATCH] from git\n\n---\n a | 1 +\n")
        command = ["git", "send-email", f"--smtp-server={program}", "--from=ann@example.org", "--to=test@test.com", "--confirm=never", "--quiet", "0001.patch"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "HOME": str(folder)}, stdin=subprocess.DEVNULL)
        shutil.rmtree(folder)
        assert done.returncode == 0, done.stderr
    tassis.wait_message("[PATCH] from git")


def test_what_comes_without_a_header_gets_one(tassis, sendmail):
    sendmail("-F", "Ann Other", "test@test.com", text="without a header\n.\nnot read\n")
    message = email.message_from_bytes(tassis.wait_message("without a header"))
    assert message["From"] == f'"Ann Other" <{ME}@mx.test.com>' and message.get_payload() == "without a header\n"


def test_null_sender_is_given_by_f(tassis, sendmail):
    sendmail("-f", "", "test@test.com", text="Subject: null sender\n\n")
    assert email.message_from_bytes(tassis.wait_message("null sender"))["Return-Path"] == "<>"


def test_large_and_eight_bit_messages_go_whole(tassis, sendmail):
    body = "".join(f"Zeile {i}: grün\n" for i in range(20000)) + ".\n..\nend\n"
    sendmail("-i", "test@test.com", text="Subject: large\n\n" + body)
    assert tassis.wait_message("Subject: large\n").decode().partition("\n\n")[2] == body


def test_a_local_program_may_send_anything_to_anywhere(tassis, sendmail):
    """No login, no relay, a sender of ours or of elsewhere: it is taken and queued."""
    since = len(tassis.log_text())
    sendmail("-f", "test@test.com", "bob@nowhere.example", text="Subject: a\n\n")
    sendmail("-f", "ann@example.org", "bob@nowhere.example", text="Subject: b\n\n")
    wait_for(lambda: len(re.findall(r" received ", tassis.log_text()[since:])) == 2, what="both received")
    assert re.search(rf" client_connected uid={os.getuid()} ", tassis.log_text()[since:])


def test_bs_speaks_smtp_on_standard_input_and_output(sendmail, tassis):
    dialogue = "EHLO me\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<test@test.com>\r\nDATA\r\nSubject: by bs\r\n\r\nhello\r\n.\r\nQUIT\r\n"
    done = sendmail("-bs", text=dialogue)
    codes = [line[:3] for line in done.stdout.decode().split("\r\n") if line[3:4] == " "]
    assert codes == ["220", "250", "250", "250", "354", "250", "221"]
    tassis.wait_message("by bs")


def test_newaliases_and_other_callings_do_nothing_and_succeed(sendmail):
    for options in (["-bi"], ["-I"], ["-q"], ["-q30m"]):
        assert sendmail(*options).stdout == b""


# ---- what is wrong


def test_exit_statuses_are_those_of_sysexits(tassis, sendmail):
    assert b"to whom?" in sendmail(check=64).stderr
    assert b"there is no option -Z" in sendmail("-Z", "test@test.com", check=64).stderr
    assert b"is no address" in sendmail("test@", check=64).stderr
    assert b"no recipient" in sendmail("-t", text="Subject: x\n\n", check=65).stderr
    assert b"there is no address in" in sendmail("-t", text="To: ann bob\n\n", check=65).stderr
    assert b"550 5.1.1" in sendmail("nobody-here@test.com", text="x\n", check=67).stderr
    assert b"the header is too large" in sendmail("test@test.com", text="X: " + "y\n " * 200000, check=65).stderr
    done = subprocess.run([SENDMAIL, "-C", "/nowhere/sendmail.conf", "test@test.com"], input=b"", capture_output=True)
    assert done.returncode == 78 and b"/nowhere/sendmail.conf" in done.stderr
    empty = tassis.folder / "empty.conf"
    empty.write_text(f"spool_dir = {tassis.folder}/no-spool\n")
    done = subprocess.run([SENDMAIL, "-C", empty, "test@test.com"], input=b"x\n", capture_output=True)
    assert done.returncode == 73 and b"no-spool/maildrop" in done.stderr


def test_a_message_beyond_the_limit_is_refused(make_tassis):
    tassis = make_tassis(settings={"message_size_max": "64k"}).start()
    conf = tassis.folder / "sendmail.conf"
    conf.write_text(f"spool_dir = {tassis.spool}\n")
    done = subprocess.run([SENDMAIL, "-C", conf, "test@test.com"], input=b"x\n" * 40000, capture_output=True)
    assert done.returncode == 65 and b"too large: at most 65536 octets" in done.stderr


# ---- as anybody


@needs_root
def test_nobody_under_no_new_privs_sends_through_the_socket(tassis, sendmail):
    sendmail("-i", "test@test.com", text="Subject: by nobody\n\n", before=NOBODY)
    message = email.message_from_bytes(tassis.wait_message("by nobody"))
    assert f"(from uid {pwd.getpwnam('nobody').pw_uid})" in message["Received"]
    assert message["Return-Path"] == "<nobody@mx.test.com>"


@needs_root
def test_mailq_is_shown_to_root_alone(tassis, sendmail):
    done = sendmail("-bp", before=NOBODY, check=77)
    assert b"root alone" in done.stderr and done.stdout == b""


def test_mailq_shows_the_queue_as_scripts_expect_it(make_tassis):
    tassis = make_tassis(zone="far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n", settings={"delivery_port": free_port()}).start()
    conf = tassis.folder / "sendmail.conf"
    conf.write_text(f"spool_dir = {tassis.spool}\n")
    mailq = tassis.folder / "mailq"
    mailq.symlink_to(SENDMAIL)

    def listed():
        return subprocess.run([mailq, "-C", conf], capture_output=True, text=True, check=True).stdout

    assert listed() == "Mail queue is empty\n"
    subprocess.run([SENDMAIL, "-C", conf, "-f", "ann@example.org", "bob@far.test", "eve@far.test"], input=b"Subject: waits\n\nhello\n", check=True)
    tassis.wait_log(r" deferred .*eve@far\.test")
    wait_for(lambda: "*" not in listed(), what="the end of the first attempt")
    lines = listed().split("\n")
    assert re.fullmatch(r"-Queue ID- +--Size-- ---Arrival Time---- +-Sender/Recipient-------", lines[0])
    assert re.fullmatch(r"[0-9a-z]{22} +\d+ \w{3} \w{3} [ \d]\d [\d:]{8}  ann@example\.org", lines[1]), lines[1]
    assert re.fullmatch(r" *\(.*\)", lines[2])
    assert sorted(line.strip() for line in lines[3:-3] if "@" in line and "(" not in line) == ["bob@far.test", "eve@far.test"]
    assert re.fullmatch(r"-- \d+ Kbytes in 1 Request\.", lines[-2])
    tassis.stop()
    assert subprocess.run([mailq, "-C", conf], capture_output=True).returncode == 69


# ---- while no daemon runs


def test_while_no_daemon_runs_mail_waits_in_maildrop_and_goes_at_the_start(make_tassis):
    tassis = make_tassis(settings={"double_bounce": "none"}).start()
    conf = tassis.folder / "sendmail.conf"
    conf.write_text(f"spool_dir = {tassis.spool}\n")
    conf.chmod(0o644)
    tassis.stop()
    before = NOBODY if AS_ROOT else []
    text = "To: test@test.com\nBcc: test2@test.com\nSubject: waited\n\nhello\n"
    subprocess.run([*before, SENDMAIL, "-C", conf, "-t", "-i"], input=text.encode(), check=True, cwd="/")
    uid = pwd.getpwnam("nobody").pw_uid if AS_ROOT else os.getuid()
    (drop,) = drops(tassis)
    assert drop.stat().st_uid == uid and stat.S_IMODE(drop.stat().st_mode) == 0o640
    if AS_ROOT and tassis.settings.get("accounts") != "caller":
        assert drop.stat().st_gid == pwd.getpwnam("tassis-queue").pw_gid
        assert subprocess.run([*before, "ls", tassis.spool / "maildrop"], capture_output=True).returncode != 0
        assert subprocess.run([*before, "rm", "-f", tassis.spool / "maildrop" / "another"], capture_output=True).returncode == 0
    tassis.start()
    message = email.message_from_bytes(tassis.wait_message("Subject: waited"))
    assert f"by mx.test.com (from uid {uid})\n" in message["Received"]
    assert message["Bcc"] is None and message["Date"] and message["Message-ID"]
    assert message["Return-Path"] == f"<{pwd.getpwuid(uid).pw_name}@mx.test.com>"
    tassis.wait_queue_empty()
    assert not drops(tassis)
    assert len([m for m in tassis.messages() if b"Subject: waited" in m]) == 1
    tassis.wait_log(rf" picked_up uid={uid} .*from=nobody@|picked_up uid={uid} ")


def test_when_postgresql_is_away_nothing_is_lost(make_tassis):
    """451 is no answer that cron understands: such mail waits in maildrop, too."""
    tassis = make_tassis(database="none-of-that-name").start()
    conf = tassis.folder / "sendmail.conf"
    conf.write_text(f"spool_dir = {tassis.spool}\n")
    subprocess.run([SENDMAIL, "-C", conf, "test@test.com"], input=b"Subject: later\n\n", check=True)
    assert len(drops(tassis)) == 1


def test_what_others_put_into_maildrop_harms_nobody(make_tassis):
    tassis = make_tassis().start()
    folder = tassis.spool / "maildrop"
    tassis.stop()
    secret = tassis.folder / "secret"
    secret.write_text("not mail")
    (folder / ("0" * 22)).symlink_to(secret)
    (folder / ("1" * 22)).write_bytes(b"tassis-spool 1\nnonsense\n" + b" " * 600)
    os.mkfifo(folder / ("2" * 22))
    (folder / ("3" * 22)).mkdir()
    (folder / "readme").write_text("hello")
    tassis.start()
    tassis.send(text="and goes on\r\n")
    tassis.wait_message("and goes on")
    assert secret.read_text() == "not mail" and len(drops(tassis)) == 5


# ---- installing


def test_install_sendmail_makes_links_and_spares_another_programs(tmp_path):
    def make(*words):
        return subprocess.run(["make", "-s", "-C", TOP, f"DESTDIR={tmp_path}", "PREFIX=/usr/local", *words], capture_output=True, text=True)

    assert make("install-sendmail").returncode == 0
    for name in ("sbin/sendmail", "bin/mailq", "bin/newaliases"):
        assert os.readlink(tmp_path / "usr/local" / name) == "/usr/local/libexec/tassis/sendmail"
    assert make("install-sendmail").returncode == 0
    (tmp_path / "usr/local/bin/mailq").unlink()
    (tmp_path / "usr/local/bin/mailq").write_text("another's")
    done = make("install-sendmail")
    assert done.returncode != 0 and "is another program's" in done.stderr
    assert (tmp_path / "usr/local/bin/mailq").read_text() == "another's"


def test_tassis_sendmail_and_tassis_mailq_are_installed():
    for name in ("tassis-sendmail", "tassis-mailq"):
        assert os.readlink(PREFIX / "sbin" / name) == str(SENDMAIL)
