"""Who may log in: AUTH PLAIN and AUTH LOGIN against the real daemons, the schemes of passwords, weak ones that are written anew, and wrong logins that are slowed."""
import base64, re, shutil, smtplib, ssl, time

import pytest

from harness import PATIENCE, Tassis, run, wait_for

ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE
SAMPLE = "YXV0aGlkAHRlc3RAdGVzdC5jb20AMTExMQ=="  # authid, test@test.com, 1111
WEAK = "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"  # 1111
WRONG = "535 5.7.8"


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Client(smtplib.SMTP_SSL):
    """A user's mail program, which says what a test tells it to."""

    def __init__(self, tassis, source="127.0.0.1"):
        super().__init__(tassis.address, tassis.smtps_port, timeout=PATIENCE, context=ANY_CERTIFICATE, source_address=(source, 0), local_hostname="laptop.example")
        assert self.ehlo()[0] == 250

    def say(self, *words):
        code, reply = self.docmd(" ".join(words))
        return f"{code} {reply.decode()}"

    def status(self, *words):
        return " ".join(self.say(*words).split()[:2])

    def plain(self, user, password, authzid=""):
        return self.status("AUTH PLAIN", b64(f"{authzid}\0{user}\0{password}"))

    def login(self, user, password):
        assert self.say("AUTH LOGIN") == "334 " + b64("Username:")
        assert self.say(b64(user)) == "334 " + b64("Password:")
        return self.status(b64(password))


def plain(tassis, user, password, authzid="", source="127.0.0.1"):
    with Client(tassis, source) as client:
        return client.plain(user, password, authzid)


# ---- the mechanisms


def test_sample_logs_in_to_the_letter(tassis):
    with Client(tassis) as client:
        assert client.say("AUTH PLAIN " + SAMPLE) == "235 2.7.0 logged in"
    with Client(tassis) as client:
        assert client.say("AUTH PLAIN") == "334 "
        assert client.say(SAMPLE) == "235 2.7.0 logged in"
    tassis.wait_log(r"authenticated client=127\.0\.0\.1 user=test@test\.com mechanism=PLAIN")


def test_auth_login_with_and_without_initial_response(tassis):
    with Client(tassis) as client:
        assert client.login("test@test.com", "1111") == "235 2.7.0"
    with Client(tassis) as client:
        assert client.say("AUTH LOGIN", b64("test@test.com")) == "334 UGFzc3dvcmQ6"
        assert client.status(b64("1111")) == "235 2.7.0"
        assert client.mail("test@test.com")[0] == 250 and client.rcpt("eve@example.net")[0] == 250
    tassis.wait_log(r"authenticated client=127\.0\.0\.1 user=test@test\.com mechanism=LOGIN")


def test_ehlo_offers_plain_and_login(tassis):
    with Client(tassis) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]


def test_star_cancels_at_any_point(tassis):
    with Client(tassis) as client:
        for words in (["AUTH PLAIN"], ["AUTH LOGIN"], ["AUTH LOGIN", b64("test@test.com")], ["AUTH LOGIN " + b64("test@test.com")]):
            for word in words:
                assert client.say(word).startswith("334")
            assert client.status("*") == "501 5.7.0"
        assert client.plain("test@test.com", "1111") == "235 2.7.0"


def test_wrong_login_gets_535_5_7_8_and_one_line_in_the_log(tassis):
    since = len(tassis.log_text())
    with Client(tassis) as client:
        assert client.login("test@test.com", "Secret1") == WRONG
    tassis.wait_log(r'authentication_refused client=127\.0\.0\.1 client_name=\S+ helo=laptop\.example mechanism=LOGIN user=test@test\.com reply=535 status=5\.7\.8 ', since=since)
    assert tassis.log_text()[since:].count("authentication_refused") == 1
    assert "Secret1" not in tassis.log_text() and b64("Secret1") not in tassis.log_text()


def test_auth_before_starttls_gets_530_5_7_0(tassis):
    with tassis.smtp(tassis.submission_port) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        code, reply = client.docmd("AUTH PLAIN " + SAMPLE)
        assert code == 530 and reply.startswith(b"5.7.0")


def test_backend_away_gets_454_4_7_0(make_tassis):
    away = make_tassis()
    away.write_conf(database="host=/nowhere dbname=x user=y connect_timeout=1")
    away.start()
    assert plain(away, "test@test.com", "1111") == "454 4.7.0"
    with Client(away) as client:
        assert client.login("nobody@test.com", "1111") == "454 4.7.0"
    away.wait_log(r"authentication_refused client=127\.0\.0\.1 .*user=nobody@test\.com reply=454 status=4\.7\.0 ")


