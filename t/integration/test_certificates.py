"""Certificate and key: PEM or PKCS#12 with a password, self-signed where none is set, and renewals that are taken up by themselves: seen on the wire."""
import re, shutil, socket, ssl, subprocess

import pytest
from harness import LIBEXEC, PATIENCE, SANITIZED, TASSIS, Tassis, run, wait_for
from test_bad_input import make_pair, served
from test_thread import ANY_CERTIFICATE, submit

# What Java's keytool and OpenSSL 1 wrote, and what is written now.
FORMS = {"now": [], "old": ["-legacy"], "without encryption of the certificate": ["-certpbe", "NONE"]}


def make_p12(folder, name, password="secret", words=(), file="mail.p12", chain=None, with_key=True):
    cert, key = make_pair(folder, name)
    path = folder / file
    run("openssl", "pkcs12", "-export", "-in", cert, *(["-inkey", key] if with_key else ["-nokeys"]), *(["-certfile", chain] if chain else []), "-out", folder / "new.p12", "-passout", f"pass:{password}", *words)
    (folder / "new.p12").chmod(0o600)
    (folder / "new.p12").rename(path)
    return path


@pytest.fixture
def start_fails(cluster, make_tassis):
    """What master says when it does not start with these settings."""

    def call(**settings):
        tassis = make_tassis(settings=settings, sample=False)
        done = run(LIBEXEC / "master", "-c", tassis.main_conf, check=False, env=tassis.environment())
        assert done.returncode == 1, done
        return done.stdout + done.stderr

    return call


def test_certificate_is_made_and_signed_by_itself_at_the_first_start_where_none_is_set(make_tassis):
    tassis = make_tassis().start()
    made = (tassis.folder / "state/tls/certificate.pem").read_text()
    with socket.create_connection((tassis.address, tassis.smtps_port), timeout=PATIENCE) as s, ANY_CERTIFICATE.wrap_socket(s) as tls:
        assert ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)) == made
    text = run("openssl", "x509", "-in", tassis.folder / "state/tls/certificate.pem", "-noout", "-text").stdout
    assert f"DNS:{tassis.hostname}" in text
    tassis.stop()
    tassis.start()  # the same one is shown again
    assert (tassis.folder / "state/tls/certificate.pem").read_text() == made


@pytest.mark.parametrize("form", FORMS)
def test_pkcs12_file_with_its_password_is_shown_and_signs(make_tassis, form):
    tassis = make_tassis()
    tassis.write_conf(tls_certificate=make_p12(tassis.folder, "from.p12.example", words=FORMS[form]), tls_password="secret")
    tassis.start()
    assert served(tassis) == "from.p12.example"
    submit(tassis, ["test@test.com"], f"over {form}\r\n")  # a handshake that the key has signed
    tassis.wait_message(f"over {form}")


def test_pkcs12_file_is_known_by_what_it_is_and_not_by_its_name(make_tassis):
    tassis = make_tassis()
    tassis.write_conf(tls_certificate=make_p12(tassis.folder, "named.otherwise.example", file="certificate.pem"), tls_password="secret")
    tassis.start()
    assert served(tassis) == "named.otherwise.example"
    # And the other way round.
    cert, key = make_pair(tassis.folder, "pem.example")
    (tassis.folder / "mail.p12").write_bytes(cert.read_bytes() + key.read_bytes())
    assert tassis.reload(tls_certificate=tassis.folder / "mail.p12").returncode == 0
    wait_for(lambda: served(tassis) == "pem.example", what="the certificate in PEM")


def test_chain_in_a_pkcs12_file_is_sent_along(make_tassis):
    tassis = make_tassis()
    folder = tassis.folder
    ca, ca_key = make_pair(folder, "authority.example")
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "k", "-out", folder / "csr", "-subj", "/CN=mx.test.com")
    run("openssl", "x509", "-req", "-in", folder / "csr", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-out", folder / "c")
    run("openssl", "pkcs12", "-export", "-in", folder / "c", "-inkey", folder / "k", "-certfile", ca, "-out", folder / "mail.pfx", "-passout", "pass:secret")
    (folder / "mail.pfx").chmod(0o600)
    tassis.write_conf(tls_certificate=folder / "mail.pfx", tls_password="secret")
    tassis.start()
    shown = run("openssl", "s_client", "-connect", f"{tassis.address}:{tassis.smtps_port}", "-showcerts", check=False).stdout
    assert re.findall(r"^ +\d s:CN = (.*)$", shown, re.M) == ["mx.test.com", "authority.example"]


def test_encrypted_key_in_pem_is_opened_by_the_password(make_tassis):
    tassis = make_tassis()
    cert, key = make_pair(tassis.folder, "encrypted.example")
    key.write_text(run("openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret").stdout)
    tassis.write_conf(tls_certificate=cert, tls_key=key, tls_password="secret")
    tassis.start()
    assert served(tassis) == "encrypted.example"


def test_certificate_that_cannot_be_opened_is_named_at_the_start(start_fails, tmp_path):
    p12 = make_p12(tmp_path, "mx.test.com")
    for words, settings in (
        ("tls_password does not open the PKCS#12 file", {"tls_password": "wrong"}),
        ("there is no tls_password to open it", {}),
        ("leave tls_key empty", {"tls_password": "secret", "tls_key": make_pair(tmp_path, "other")[1]}),
    ):
        said = start_fails(tls_certificate=p12, **settings)
        assert words in said and str(p12) in said and "secret" not in said, said
    said = start_fails(tls_certificate=make_p12(tmp_path, "x", file="no-key.p12", with_key=False), tls_password="secret")
    assert "no private key in the PKCS#12 file" in said and "no-key.p12" in said


@pytest.mark.skipif(SANITIZED, reason="the memory of a sanitizer cannot be read to its end")
def test_password_of_the_certificate_reaches_no_daemon_but_lookupd(make_tassis):
    password = "correct-horse-battery-staple"
    tassis = make_tassis()
    tassis.write_conf(tls_certificate=make_p12(tassis.folder, "mx.test.com", password), tls_password=password)
    tassis.start()
    for pid, name in tassis.processes().items():
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                if name != "lookupd" and (m := re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)):
                    start, end = (int(x, 16) for x in m.groups())
                    try:
                        memory.seek(start)
                        assert password.encode() not in memory.read(end - start), name
                    except OSError:
                        pass


