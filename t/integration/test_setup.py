"""`tassis setup`: from nothing but an installed tassis to a mail in a Maildir, with options and with answers; again without harm; as root and as an ordinary user."""
import contextlib, email, os, pathlib, pty, pwd, re, select, shutil, smtplib, socket, subprocess, warnings

import pytest
from harness import AS_ROOT, LIBEXEC, PATIENCE, SANITIZED, SHARE, TASSIS, free_port, run, temporary_folder, wait_for
from test_check import pair
from test_thread import ANY_CERTIFICATE


class Host:
    """A folder in which a tassis is set up, with ports of its own."""

    def __init__(self):
        self.folder = temporary_folder()
        self.main_conf = self.folder / "main.conf"
        self.smtp, self.submission, self.smtps = free_port(), free_port(), free_port()
        self.places = ["--folder", self.folder, "--address", "127.0.0.1", "--smtp-port", self.smtp, "--submission-port", self.submission, "--smtps-port", self.smtps]
        if SANITIZED:  # see harness.py
            self.main_conf.write_text("accounts = caller\n")

    def tassis(self, *words, check=True, **more):
        return run(TASSIS, "-c", self.main_conf, *words, check=check, **more)

    def setup(self, *words, check=True, input=None, environment=None):
        command = [str(w) for w in (TASSIS, "-c", self.main_conf, "setup", *self.places, *words)]
        done = subprocess.run(command, capture_output=True, text=True, input=input or "", env=environment, timeout=PATIENCE * 10)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def config(self, name):
        return self.tassis("config", name).stdout.rstrip("\n")

    def end(self):
        self.tassis("stop", check=False)
        run(LIBEXEC / "cluster", "stop", self.folder / "state/postgresql", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def host():
    one = Host()
    yield one
    one.end()


def delivered(done):
    """The mail that setup says is there."""
    path = pathlib.Path(re.search(r"lies in\n  (.+)\n", done.stdout)[1])
    assert path.parent.name == "new"
    return email.message_from_bytes(path.read_bytes())


def records(done):
    """The text that setup prints for DNS, read as the zone that it is."""
    import dns.rdatatype, dns.zone

    text = done.stdout.partition("; What to publish in DNS:\n")[2].partition("\nNext:")[0]
    zone = dns.zone.from_text(text + "\n. IN SOA ns. root. 1 1 1 1 1\n. IN NS ns.\n", origin=".", relativize=False)
    return {(name.to_text(), dns.rdatatype.to_text(data.rdtype)): data.to_text() for name, _, data in zone.iterate_rdatas()}


OPTIONS = ["--yes", "--hostname", "mail.example.org", "--domain", "example.org", "--user", "ann", "--password-stdin", "--self-signed", "--database", "private"]


def test_setup_with_options_ends_with_a_mail_delivered_and_the_records_to_publish(host):
    done = host.setup(*OPTIONS, input="secret\n")
    message = delivered(done)
    assert message["To"] == "<ann@example.org>" and message["Subject"] == "tassis delivers mail on mail.example.org"
    published = records(done)
    assert published["example.org.", "MX"] == "10 mail.example.org."
    assert published["example.org.", "TXT"] == '"v=spf1 mx -all"' and published["mail.example.org.", "TXT"] == '"v=spf1 a -all"'
    assert published["_dmarc.example.org.", "TXT"].startswith('"v=DMARC1;')
    assert published["_submissions._tcp.example.org.", "SRV"] == f"0 1 {host.smtps} mail.example.org."
    assert published["_submission._tcp.example.org.", "SRV"] == f"5 1 {host.submission} mail.example.org."
    # Of the host's own addresses those that the world can see; PTR leads back from each.
    addresses = {data for (name, kind), data in published.items() if kind in ("A", "AAAA") and name == "mail.example.org."}
    assert addresses or "; mail.example.org. IN A ADDRESS" in done.stdout
    assert all(data == "mail.example.org." for (_, kind), data in published.items() if kind == "PTR") and sum(kind == "PTR" for _, kind in published) == len(addresses)
    # And what runs is what was asked for.
    assert host.config("hostname") == "mail.example.org" and host.config("postmaster") == "ann@example.org"
    assert " runs: " in host.tassis("status").stdout
    assert host.tassis("check").returncode == 0
    assert "secret" not in done.stdout + done.stderr
    with smtplib.SMTP_SSL("127.0.0.1", host.smtps, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        client.login("ann@example.org", "secret")


def test_setup_may_be_run_again_and_does_no_harm(host):
    host.setup(*OPTIONS, input="secret\n")
    before, pid = host.main_conf.read_text(), (host.folder / "spool/master.pid").read_text()
    kept = set(host.folder.glob("main.conf*"))
    done = host.setup(*OPTIONS, input="another\n")
    assert host.main_conf.read_text() == before and set(host.folder.glob("main.conf*")) == kept
    assert (host.folder / "spool/master.pid").read_text() == pid
    assert "main.conf is as it should be" in done.stdout and "keeps the password" in done.stdout
    delivered(done)
    with smtplib.SMTP_SSL("127.0.0.1", host.smtps, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        client.login("ann@example.org", "secret")
    # With no answer at all the defaults are what is there.
    host.places = ["--folder", host.folder]
    done = host.setup("--yes")
    assert host.main_conf.read_text() == before and delivered(done)["To"] == "<ann@example.org>"


def test_setup_after_everything_was_stopped_starts_it_again(host):
    host.setup(*OPTIONS, input="secret\n")
    host.tassis("stop")
    run(LIBEXEC / "cluster", "stop", host.folder / "state/postgresql")
    delivered(host.setup(*OPTIONS, input="secret\n"))


def test_setup_makes_a_password_and_shows_it_where_none_is_given(host):
    done = host.setup(*[o for o in OPTIONS if o != "--password-stdin"])
    password = re.search(r"The password of ann@example.org is (\S+)", done.stdout)[1]
    assert len(password) == 16
    with smtplib.SMTP_SSL("127.0.0.1", host.smtps, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        client.login("ann@example.org", password)


def test_setup_takes_a_database_that_is_there(host, cluster):
    name = cluster.new_database()
    options = [*OPTIONS[:-1], cluster.connection(name, "tassis")]
    if not AS_ROOT:  # the cluster's own account is the caller's
        options += ["--database-lookup", cluster.connection(name, "tassis_lookup")]
    delivered(host.setup(*options, input="secret\n"))
    assert not (host.folder / "state/postgresql").exists()
    assert f"dbname='{name}'" in host.config("database") + host.config("database").replace(name, f"'{name}'")
    assert "user=tassis_lookup" in host.config("database") and "user=tassis" in host.config("database_admin")


@pytest.mark.parametrize("kind", ["pem", "pkcs12"])
def test_setup_takes_a_certificate(host, kind):
    cert, key = pair(host.folder, name="mail.example.org")
    words, input = ["--certificate", cert, "--key", key], "secret\n"
    if kind == "pkcs12":
        run("openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-out", host.folder / "mail.p12", "-passout", "pass:horse")
        (host.folder / "mail.p12").chmod(0o600)
        words, input = ["--certificate", host.folder / "mail.p12", "--certificate-password-stdin"], "secret\nhorse\n"
    options = [o for o in OPTIONS if o != "--self-signed"]
    done = host.setup(*options, *words, input=input)
    delivered(done)
    assert host.config("tls_certificate") == str(words[1]) and "horse" not in done.stdout
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{host.smtps}"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    assert cert.read_text().strip() in shown


# -- main.conf


def test_main_conf_that_was_changed_by_hand_is_not_overwritten_without_force(host):
    host.main_conf.write_text("# mine\nhostname = old.example.org\nsmtp_max_recipients = 321\n" + ("accounts = caller\n" if SANITIZED else ""))
    before = host.main_conf.read_text()
    done = host.setup(*OPTIONS, input="secret\n", check=False)
    assert done.returncode == 1 and "hostname" in done.stderr and "--force" in done.stderr
    assert host.main_conf.read_text() == before and not host.tassis("status", check=False).returncode == 0
    done = host.setup(*OPTIONS, "--force", input="secret\n")
    delivered(done)
    after = host.main_conf.read_text()
    assert after.startswith("# mine\nhostname = mail.example.org\nsmtp_max_recipients = 321\n")
    (kept,) = host.folder.glob("main.conf.*")
    assert kept.read_text() == before and str(kept) in done.stdout


def test_what_is_not_asked_about_in_main_conf_stays(host):
    host.main_conf.write_text(f"# mine\nsmtp_max_recipients = 321\nmail_dir = {host.folder}/boxes\nspam_header = X-Spam: yes\nspam_header = X-Spam-Flag: YES\n" + ("accounts = caller\n" if SANITIZED else ""))
    before = host.main_conf.read_text()
    delivered(host.setup(*OPTIONS, input="secret\n"))
    assert host.main_conf.read_text().startswith(before)
    assert (host.folder / "boxes/example.org/ann/new").is_dir()


def test_shipped_main_conf_is_filled_in_where_its_comments_are(host):
    shutil.copy(SHARE / "main.conf", host.main_conf)
    if SANITIZED:
        host.main_conf.write_text(host.main_conf.read_text() + "accounts = caller\n")
    delivered(host.setup(*OPTIONS, *(["--force"] if SANITIZED else []), input="secret\n"))
    text = host.main_conf.read_text()
    assert "#hostname =" not in text and text.index("hostname = mail.example.org") > text.index("The name of this host in greetings")
    assert text.count("\nlisten = ") == 3


def test_main_conf_with_mistakes_is_named_and_left(host):
    host.main_conf.write_text("smtp_worker = 3\n")
    done = host.setup(*OPTIONS, input="secret\n", check=False)
    assert done.returncode == 1 and "line 1: smtp_worker" in done.stderr
    assert host.main_conf.read_text() == "smtp_worker = 3\n"


# -- answers


def answers(*lines):
    return "".join(line + "\n" for line in lines)


def test_five_questions_each_with_a_default_and_asked_again_on_a_bad_answer(host):
    done = host.setup(input=answers("not a name", "localhost", "mail.example.org", "exa mple", "", "ann@elsewhere.example", "ann", "/nonexistent.pem", str(host.folder), "self-signed", "host=/nonexistent", "private"))
    questions = re.findall(r"(Host name|First domain|First user|Certificate|Database)[^\[\n]*\[([^]]+)\]: ", done.stdout)
    assert [q for q, _ in questions] == ["Host name"] * 3 + ["First domain"] * 2 + ["First user"] * 2 + ["Certificate"] * 3 + ["Database"] * 2
    assert dict(questions) == {"Host name": dict(questions)["Host name"], "First domain": "example.org", "First user": dict(questions)["First user"], "Certificate": "self-signed", "Database": "private"}
    for words in ("localhost is not a full name", "the first user is one of the domain example.org", "cannot read /nonexistent.pem: No such file", "/nonexistent"):
        assert words in done.stdout, done.stdout
    assert delivered(done)["To"] == "<ann@example.org>"


def test_nobody_who_answers_is_a_mistake_that_names_yes(host):
    done = host.setup(input="mail.example.org\n", check=False)
    assert done.returncode == 2 and "--yes takes the defaults" in done.stderr
    assert not host.main_conf.exists() or SANITIZED


@pytest.mark.parametrize("words,sentence", [
    (["--hostname", "no name"], "--hostname"), (["--user", "ann@elsewhere.example"], "--user"), (["--certificate", "/nonexistent"], "--certificate: cannot read /nonexistent"),
    (["--database", "host=/nonexistent"], "--database"), (["--hostnam", "x"], "hostnam"), (["--certificate", str(pathlib.Path(__file__))], "no certificate"),
])
def test_option_that_cannot_be_is_named_and_nothing_is_done(host, words, sentence):
    options = [o for o in OPTIONS if o not in ("--self-signed",)] if words[0] == "--certificate" else [*OPTIONS]
    for option in set(words) & set(options):
        at = options.index(option)
        del options[at : at + 2]
    done = host.setup(*options, *words, input="secret\n", check=False)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert not (host.folder / "state").exists() and (SANITIZED or not host.main_conf.exists())


def test_password_is_asked_without_echo_at_a_terminal(host):
    """At a terminal, where the password is typed twice."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = [str(w) for w in (TASSIS, "-c", host.main_conf, "setup", *host.places, *OPTIONS[1:7], "--self-signed", "--database", "private")]
        os.execv(command[0], command)
    said = b""

    def until(words):
        nonlocal said
        while words not in said.rpartition(b"\x01")[2]:
            assert select.select([terminal], [], [], PATIENCE)[0], said
            said += os.read(terminal, 1000)
        said += b"\x01"

    try:
        until(b"[make one]: ")
        os.write(terminal, b"t\n")
        until(b"assword")
        os.write(terminal, b"horse-battery\n")
        until(b"more")
        os.write(terminal, b"horse-battery\n")
        with contextlib.suppress(OSError):
            while select.select([terminal], [], [], PATIENCE * 5)[0] and (octets := os.read(terminal, 1000)):
                said += octets
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
    assert status == 0 and b"horse-battery" not in said, said.decode(errors="replace")
    with smtplib.SMTP_SSL("127.0.0.1", host.smtps, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        client.login("ann@example.org", "horse-battery")


# -- as an ordinary user


AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@pytest.mark.skipif(not AS_ROOT, reason="all tests run as an ordinary user already")
def test_setup_as_an_ordinary_user_takes_high_ports_and_the_folder_of_main_conf(host):
    if subprocess.run([*AS_NOBODY, "test", "-x", LIBEXEC / "admin"]).returncode != 0:
        warnings.warn(f"an ordinary user was not tried: nobody cannot run {LIBEXEC}/admin")
        pytest.skip("nobody cannot run it")
    os.chown(host.folder, pwd.getpwnam("nobody").pw_uid, -1)
    if host.main_conf.exists():
        os.chown(host.main_conf, pwd.getpwnam("nobody").pw_uid, -1)
    as_nobody = lambda *words: run(*AS_NOBODY, TASSIS, "-c", host.main_conf, *words, cwd="/", check=False, env={**os.environ, "HOME": str(host.folder), "TMPDIR": str(host.folder)})
    try:
        ports = ["--address", "127.0.0.1", "--smtp-port", host.smtp, "--submission-port", host.submission, "--smtps-port", host.smtps]
        done = as_nobody("setup", "--yes", "--hostname", "mail.example.org", "--user", "ann", *ports)
        assert done.returncode == 0, done.stdout + done.stderr
        assert delivered(done)["To"] == "<ann@example.org>"
        assert {p.lstat().st_uid for p in host.folder.rglob("*")} == {pwd.getpwnam("nobody").pw_uid}
        # What listens is in main.conf from here on: no port is asked for.
        again = as_nobody("setup", "--yes")
        assert again.returncode == 0 and "as it should be" in again.stdout, again.stdout + again.stderr
    finally:
        as_nobody("stop")
        run(*AS_NOBODY, LIBEXEC / "cluster", "stop", host.folder / "state/postgresql", cwd="/", check=False)


@pytest.mark.skipif(not AS_ROOT, reason="takes nobody's account")
def test_ports_are_high_ones_for_an_ordinary_user_who_names_none(host):
    """One of them is taken, so that nothing starts."""
    for path in [host.folder, *host.folder.iterdir()]:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)

    def taken():
        with contextlib.suppress(OSError):
            return socket.create_server(("0.0.0.0", 2525))

    with wait_for(taken, what="port 2525, which another has"):
        try:
            done = run(*AS_NOBODY, TASSIS, "-c", host.main_conf, "setup", "--yes", "--hostname", "mail.example.org", check=False, cwd="/", env={**os.environ, "HOME": str(host.folder)})
        finally:
            run(*AS_NOBODY, LIBEXEC / "cluster", "stop", host.folder / "state/postgresql", cwd="/", check=False)
    assert done.returncode == 1 and "listen = 0.0.0.0:2525 smtp starttls" in done.stdout and "run setup again" in done.stderr
    assert re.findall(r"^listen = (.*)$", host.main_conf.read_text(), re.M) == [f"{address}:{port} {kind}" for port, kind in ((2525, "smtp starttls"), (2587, "submission required"), (2465, "submission implicit")) for address in ("0.0.0.0", "[::]")]


def test_main_conf_where_nothing_may_be_written_is_named(host):
    nobody = AS_NOBODY if AS_ROOT else []
    done = run(*nobody, TASSIS, "-c", "/etc/main.conf", "setup", "--yes", check=False, cwd="/")
    assert done.returncode == 1 and "tassis -c DIR/main.conf setup" in done.stderr