def test_authorisation_identity_is_ignored_or_must_match(make_tassis, tassis):
    assert plain(tassis, "test@test.com", "1111", authzid="whoever@elsewhere.example") == "235 2.7.0"
    matching = make_tassis(settings={"auth_authzid": "match"}).start()
    assert plain(matching, "test@test.com", "1111", authzid="authid") == WRONG
    assert plain(matching, "test@test.com", "1111", authzid="Test@TEST.com") == "235 2.7.0"
    assert plain(matching, "test@test.com", "1111") == "235 2.7.0"
    matching.wait_log(r"authentication_refused .*user=test@test\.com .*authorisation identity")


def test_smtp_auth_no_offers_no_auth_on_either_kind(make_tassis):
    without = make_tassis(settings={"smtp_auth": False, "local_sender": "relays"}).start()
    with Client(without) as client:
        assert "auth" not in client.esmtp_features
        assert client.status("AUTH PLAIN " + SAMPLE) == "502 5.5.1"
        assert client.status("AUTH LOGIN") == "502 5.5.1"
        assert client.status("MAIL FROM:<test@test.com>") == "550 5.7.1"
    with without.smtp() as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features and client.docmd("AUTH PLAIN " + SAMPLE)[0] == 502


@pytest.mark.parametrize(
    "kept",
    [
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$fC+IAsKM+FANyqmgS4XpBA$AFd2tRcA7k7H5tDNq9kkWKRC5hp4mL0ittdpdC+vF30",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$Gc2p6JiBaNCGO5j20iVAAg$dc4mTRBGcLerSwrZmijR2SKYbhUVHzvTR8ckhtiot6U",
    ],
    ids=["argon2id", "argon2i"],
)
def test_argon2_passwords_are_verified(tassis, kept):
    name = kept[1 : kept.index("}")].lower()
    tassis.sql("INSERT INTO users (local_part, domain, password) VALUES (%s, 'test.com', %s)", name, kept)
    assert wait_for(lambda: plain(tassis, f"{name}@test.com", "correct horse") == "235 2.7.0", 5)
    assert plain(tassis, f"{name}@test.com", "correct horsf") == WRONG
    assert tassis.sql("SELECT password FROM users WHERE local_part = %s", name) == [(kept,)]  # it is no weak form


# ---- weak forms are written anew


def add_user(tassis, name, kept=WEAK, fixed=False):
    tassis.sql("INSERT INTO users (local_part, domain, password, password_fixed) VALUES (%s, 'test.com', %s, %s)", name, kept, fixed)
    wait_for(lambda: plain(tassis, f"{name}@test.com", "1111") == "235 2.7.0", 5)


def kept_of(tassis, name):
    return tassis.sql("SELECT password FROM users WHERE local_part = %s AND domain = 'test.com'", name)[0][0]


def wait_rewritten(tassis, name):
    tassis.wait_log(rf"password_rewritten user={name}@test\.com")
    assert kept_of(tassis, name).startswith("{SCRAM-SHA-256}15000,")


def test_weak_password_is_written_anew_once_at_a_good_login(make_tassis):
    own = make_tassis().start()
    assert plain(own, "test@test.com", "1112") == WRONG and kept_of(own, "test") == WEAK
    assert plain(own, "test@test.com", "1111") == "235 2.7.0"
    wait_rewritten(own, "test")
    new = kept_of(own, "test")
    for _ in range(3):
        assert plain(own, "test@test.com", "1111") == "235 2.7.0"
    assert plain(own, "test@test.com", "1112") == WRONG
    assert kept_of(own, "test") == new and own.log_text().count("password_rewritten") == 1
    if shutil.which("doveadm"):  # Dovecot reads the same column
        assert "(verified)" in run("doveadm", "pw", "-t", new, "-p", "1111").stdout


def test_weak_password_of_crypt_is_written_anew(make_tassis):
    own = make_tassis().start()
    own.sql("INSERT INTO users (local_part, domain, password) VALUES ('md5', 'test.com', '{CRYPT}$1$yriRHEnt$Q53sJAtwwJbxEvn4o2fO7.')")
    wait_for(lambda: plain(own, "md5@test.com", "correct horse") == "235 2.7.0", 5)
    wait_rewritten(own, "md5")
    assert plain(own, "md5@test.com", "correct horse") == "235 2.7.0"


def test_password_that_is_fixed_is_not_written_anew(make_tassis):
    own = make_tassis()
    # The function would refuse it, too: here it is a simpler one, so that it shows who asks.
    own.sql("""CREATE OR REPLACE FUNCTION rewrite_password(of_local_part text, of_domain text, old text, new text) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
        'UPDATE public.users SET password = new WHERE local_part = of_local_part AND domain = of_domain RETURNING true'""")
    own.start()
    add_user(own, "fixed", fixed=True)
    add_user(own, "free")
    wait_rewritten(own, "free")
    assert plain(own, "fixed@test.com", "1111") == "235 2.7.0"
    assert kept_of(own, "fixed") == WEAK and "password_rewritten user=fixed" not in own.log_text()


