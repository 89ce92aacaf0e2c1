"""A tour as a new user: from `tassis setup` to a host with two domains, ten users, aliases, a forward, quotas, a renewed certificate and a provider for what leaves.
What is typed are the examples of the manual pages, as they stand there; where the story needs another name, port or file, that is said with the example."""
import base64, os, re, shlex, smtplib, subprocess

import pytest
from far_end import FarEnd
from harness import LIBEXEC, PATIENCE, PREFIX, SHARE, TOP, wait_for
from test_admin import at_terminal
from test_bad_input import make_pair, served
from test_setup import Host, delivered
from test_thread import ANY_CERTIFICATE

PAGES = ("tassis.8", "main.conf.5", "tassis-log.5", "tassis-sendmail.1", "tassis-schema.7", "tassis-queue.8")


def unescaped(line):
    """A line of mdoc as the reader sees it."""
    line = re.sub(r"@([A-Z]+)@", lambda m: {"LIBEXECDIR": str(LIBEXEC), "SHAREDIR": str(SHARE), "SBINDIR": f"{PREFIX}/sbin"}.get(m[1], m[0]), line)
    return line.replace(r"\(aq", "'").replace(r"\(dq", '"').replace(r"\-", "-").replace(r"\e", "\\")


def examples():
    """Every command that a page shows on a line of its own, and the lines of its literal blocks."""
    found = []
    for page in PAGES:
        text = (TOP / "man" / page).read_text()
        for line in re.findall(r"^\.Dl (.*)", text, re.M):
            found.append(unescaped(re.sub(r'^"(.*)"$', r"\1", line)))
        for block in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed", text, re.M):
            found += unescaped(block).replace("\\\n", " ").splitlines()
    return found


def example(beginning, *changes):
    """The manual's own example that begins so, with these changes: pairs of what stands there and what is typed."""
    found = [one for one in examples() if one.startswith(beginning)]
    assert found, f"no manual page has an example that begins with: {beginning}"
    line = found[0]
    for old, new in changes:
        assert old in line, (line, old)
        line = line.replace(old, str(new))
    return line


