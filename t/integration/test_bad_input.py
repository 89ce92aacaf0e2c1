"""What people, other programs and the disk may hand us wrong: each gets a clear word, the rest goes on, and nothing is lost or smuggled."""
import contextlib, os, re, shutil, signal, socket, ssl, subprocess, time

import pytest
from harness import AS_ROOT, LIBEXEC, PATIENCE, Tassis, free_port, run, temporary_folder, wait_for
from test_thread import ANY_CERTIFICATE


@pytest.fixture
def sound(tassis):
    """The shared instance; whatever the test sent, no daemon of it died and mail flows."""
    since = len(tassis.log_text())
    yield tassis
    mark = f"flows after {time.monotonic_ns()}"
    tassis.send(text=mark + "\r\n")
    tassis.wait_message(mark)
    assert not re.search("process_died|process_stuck|frame_refused", tassis.log_text()[since:])


# -- main.conf

WRONG_LINES = [
    ("smtp_workerz = 3", "smtp_workerz is not a setting; did you mean smtp_workers?"),
    ("hostname mx.test.com", "right would be NAME = VALUE"),
    ("= 5", "right would be NAME = VALUE"),
    ("smtp_workers = many", '"many" is no number; right would be 0 to 256'),
    ("smtp_workers = -1", '"-1" is no number'),
    ("smtp_workers = 99999999999999999999999", "right would be 0 to 256"),
    ("smtp_workers = 3 # three", "is no number"),
    ("smtp_command_timeout = 300", "is no duration; right would be 1s to 1h"),
    ("smtp_command_timeout = 2h", "is out of range; right would be 1s to 1h"),
    ("message_size_max = 50 elephants", "is no size; right would be 64k to 4G"),
    ("smtp_client_name = true", "right would be yes or no"),
    ("log_level = verbose", "right would be one of error|warning|info|debug"),
    ("spool_dir = spool", "spool_dir"),
    ("spool_dir =", "it is empty"),
    ("listen = 127.0.0.1:70000 smtp none", "listen"),
    ("listen = mx.test.com:25 smtp none", "listen"),
    ("listen = 127.0.0.1:2525 lmtp none", "listen"),
    ("listen = 127.0.0.1:2525 smtp maybe", "listen"),
    ("dns_servers = one.one.one.one", "dns_servers"),
    ("hostname = mx..test.com", "hostname"),
    ("hostname = mx.test.com", "hostname is set in line 1 already"),
    ("\x1b]0;\x07 = 1", "is not a setting"),
    ("x" * 100000, "line 2"),
]


def master(main_conf):
    """Starts a master that is not to start; its words."""
    done = run(LIBEXEC / "master", "-c", main_conf, "-f", check=False, timeout=PATIENCE)
    assert done.returncode == 1 and not done.stdout, (done.returncode, done.stdout)
    return done.stderr


def write_conf(folder, **settings):
    """A main.conf of a host that needs no database to be refused; returns its path."""
    given = {"hostname": "mx.test.com", "listen": f"127.0.0.1:{free_port()} smtp starttls", "spool_dir": folder / "spool", "mail_dir": folder / "mail", "state_dir": folder / "state", "log_to": "stderr", **settings}
    path = folder / "main.conf"
    path.write_text("".join(f"{name} = {value}\n" for name, value in given.items()))
    return path


@pytest.fixture
def folder():
    made = temporary_folder()
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("line,words", WRONG_LINES, ids=[line[:24].encode("unicode_escape").decode() for line, _ in WRONG_LINES])
def test_wrong_line_in_main_conf_is_named_and_nothing_starts(folder, line, words):
    main_conf = folder / "main.conf"
    first = "hostname = mx.test.com" if not line.startswith("spool_dir") else f"mail_dir = {folder}/mail"
    main_conf.write_text(f"{first}\n{line}\nlisten = 127.0.0.1:{free_port()} smtp none\n" + (f"spool_dir = {folder}/spool\n" if not line.startswith("spool_dir") else ""))
    said = master(main_conf)
    assert f"{main_conf} line 2: " in said and words in said, said[:2000]
    assert [p.name for p in folder.iterdir()] == ["main.conf"]