# -- renewals: nobody tells tassis, it looks each minute


class Renewed:
    """A tassis with a certificate of one kind, and a way to put another in its place."""

    def __init__(self, cluster, kind):
        self.kind, self.tassis = kind, Tassis(cluster, sample=False, settings={"log_level": "info"})
        self.folder = self.tassis.folder
        self.put("first.example")
        pem = {"tls_certificate": self.folder / "chain.pem", "tls_key": self.folder / "key.pem"}
        self.tassis.write_conf(**(pem if kind == "pem" else {"tls_certificate": self.folder / "mail.p12", "tls_password": "secret"}))

    def put(self, name, password="secret"):
        if self.kind == "pkcs12":
            make_p12(self.folder, name, password)
            return
        for new, path in zip(make_pair(self.folder, name), ("chain.pem", "key.pem")):
            new.chmod(0o600)
            new.rename(self.folder / path)


@pytest.fixture(scope="module")
def two(cluster):
    """Both kinds at once: each look takes a minute."""
    made = {}
    try:
        for kind in ("pem", "pkcs12"):
            made[kind] = Renewed(cluster, kind)
            made[kind].tassis.start()
        yield made
    finally:
        for one in made.values():
            one.tassis.end()


def test_renewals_are_taken_up_within_a_minute_pem_and_pkcs12(two):
    for one in two.values():
        assert served(one.tassis) == "first.example"
        one.put("second.example")
    pids = {kind: set(one.tassis.processes()) for kind, one in two.items()}
    for one in two.values():
        wait_for(lambda: served(one.tassis) == "second.example", 65 + PATIENCE, f"the renewed certificate in {one.kind}")
        assert re.search(rf"file_taken file={one.folder}/(chain.pem|mail.p12)", one.tassis.log_text())
    assert pids == {kind: set(one.tassis.processes()) for kind, one in two.items()}


def test_renewal_that_cannot_be_opened_leaves_the_old_one_pem_and_pkcs12(two):
    """In place of each: another key than the certificate's, another password. What is right afterwards is taken."""
    before = {kind: served(one.tassis) for kind, one in two.items()}
    shutil.copy(make_pair(two["pem"].folder, "stranger.example")[1], two["pem"].folder / "key.pem")
    two["pkcs12"].put("third.example", password="another")
    for kind, words in (("pem", "not that of the chain's first certificate"), ("pkcs12", "tls_password does not open the PKCS#12 file")):
        one = two[kind]
        one.tassis.wait_log(rf"file_unusable file={one.folder}/\S+ .*{re.escape(words)}", 65 + PATIENCE)
        assert served(one.tassis) == before[kind]
        one.put("fourth.example")
        assert one.tassis.tassis("reload").returncode == 0
        wait_for(lambda: served(one.tassis) == "fourth.example", what="the pair that is right")


def test_no_handshake_fails_while_a_reload_takes_another_key_or_the_same(make_tassis):
    """Who shows a certificate and who has its key are different processes: the key is there first, and the old one for who shows the old certificate. And a
    new worker has its certificate before it has a port."""
    tassis = make_tassis(settings={"log_level": "info", "smtp_workers": 2})
    cert, key = make_pair(tassis.folder, "name.0.example")
    tassis.write_conf(tls_certificate=cert, tls_key=key)
    tassis.start()
    for n in range(1, 7):
        if n % 2:
            for new, mine in zip(make_pair(tassis.folder, f"name.{n}.example"), (cert, key)):
                new.rename(mine)
        since = len(tassis.log_text())
        with subprocess.Popen([TASSIS, "-c", tassis.main_conf, "reload"], stdout=subprocess.DEVNULL, env=tassis.environment()) as reload:
            # Until all that are replaced have gone; a handshake that fails fails this.
            wait_for(lambda: served(tassis) and len(re.findall(r" smtpd/\d+\[\d+\] - stopped ", tassis.log_text()[since:])) >= 4, what="new workers")
            assert reload.wait() == 0
        assert served(tassis) == f"name.{n - 1 + n % 2}.example"
    assert " tls_failed " not in tassis.log_text()