class Tour(Host):
    """The new user's host, and whom they meet: DNS, another host, a provider."""

    def __init__(self):
        super().__init__()
        # Whoever is met in these tests is on loopback, with names of this zone.
        self.zone = self.folder / "zone"
        self.zone.write_text("mail.example.org A 127.0.0.1\nfar.example MX 10 mx.far.example\nmx.far.example A 127.0.0.1\nsmtp.provider.example A 127.0.0.1\n")
        self.dns = subprocess.Popen([TOP / "t/tools/dns-server", self.zone, "127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _, address, port = self.dns.stdout.readline().split()
        self.far = FarEnd()
        (self.folder / "aliases").write_text("root: ann@example.org\n")
        with open(self.main_conf, "a") as f:
            f.write(f"dns_servers = {address}:{port}\ndelivery_port = {self.far.port}\naliases_file = {self.folder}/aliases\nauth_failure_wait = 0s\n")
        self.address, self.smtps_port = "127.0.0.1", self.smtps
        self.passwords = {}

    def environment(self):
        return {**os.environ, "MAIN_CONF": str(self.main_conf), "PATH": f"{PREFIX}/sbin:{PREFIX}/bin:" + os.environ["PATH"]}

    def type(self, line, check=True):
        """In a shell, as the page shows it."""
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=self.environment(), timeout=PATIENCE * 5)
        assert not check or done.returncode == 0, (line, done.stdout, done.stderr)
        return done

    def type_with_password(self, line, password):
        """At a terminal that asks for a password twice."""
        status, shown = at_terminal(self, shlex.split(line)[1:], [("Password", f"{password}\n"), ("Once more", f"{password}\n")])
        assert status == 0 and password not in shown, (line, shown)

    def submit(self, user, to, text, sender=None):
        with smtplib.SMTP("127.0.0.1", self.submission, timeout=PATIENCE) as client:
            client.starttls(context=ANY_CERTIFICATE)
            client.login(user, self.passwords[user])
            return client.sendmail(sender or user, to, f"From: <{sender or user}>\r\nTo: <{to}>\r\nSubject: tour\r\n\r\n{text}\r\n")

    def mail(self, user):
        local, domain = user.split("@")
        folder = self.folder / "mail" / domain / local / "new"
        return [p.read_text() for p in folder.iterdir()] if folder.is_dir() else []

    def arrives(self, text, user):
        return wait_for(lambda: next((m for m in self.mail(user) if text in m), None), what=f"{text!r} for {user}")

    def log(self):
        return (self.folder / "tassis.log").read_text()

    def end(self):
        super().end()
        self.far.stop()
        self.dns.stdin.close()
        self.dns.wait()
        self.dns.stdout.close()


@pytest.fixture(scope="module")
def tour():
    one = Tour()
    yield one
    one.end()


# The tests are the stages of one journey, in this order.


def test_1_setup_as_the_manual_shows_it_ends_with_a_mail(tour):
    done = tour.type(example("tassis setup --yes") + " " + shlex.join(str(w) for w in tour.places))
    assert delivered(done)["To"] == "<ann@example.org>"
    tour.passwords["ann@example.org"] = re.search(r"The password of ann@example.org is (\S+)", done.stdout)[1]
    assert "example.org. IN MX 10 mail.example.org." in done.stdout
    tour.submit("ann@example.org", "ann@example.org", "to myself")
    tour.arrives("to myself", "ann@example.org")
    assert tour.type(example("tassis check")).returncode == 0


def test_2_second_domain_and_ten_users_who_write_to_each_other(tour):
    tour.type(example("tassis domain add", ("example.org", "second.example")))
    users = [f"user{n}@second.example" for n in range(10)]
    for user in users:
        tour.passwords[user] = f"secret of {user}"
        tour.type_with_password(example("tassis user add ann@example.org --quota", ("ann@example.org", user)), tour.passwords[user])
    assert len(tour.type(example("tassis user list", ("example.org", "second.example"))).stdout.strip().splitlines()) >= 10
    for user, next_user in zip(users, users[1:] + users[:1]):
        tour.submit(user, next_user, f"from {user}")
    for user, next_user in zip(users, users[1:] + users[:1]):
        tour.arrives(f"from {user}", next_user)


def test_3_alias_reaches_a_user_here_and_a_forward_another_host(tour):
    tour.type(example("tassis alias add sales@example.org"))  # to ann@example.org and bob@far.example
    tour.submit("user0@second.example", "sales@example.org", "for all of sales")
    tour.arrives("for all of sales", "ann@example.org")
    wait_for(lambda: [m for m in tour.far.messages if m[1] == ["bob@far.example"] and b"for all of sales" in m[2]], what="the mail at far.example")
    # A forward: an address of ours that is only somewhere else.
    tour.type(example("tassis alias add sales@example.org", ("sales@", "bob@"), (" ann@example.org", "")))
    tour.submit("ann@example.org", "bob@example.org", "to be forwarded")
    wait_for(lambda: [m for m in tour.far.messages if m[1] == ["bob@far.example"] and b"to be forwarded" in m[2]], what="the forwarded mail at far.example")
    assert "bob@far.example" in tour.type(example("tassis alias show", ("sales@", "bob@"))).stdout
    # The host's own names, out of aliases_file, by the program that cron calls.
    tour.type(example("printf 'Subject: done", ("tassis-sendmail", f"tassis-sendmail -C {tour.main_conf}"), ("ann@example.org", "root")))
    tour.arrives("Subject: done", "ann@example.org")


def test_4_quota_is_reached_and_mail_comes_again_when_there_is_room(tour):
    change = example("tassis user change ann@example.org", ("ann@", "user3@"), ("example.org --quota", "second.example --quota"), (" --send-as sales@example.org", ""))
    tour.type(change.replace("2G", "1k"))
    with smtplib.SMTP("127.0.0.1", tour.smtp, timeout=PATIENCE) as client:
        client.ehlo("client.example.net")
        client.mail("somebody@example.net")

        def refused():
            code, reply = client.rcpt("user3@second.example")
            return (code, reply[:5]) == (452, b"4.2.2")

        for _ in range(4):  # each has some octets
            if client.rcpt("user3@second.example")[0] == 250:
                client.data("Subject: large\r\n\r\n" + "x" * 60 + "\r\n" * 1 + ("y" * 70 + "\r\n") * 10)
                client.mail("somebody@example.net")
        wait_for(refused, what="452 4.2.2")
        client.rset()
        tour.type(change)  # 2G
        client.mail("somebody@example.net")
        wait_for(lambda: client.rcpt("user3@second.example")[0] == 250, what="room")
        client.data("Subject: room again\r\n\r\nroom again\r\n")
    tour.arrives("room again", "user3@second.example")


def test_5_wrong_password_is_refused_and_stands_in_the_log(tour):
    with smtplib.SMTP_SSL("127.0.0.1", tour.smtps, timeout=PATIENCE, context=ANY_CERTIFICATE) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("user4@second.example", "not the password")
        assert refused.value.smtp_code == 535 and refused.value.smtp_error.startswith(b"5.7.8")
    line = next(line for line in tour.log().splitlines() if " authentication_refused " in line)
    assert "client=127.0.0.1 " in line and "user=user4@second.example" in line and "not the password" not in tour.log()
    # A new one, by a script.
    tour.passwords["user4@second.example"] = "with blanks and $"
    tour.type("password='with blanks and $'; " + example("printf '%s\\n' \"$password\"", ("ann@example.org", "user4@second.example")))
    tour.submit("user4@second.example", "ann@example.org", "with the new password")
    tour.arrives("with the new password", "ann@example.org")


def test_6_certificate_of_somebody_else_is_taken_and_renewed(tour):
    live = tour.folder / "live"
    live.mkdir()

    def certify(name):
        for made, file in zip(make_pair(tour.folder, name), ("fullchain.pem", "privkey.pem")):
            made.chmod(0o600)
            made.rename(live / file)

    certify("mail.example.org")
    with open(tour.main_conf, "a") as f:
        for setting in ("tls_certificate", "tls_key"):
            f.write(example(f"{setting} = ", ("/etc/letsencrypt/live/mail.example.org", live)) + "\n")
    tour.tassis("reload")
    wait_for(lambda: served(tour) == "mail.example.org", what="the certificate of main.conf(5)'s example")
    certify("renewed.example.org")
    wait_for(lambda: served(tour) == "renewed.example.org", 65 + PATIENCE, "the renewed certificate")


def test_7_route_with_a_password_takes_all_that_leaves(tour):
    certificate = make_pair(tour.folder, "smtp.provider.example")
    with FarEnd({"AUTH": "235 2.7.0 welcome"}, extensions=("PIPELINING", "ENHANCEDSTATUSCODES", "AUTH PLAIN"), certificate=certificate) as provider:
        tour.type_with_password(example("tassis route add", ("587", provider.port)) + " --tls starttls", "provider's secret")
        tour.submit("user5@second.example", "carol@far.example", "by the provider")
        wait_for(lambda: [m for m in provider.messages if m[1] == ["carol@far.example"] and b"by the provider" in m[2] and m[3]], what="the mail at the provider, by TLS")
        login = base64.b64encode(b"\0me\0provider's secret").decode()
        assert any(line == f"C: AUTH PLAIN {login}" for line in provider.dialogue)
        assert "provider's secret" not in tour.type(example("tassis route show")).stdout + tour.log()
        tour.type(example("tassis route delete", ("far.example", "'*'"), (" --if-exists", "")))
        tour.submit("user5@second.example", "carol@far.example", "by the MX again")
        wait_for(lambda: [m for m in tour.far.messages if b"by the MX again" in m[2]], what="the mail at its MX")


def test_8_what_happens_to_an_address_is_explained_and_all_is_sound(tour):
    said = tour.tassis("explain", "sales@example.org").stdout
    assert "bob@far.example" in said and "ann@example.org" in said
    assert tour.type(example("tassis check")).returncode == 0
    # What was taken while the mailbox of stage 4 was full waits for its next attempt.
    tour.type(example("tassis queue flush example.com", ("example.com", "second.example")))
    wait_for(lambda: not tour.tassis("queue", "list", "--json").stdout.strip(), what="an empty queue\n" + tour.tassis("queue", "list").stdout)
    tour.type(example("tassis restart"))
    tour.submit("ann@example.org", "user9@second.example", "after a restart")
    tour.arrives("after a restart", "user9@second.example")
    assert "has stopped" in tour.tassis("stop").stdout