def test_what_is_no_main_conf_is_said_so(folder):
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "noise").write_bytes(os.urandom(50000))
    (folder / "nul").write_bytes(b"hostname = mx.test.com\0\n")
    (folder / "large").write_bytes(b"# large\n" * 1000000)
    (folder / "empty").write_bytes(b"")
    for name, words in (("missing", "No such file"), ("folder", "is no file"), ("fifo", "is no file"), ("noise", ""), ("nul", "NUL"), ("large", ""), ("empty", "")):
        said = master(folder / name)
        assert str(folder / name) in said and words in said, (name, said[:1000])
    if not AS_ROOT:
        (folder / "empty").chmod(0)
        assert "Permission denied" in master(folder / "empty")


@pytest.mark.parametrize("line", ["smtp_workerz = 3", "message_size_max = 1", "tls_certificate = /nonexistent/chain.pem", "log_to = file\nlog_file = /nonexistent/log/file", "\0", "listen = nowhere"])
def test_reload_of_a_broken_main_conf_changes_nothing(sound, line):
    good = sound.main_conf.read_bytes()
    text = good.decode()
    if line.startswith("log_to"):
        text = re.sub("(?m)^log_(to|file) .*\n", "", text)
    sound.main_conf.write_text(text + line + "\n")
    since = len(sound.log_text())
    try:
        done = sound.tassis("control", "reload", check=False)
        assert done.returncode == 1 and str(sound.main_conf) in done.stderr
        if "The running configuration stays" not in done.stderr:  # the command read it itself, and told master nothing
            os.kill(sound.master.pid, signal.SIGHUP)
        sound.wait_log(rf" configuration_refused file={sound.main_conf} errors=[1-9]", since=since)
    finally:
        sound.main_conf.write_bytes(good)
    assert " reloaded " not in sound.log_text()[since:]


def test_reload_after_the_mistake_is_mended_is_taken(sound):
    since = len(sound.log_text())
    assert sound.reload(smtp_max_recipients=500).returncode == 0
    sound.wait_log(r" master\[\d+\] - reloaded ", since=since)


# -- certificate and key


def make_pair(folder, name, *words):
    """A certificate and its key; returns their paths."""
    cert, key = folder / f"{name}.cert", folder / f"{name}.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}", *words)
    return cert, key


def served(tassis):
    """The common name of the certificate that port 465 shows now."""
    with socket.create_connection((tassis.address, tassis.smtps_port), timeout=PATIENCE) as s, ANY_CERTIFICATE.wrap_socket(s) as tls:
        der = tls.getpeercert(binary_form=True)
    return subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "multiline"], input=der, capture_output=True, check=True).stdout.decode().rpartition("= ")[2].strip()