@pytest.mark.parametrize(
    "settings",
    [{"auth_rehash": False}, {"query_user": "SELECT password, NULL, NULL, enabled, NULL, NULL, NULL, password_fixed FROM users WHERE local_part = $1 AND domain = $2"}],
    ids=["auth_rehash_no", "query_user"],
)
def test_password_is_not_written_anew_with(make_tassis, settings):
    own = make_tassis(settings=settings).start()
    for _ in range(10):
        assert plain(own, "test@test.com", "1111") == "235 2.7.0"
    assert kept_of(own, "test") == WEAK and "password_rewritten" not in own.log_text()


def test_password_that_cannot_be_written_anew_is_only_logged(make_tassis):
    own = make_tassis()
    own.sql("REVOKE EXECUTE ON FUNCTION rewrite_password FROM tassis_lookup")
    own.start()
    assert plain(own, "test@test.com", "1111") == "235 2.7.0"
    own.wait_log(r"database_failed user=test@test\.com .*the password is not kept in a stronger form")
    assert plain(own, "test@test.com", "1111") == "235 2.7.0"
    assert kept_of(own, "test") == WEAK and "database_lost" not in own.log_text()


# ---- wrong logins are slowed


def waits(tassis, user, since=0):
    """What the home of the account has asked for, ms."""
    return [int(ms) for ms in re.findall(rf'lookupd\S* \S+ frame .*step=sent text="auth_answer accepted=no user={re.escape(user)} wait_ms=(\d+)"', tassis.log_text()[since:])]


def client_waits(tassis, since=0):
    """What the home of the client has asked for, ms."""
    return [int(ms) for ms in re.findall(r'lookupd\S* \S+ frame peer=smtpd.*step=sent text="done number=(\d+)"', tassis.log_text()[since:])]


@pytest.fixture(scope="module")
def slow(cluster):
    one = Tassis(cluster, settings={"auth_failure_wait": "200ms", "auth_failure_wait_max": "1s", "lookup_workers": 2, "smtp_max_errors": 1000})
    yield one.start()
    one.end()


def held(tassis, user, password="wrong", source="127.0.0.1"):
    """A wrong login; seconds from the command to its refusal."""
    with Client(tassis, source) as client:
        begun = time.monotonic()
        assert client.plain(user, password) == WRONG
        return time.monotonic() - begun


@pytest.mark.parametrize("user", ["test@test.com", "missing@test.com"])
def test_wrong_logins_of_an_account_are_slowed(slow, user):
    """Whether or not it is there, from wherever they come."""
    since = len(slow.log_text())
    sources = [f"127.0.{1 + (user[0] == 'm')}.{n}" for n in range(1, 6)]
    seconds = [held(slow, user, source=source) for source in sources]
    assert waits(slow, user, since) == [200, 400, 800, 1000, 1000]
    assert client_waits(slow, since) == [200] * 5
    assert all(is_ >= wanted for is_, wanted in zip(seconds, (0.2, 0.4, 0.8, 1.0, 1.0))), seconds


def test_wrong_logins_of_a_client_are_slowed(slow):
    since = len(slow.log_text())
    seconds = [held(slow, f"u{n}@test.com", source="127.0.3.1") for n in range(5)]
    assert client_waits(slow, since) == [200, 400, 800, 1000, 1000]
    assert all(waits(slow, f"u{n}@test.com", since) == [200] for n in range(5))
    assert all(is_ >= wanted for is_, wanted in zip(seconds, (0.2, 0.4, 0.8, 1.0, 1.0))), seconds


def test_good_login_is_not_slowed_and_forgets_the_accounts_wrong_ones(slow):
    add_user(slow, "ann")
    since = len(slow.log_text())
    held(slow, "ann@test.com", source="127.0.4.1")
    held(slow, "ANN@test.com", source="127.0.4.2")
    assert plain(slow, "ann@test.com", "1111", source="127.0.4.3") == "235 2.7.0"
    held(slow, "ann@test.com", source="127.0.4.4")
    assert waits(slow, "ann@test.com", since) == [200, 400, 200]


def test_client_that_leaves_while_it_is_held_ends_cleanly(slow):
    since = len(slow.log_text())
    client = Client(slow, source="127.0.5.1")
    client.putcmd("AUTH PLAIN " + b64("\0gone@test.com\0x"))
    slow.wait_log(r"step=auth_held", since=since)
    client.close()
    slow.wait_log(r"client_left client=127\.0\.5\.1", since=since)
    assert plain(slow, "test@test.com", "1111", source="127.0.5.2") == "235 2.7.0"


def test_what_comes_behind_a_wrong_login_waits_with_it(slow):
    with Client(slow, source="127.0.6.1") as client:
        client.send(("AUTH PLAIN " + b64("\0w@test.com\0x") + "\r\nNOOP\r\n").encode())
        assert client.getreply()[0] == 535 and client.getreply()[0] == 250


def test_too_many_wrong_logins_end_the_session(make_tassis):
    own = make_tassis(settings={"smtp_max_errors": 3}).start()
    with Client(own) as client:
        assert [client.plain("test@test.com", "x") for _ in range(3)] == [WRONG, WRONG, "421 4.7.0"]