def break_certificate(kind, folder, cert, key):
    pem = cert.read_text()
    if kind == "noise":
        cert.write_bytes(os.urandom(3000))
    elif kind == "empty":
        cert.write_text("")
    elif kind == "cut":
        cert.write_text(pem[: len(pem) // 2])
    elif kind == "another key":
        shutil.copy(make_pair(folder, "another")[1], key)
    elif kind == "no key":
        key.write_text(pem)
    elif kind == "der":
        cert.write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    elif kind == "key with a password":
        # Nobody is there to type it: it must not be asked for.
        key.write_text(run("openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret").stdout)
    elif kind == "folder":
        cert.unlink()
        cert.mkdir()
    elif kind == "fifo":
        key.unlink()
        os.mkfifo(key)
    elif kind == "missing":
        key.unlink()


BROKEN = ["noise", "empty", "cut", "another key", "no key", "der", "key with a password", "folder", "fifo", "missing"]


@pytest.fixture(scope="module")
def renewed(cluster):
    """An instance whose certificate the tests renew and break."""
    tassis = Tassis(cluster, settings={"log_level": "info"})
    cert, key = make_pair(tassis.folder, "first")
    tassis.write_conf(tls_certificate=cert, tls_key=key)
    try:
        yield tassis.start(), cert, key
    finally:
        tassis.end()


def test_renewed_certificate_is_taken_up(renewed):
    tassis, cert, key = renewed
    assert served(tassis) == "first"
    for mine, new in zip((cert, key), make_pair(tassis.folder, "second")):
        new.rename(mine)
    assert tassis.tassis("reload").returncode == 0
    wait_for(lambda: served(tassis) == "second", what="the renewed certificate")


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_certificate_or_key_leaves_the_old_pair_in_use(renewed, kind):
    tassis, cert, key = renewed
    before, since = served(tassis), len(tassis.log_text())
    kept = cert.read_bytes(), key.read_bytes()
    try:
        break_certificate(kind, tassis.folder, cert, key)
        done = tassis.tassis("reload", check=False)
        assert done.returncode == 1 and re.search(f"{cert}|{key}", done.stderr) and "The running configuration stays" in done.stderr
        assert " configuration_refused " in tassis.log_text()[since:]
        assert served(tassis) == before
        said = tassis.tassis("check", check=False)
        assert said.returncode == 1 and re.search(f"{cert}|{key}", said.stdout + said.stderr)
    finally:
        for path, octets in zip((cert, key), kept):
            if path.is_dir():
                path.rmdir()
            elif path.exists():
                path.unlink()
            path.write_bytes(octets)
            path.chmod(0o600)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_certificate_or_key_at_start_is_named(folder, kind):
    cert, key = make_pair(folder, "mx.test.com")
    break_certificate(kind, folder, cert, key)
    said = master(write_conf(folder, tls_certificate=cert, tls_key=key))
    assert re.search(f"{cert}|{key}", said), said
    assert "secret" not in said and not list((folder / "spool").glob("master.pid"))


# -- the spool


def spool_id(n):
    """A name that the spool gives its files, which no daemon has given."""
    return "01" + "%020d" % n


def plant(folder, n, kind, victim):
    """Puts what is no message where a message's file is looked for."""
    path = folder / spool_id(n)
    if kind == "noise":
        path.write_bytes(os.urandom(5000))
    elif kind == "zeros":
        path.write_bytes(bytes(70000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "header":
        path.write_bytes(b"tassis-spool 1\n" + b"A" * 5000)
    elif kind == "sparse":
        with open(path, "wb") as f:
            f.truncate(1 << 40)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as s, contextlib.chdir(folder):
            s.bind(path.name)
    return path


KINDS = ["noise", "zeros", "empty", "header", "sparse", "folder", "link", "fifo", "socket"]
FILES = {"noise", "zeros", "empty", "header", "sparse"}


@pytest.fixture(scope="module")
def littered(cluster):
    """An instance started over a spool with one of everything that is no message in queue/ and in a dead worker's folder."""
    tassis = Tassis(cluster, settings={"log_level": "info"})
    tassis.start().stop()
    victim = tassis.folder / "victim"
    victim.write_text("not to be touched\n")
    queue, incoming = tassis.spool / "queue" / "0", tassis.spool / "incoming" / "77"
    incoming.mkdir()
    planted = {}
    for n, kind in enumerate(KINDS):
        planted["queue", kind] = plant(queue, n, kind, victim)
        planted["incoming", kind] = plant(incoming, 100 + n, kind, victim)
    (queue / "README").write_text("no message's name\n")
    (tassis.spool / "incoming" / "README").write_text("no worker's folder\n")
    for path in [incoming, *planted.values()]:
        if AS_ROOT:
            shutil.chown(path, "tassis-queue", "tassis-queue") if not path.is_symlink() else os.chown(path, queue.stat().st_uid, -1, follow_symlinks=False)
    try:
        yield tassis.start(), planted, victim
    finally:
        tassis.end()


def test_mail_flows_over_a_littered_spool(littered):
    tassis, _, victim = littered
    tassis.send(text="over the litter\r\n")
    tassis.wait_message("over the litter")
    assert not re.search("process_died|process_stuck", tassis.log_text())
    assert victim.read_text() == "not to be touched\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_message_in_queue_is_set_aside_if_it_is_a_file_and_else_left(littered, kind):
    tassis, planted, _ = littered
    path = planted["queue", kind]
    if kind in FILES:
        tassis.wait_log(rf" {path.name} corrupt ")
        wait_for(lambda: not path.exists())
        assert (tassis.spool / "corrupt" / path.name).exists()
    else:
        assert os.path.lexists(path) and f"{path.name} corrupt" not in tassis.log_text()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_dead_worker_left_is_removed_unless_it_was_begun(littered, kind):
    """What has a header of ours may have been acknowledged: a person is to see it. The rest of the files never was."""
    tassis, planted, _ = littered
    path = planted["incoming", kind]
    if kind in FILES:
        event = "corrupt" if kind == "header" else "uncommitted_removed"
        tassis.wait_log(rf" {path.name} {event}\b")
        wait_for(lambda: not path.exists())
        assert (tassis.spool / "corrupt" / path.name).exists() == (kind == "header")
    else:
        assert os.path.lexists(path) and f" {path.name} " not in tassis.log_text()


def test_queue_commands_show_what_is_no_message_to_nobody(littered):
    tassis, planted, _ = littered
    assert tassis.tassis("queue", "list", "--json").stdout.strip() in ("", "[]")
    for path in planted.values():
        done = tassis.tassis("queue", "show", path.name, check=False)
        assert done.returncode == 1 and "not to be touched" not in done.stdout


@pytest.mark.parametrize("where,what", [("master.pid", "link"), *((where, what) for where in ("queue", "queue/3", "incoming", "corrupt", "private") for what in ("file", "link"))])
def test_wrong_kind_of_thing_in_the_spool_fails_the_start_by_its_name(folder, where, what):
    path, victim = folder / "spool" / where, folder / "victim"
    path.parent.mkdir(parents=True)
    victim.mkdir() if where != "master.pid" else victim.write_text("kept\n")
    path.write_text("") if what == "file" else path.symlink_to(victim)
    said = master(write_conf(folder))
    assert str(path) in said, said
    assert victim.read_text() == "kept\n" if where == "master.pid" else not list(victim.iterdir())


def test_file_where_a_maildir_should_be_defers_and_loses_nothing(make_tassis):
    tassis = make_tassis(settings={"log_level": "info"}).start()
    (tassis.mail / "test.com").mkdir()
    blocking = tassis.mail / "test.com" / "test"
    blocking.write_text("in the way\n")
    for path in (tassis.mail / "test.com", blocking):
        shutil.chown(path, tassis.mail.owner(), tassis.mail.group())
    id = tassis.send(text="patient\r\n")
    tassis.wait_log(rf"{id} deferred .*status=4\.")
    blocking.unlink()
    tassis.tassis("queue", "flush")
    tassis.wait_message("patient")
    tassis.wait_queue_empty()


# -- clients


def talk(tassis, octets, port=None):
    """Sends the octets and all that they make the server say until it closes."""
    with socket.create_connection((tassis.address, port or tassis.smtp_port), timeout=PATIENCE) as s:
        said = b""
        with contextlib.suppress(ConnectionError):
            s.sendall(octets)
        with contextlib.suppress(ConnectionError):
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                said += more
        return said


BEGIN = b"EHLO client.example.org\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<test@test.com>\r\nDATA\r\n"
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<test@test.com>\r\nDATA\r\nSubject: smuggled in\r\n\r\nsmuggled in\r\n.\r\nQUIT\r\n"


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r.\n", b"\r\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n.\r\r\n", b"\r\n\x00.\n"], ids=repr)
@pytest.mark.parametrize("together", [True, False], ids=["one packet", "later"])
def test_only_cr_lf_dot_cr_lf_ends_a_message(sound, end, together):
    """Everything else with a bare CR or LF: 521 5.5.2, the connection closes, and neither the message nor what is smuggled behind it is taken."""
    since = len(sound.log_text())
    if together:
        said = talk(sound, BEGIN + b"Subject: outer\r\n\r\nouter" + end + SMUGGLED)
    else:
        with sound.smtp() as client:
            client.sock.sendall(BEGIN)
            for _ in range(4):
                client.getreply()
            client.sock.sendall(b"Subject: outer\r\n\r\nouter" + end)
            time.sleep(0.02)
            with contextlib.suppress(ConnectionError):
                client.sock.sendall(SMUGGLED)
            said = b"354 " + client.file.read()
    assert re.search(rb"521 5\.5\.2 [^\n]*\r\n$", said) and said.count(b"354 ") == 1, said
    sound.wait_log(r" message_refused .*reply=521 status=5\.5\.2", since=since)
    sound.wait_log(r" client_left ", since=since)
    assert " received " not in sound.log_text()[since:]
    assert not any(b"smuggled in" in m or b"outer" in m for m in sound.messages())


@pytest.mark.parametrize("end", [b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n .\r\n", b"\r\n. \r\n", b"\r\n..\r\n", b"\r\n.x\r\n", b"\r\n\xe2\x80\xa4\r\n"], ids=repr)
def test_what_only_looks_like_the_end_stays_within_the_message(sound, end):
    mark = b"mark %d" % time.monotonic_ns()
    said = talk(sound, BEGIN + b"Subject: outer\r\n\r\n" + mark + end + SMUGGLED)
    assert said.count(b"354 ") == 1 and said.count(b"received, id") == 1
    message = sound.wait_message(mark)
    assert message.endswith(b"\nRCPT TO:<test@test.com>\nDATA\nSubject: smuggled in\n\nsmuggled in\n")
    for path in (sound.maildir() / "new").iterdir():  # out of the way of the test above
        if b"smuggled in" in path.read_bytes():
            path.unlink()


@pytest.mark.parametrize("command,reply", [
    (b"NOOP\0", b"500 5.5.2"), (b"\0\0\0", b"500 5.5.2"), (b"NO\x1bOP", b"500 5.5.2"), (b"\xff\xfe\xfd", b"500 5.5."), (b"EHLO \xc3\xa4.example", b"250"), (b"MAIL FROM:<\xc3\xa4@example.org>", b"5"),
    (b"MAIL FROM:<a\0b@example.org>", b"500 5.5.2"), (b"NOOP\nNOOP", b"500 5.5.2"), (b"NOOP\rNOOP", b"500 5.5.2"), (b"N" * 5000, b"500 5.5.2"), (b"NOOP " + b"x" * 100000, b"500 5.5.2"),
    (b"MAIL FROM:<" + b"x" * 1900 + b"@example.org>", b"501 5.1.7"), (b"GET / HTTP/1.1", b"500 5.5.1")], ids=lambda v: repr(v[:20]))
def test_noise_for_a_command_is_refused_and_the_session_goes_on(sound, command, reply):
    said = talk(sound, b"EHLO client.example.org\r\nRSET\r\n" + command + b"\r\nVRFY end\r\nQUIT\r\n")
    replies = re.sub(rb"(?m)^\d{3}-.*\n", b"", said).split(b"\r\n")
    after_reset = replies[replies.index(b"250 2.0.0 forgotten") + 1 :]
    assert after_reset[0].startswith(reply), said
    assert after_reset[-3].startswith(b"252 ") and after_reset[-2].startswith(b"221 "), said


def test_octets_of_all_kinds_in_a_message_arrive_as_they_were(sound):
    mark = b"mark %d" % time.monotonic_ns()
    octets = bytes(n for n in range(256) if n not in b"\r\n")
    body = mark + b"\r\n" + octets + b"\r\n" + b"x" * 5000 + b"\r\n" + os.urandom(300000).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\0\r\n"
    said = talk(sound, BEGIN + b"Subject: \xff\xfe\r\nNo colon here\r\n\r\n" + body.replace(b"\r\n.", b"\r\n..") + b".\r\nQUIT\r\n")
    assert b"250 2.0.0 received" in said, said
    message = sound.wait_message(mark)
    assert message.partition(b"No colon here\n\n")[2] == body.replace(b"\r\n", b"\n")


def test_header_without_end_is_taken_and_bounded(sound):
    """400,000 octets in one field, 20,000 fields: no line of a header makes a daemon grow without end."""
    for n, head in enumerate((b"X-Long: " + b"y" * 400000 + b"\r\n", b"".join(b"X-%d: z\r\n" % n for n in range(20000)), b"Subject: a\r\n" + b" folded\r\n" * 20000)):
        mark = b"mark %d %d" % (n, time.monotonic_ns())
        assert b"250 2.0.0 received" in talk(sound, BEGIN + head + b"\r\n" + mark + b"\r\n.\r\nQUIT\r\n")
        assert head.replace(b"\r\n", b"\n") in sound.wait_message(mark)


def test_clear_text_at_a_tls_port_and_tls_at_a_clear_one_end_the_session(sound):
    since = len(sound.log_text())
    assert b"250" not in talk(sound, b"EHLO client.example.org\r\nNOOP\r\nQUIT\r\n", sound.smtps_port)
    sound.wait_log(" tls_failed ", since=since)
    with socket.create_connection((sound.address, sound.smtp_port), timeout=PATIENCE) as s, pytest.raises((ssl.SSLError, OSError)):
        ANY_CERTIFICATE.wrap_socket(s)


def test_half_a_handshake_ends_with_the_connection(sound):
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(100)
    for octets in (hello, b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01", b"\x16", os.urandom(5000)):
        talk(sound, octets, sound.smtps_port)
        talk(sound, b"EHLO a\r\nSTARTTLS\r\n" + octets, sound.smtp_port)
