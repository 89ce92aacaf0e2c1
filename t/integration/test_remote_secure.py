"""To other hosts encrypted and logged in: routes with TLS, user and password, smtps-first, whose certificates are trusted, and what of it stands in the log."""
import re, subprocess

import pytest
from far_end import ZONE, FarEnd
from harness import wait_for
from test_remote import QUICK, bounce
from test_thread import submit

TWO_ZONE = "far.test MX 5 first.far.test\nfar.test MX 10 mx.far.test\nfirst.far.test A 127.0.0.2\nmx.far.test A 127.0.0.1\n"
REFUSALS = ["connect", "EHLO", "MAIL", "RCPT", "DATA"]


class Authority:
    """Signs certificates for far ends; pem is its own, as delivery_tls_ca has it."""

    def __init__(self, folder):
        self.folder = folder
        self.pem, self.key = folder / "ca", folder / "ca.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.key, "-out", self.pem, "-days", "2", "-subj", "/CN=Our Authority")
        folder.chmod(0o755)
        self.pem.chmod(0o644)

    def openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    def sign(self, name):
        """(certificate, key) for that host name."""
        cert, key, request, extra = (self.folder / f"{name}.{what}" for what in ("cert", "key", "csr", "ext"))
        extra.write_text(f"subjectAltName=DNS:{name}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial", "-out", cert, "-days", "2", "-extfile", extra)
        return str(cert), str(key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.sign("mx.far.test")


@pytest.fixture
def near(make_tassis):
    def make(far, zone=ZONE, **settings):
        return make_tassis(zone=zone, settings={"delivery_port": far.port, **QUICK, **settings}).start()

    return make


def route(tassis, host="127.0.0.1", port=None, tls="optional", user=None, password=None, domain="*", sender_domain="*"):
    tassis.sql("DELETE FROM routes WHERE domain = %s AND sender_domain = %s", domain, sender_domain)
    tassis.sql("INSERT INTO routes (domain, sender_domain, host, port, tls, username, password) VALUES (%s, %s, %s, %s, %s, %s, %s)",
               domain, sender_domain, host, port, tls, user, password)


# -- routes with a password


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_default_route_with_host_port_tls_user_and_password(near, certificate, tls, mechanism):
    with FarEnd(certificate=certificate, implicit=tls == "implicit", users={"us@isp.test": "open sesame"}) as far:
        far.mechanisms = mechanism
        tassis = near(far, zone="mx.far.test A 127.0.0.1\n", delivery_port=1, delivery_debug=True)
        route(tassis, host="mx.far.test", port=far.port, tls=tls, user="us@isp.test", password="open sesame")
        for n in range(2):
            submit(tassis, ["bob@anywhere.example"])
            wait_for(lambda: len(far.messages) > n)
        assert all(message[3] for message in far.messages)
        assert far.logins == [("us@isp.test", "open sesame", mechanism, True)]
        log = tassis.log_text()
        assert "(not shown)" in log
        for secret in ("sesame", "AHVzQGlzcC50ZXN0AG9wZW4gc2VzYW1l", "b3BlbiBzZXNhbWU="):
            assert secret not in log


def test_default_route_may_be_by_the_senders_domain(near, certificate):
    with FarEnd(certificate=certificate, users={"us": "1"}) as ours, FarEnd() as others:
        tassis = near(others, zone="mx.far.test A 127.0.0.1\n")
        route(tassis, host="mx.far.test", port=others.port)
        route(tassis, host="mx.far.test", port=ours.port, tls="starttls", user="us", password="1", sender_domain="test.com")
        submit(tassis, ["bob@anywhere.example"])
        wait_for(lambda: ours.messages)
        submit(tassis, ["bob@anywhere.example"], sender="")
        wait_for(lambda: others.messages)
        assert (len(ours.messages), len(others.messages)) == (1, 1)


def test_smarthost_is_another_tassis_at_its_submission_port(make_tassis):
    far = make_tassis(hostname="mx.far.example", sample=False, settings={"auth_sender": "any"}).start()
    far.sql("INSERT INTO domains(name) VALUES ('far.example')")
    far.sql("INSERT INTO users(domain, local_part, password) VALUES ('far.example', 'bob', '{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c')")
    near = make_tassis(zone="mx.far.example A 127.0.0.1\n", settings=QUICK).start()
    for port, tls in ((far.submission_port, "starttls"), (far.smtps_port, "implicit")):
        route(near, host="mx.far.example", port=port, tls=tls, user="bob@far.example", password="1111")
        submit(near, ["bob@far.example"], f"by way of {tls}\r\n")
        far.wait_message(f"by way of {tls}", "bob@far.example")
    assert len(re.findall(r" authenticated .*user=bob@far\.example", far.log_text())) == 2


def test_wrong_password_in_the_route_bounces_nothing(near, certificate):
    with FarEnd(certificate=certificate, users={"us": "right"}) as far:
        tassis = near(far, zone="mx.far.test A 127.0.0.1\n")
        route(tassis, host="mx.far.test", port=far.port, tls="starttls", user="us", password="wrong")
        submit(tassis, ["bob@anywhere.example"], "patience\r\n")
        tassis.wait_log(r" deferred .*status=4\.7\.8 .*who are you\?")
        route(tassis, host="mx.far.test", port=far.port, tls="starttls", user="us", password="right")
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()
        assert not tassis.messages()


def test_password_waits_where_the_route_demands_tls_and_none_is_offered(near):
    with FarEnd(users={"us": "1"}) as far:
        tassis = near(far)
        route(tassis, port=far.port, tls="starttls", user="us", password="1")
        submit(tassis, ["bob@anywhere.example"])
        tassis.wait_log(r" deferred .*STARTTLS is required, and not offered")
        assert not far.logins and not far.messages


# -- smtps-first


def test_smtps_first_goes_to_that_port_with_tls(near, certificate):
    with FarEnd(certificate=certificate, implicit=True) as smtps, FarEnd() as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        for n in range(2):
            submit(tassis, ["bob@far.test"])
            wait_for(lambda: len(smtps.messages) > n)
        assert smtps.messages[0][3] and smtps.connections == 1
        assert not far.connections


@pytest.mark.parametrize("stage", REFUSALS)
@pytest.mark.parametrize("how", ["554 5.7.1 not here", "421 4.3.2 not now", "close"])
def test_smtps_first_that_fails_before_the_end_of_data_means_the_other_port(near, certificate, stage, how):
    with FarEnd({stage: how, "HELO": how}, certificate=certificate, implicit=True) as smtps, FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port, queue_retry_min="1h", queue_retry_max="1h", delivery_reuse_idle="5min")
        for n in range(2):
            submit(tassis, ["bob@far.test"])
            wait_for(lambda: len(far.messages) > n)
        tassis.wait_queue_empty()
        assert len(far.messages) == 2 and not smtps.messages and not tassis.messages()
        assert far.messages[0][3]  # with STARTTLS, where that is offered
        assert smtps.connections == 1  # for a day
        if how.startswith("554") and stage in ("MAIL", "RCPT", "DATA"):  # and the connection is not kept
            wait_for(lambda: "C: QUIT" in smtps.dialogue)


def test_smtps_first_silent_is_given_five_seconds(near):
    with FarEnd({"connect": "silent"}) as smtps, FarEnd() as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port, delivery_greeting_timeout="1min")
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert "no answer in time at step tls_up" in tassis.log_text()


def test_smtps_first_is_final_from_the_end_of_data(near, certificate):
    with FarEnd({"data": "554 5.7.1 spam"}, certificate=certificate, implicit=True) as smtps, FarEnd() as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        submit(tassis, ["bob@far.test"])
        assert "554 5.7.1 spam" in bounce(tassis).as_string()
        assert not far.connections


def test_smtps_first_sends_nothing_twice_when_the_reply_is_lost(near, certificate):
    with FarEnd({"data": ["close", "250 2.0.0 taken"]}, certificate=certificate, implicit=True) as smtps, FarEnd() as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        submit(tassis, ["bob@far.test"])
        tassis.wait_log(r" deferred .*to=bob@far\.test")
        wait_for(lambda: smtps.messages)
        tassis.wait_queue_empty()
        assert not far.connections


def test_smtps_first_takes_the_refused_recipients_to_the_other_port(near, certificate):
    with FarEnd({"RCPT eve@far.test": "550 5.1.1 no Eve here"}, certificate=certificate, implicit=True) as smtps, FarEnd({"RCPT eve@far.test": "250 2.1.5 Eve"}) as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        submit(tassis, ["bob@far.test", "eve@far.test", "zoe@far.test"])
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()
        assert [m[1] for m in smtps.messages] == [["bob@far.test", "zoe@far.test"]]
        assert [m[1] for m in far.messages] == [["eve@far.test"]]
        assert not tassis.messages()


def test_smtps_first_refused_by_both_ports_bounces_in_the_words_of_the_last(near, certificate):
    with FarEnd({"RCPT": "550 5.7.1 users only"}, certificate=certificate, implicit=True) as smtps, FarEnd({"RCPT": "550 5.1.1 no Bob"}) as far:
        tassis = near(far, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        submit(tassis, ["bob@far.test"])
        text = bounce(tassis).as_string()
        assert "no Bob" in text and "users only" not in text


# -- whose certificates


def test_certificate_is_verified_and_the_log_says_so(near, authority, certificate):
    with FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_tls_ca=authority.pem)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        tassis.wait_log(r'tls_started .*tls="TLSv1\.3 \S+ verified"')


def test_certificate_of_anybody_is_good_enough_and_the_log_says_so(near, authority):
    with FarEnd(certificate=authority.sign("other.far.test")) as far:
        tassis = near(far, delivery_tls_ca=authority.pem)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        tassis.wait_log(r'tls_started .*tls="TLSv1\.3 \S+ not verified"')


def test_trust_in_authorities_delivers_to_whom_they_signed_for(near, authority, certificate):
    with FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_tls_trust="ca", delivery_tls_ca=authority.pem, delivery_reuse_idle="0s")
        for n in range(2):  # the second time resumed
            submit(tassis, ["bob@far.test"])
            wait_for(lambda: len(far.messages) > n)
        assert all(message[3] for message in far.messages)
        assert len(re.findall(r'tls_started .*tls="TLSv1\.3 \S+ verified"', tassis.log_text())) == 2


def test_trust_in_authorities_uses_the_next_mx_where_the_first_has_no_good_certificate(near, authority, certificate):
    port = None
    with FarEnd(certificate=certificate) as far:
        port = far.port  # another host's name
        with FarEnd(certificate=certificate, address="127.0.0.2", port=port) as first:
            tassis = near(far, zone=TWO_ZONE, delivery_tls_trust="ca", delivery_tls_ca=authority.pem)
            submit(tassis, ["bob@far.test"])
            wait_for(lambda: far.messages)
            tassis.wait_log(r"next_hop_failed .*first\.far\.test.*status=4\.7\.5 .*cannot be trusted")
            assert first.connections and not first.messages


@pytest.mark.parametrize("name", ["other.far.test", None])
def test_trust_in_authorities_defers_where_no_host_is_trusted(near, authority, tmp_path_factory, name):
    signer = authority if name else Authority(tmp_path_factory.mktemp("unknown"))
    with FarEnd(certificate=signer.sign(name or "mx.far.test")) as far:
        tassis = near(far, delivery_tls_trust="ca", delivery_tls_ca=authority.pem)
        submit(tassis, ["bob@far.test"])
        tassis.wait_log(r" deferred .*status=4\.7\.5 .*certificate of mx\.far\.test cannot be trusted")
        assert not far.messages


def test_trust_in_authorities_never_sends_in_the_clear(near, authority):
    with FarEnd() as far:
        tassis = near(far, delivery_tls_trust="ca", delivery_tls_ca=authority.pem)
        submit(tassis, ["bob@far.test"])
        tassis.wait_log(r" deferred .*STARTTLS is required, and not offered")
        assert not far.messages


def test_trust_in_authorities_with_smtps_first_wants_good_certificates_on_both_ports(near, authority, certificate):
    with FarEnd(certificate=authority.sign("other.far.test"), implicit=True) as smtps, FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_tls_trust="ca", delivery_tls_ca=authority.pem, delivery_secure="smtps-first", delivery_smtps_port=smtps.port)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert far.messages[0][3] and not smtps.messages


def test_authorities_that_cannot_be_read_are_refused_by_the_package_that_has_them(near, authority, certificate):
    with FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_tls_ca="/nonexistent/ca.crt")
        said = tassis.reload(delivery_tls_trust="ca")
        assert said.returncode != 0 and "/nonexistent/ca.crt" in said.stdout + said.stderr and "ca-certificates" in said.stdout + said.stderr
        checked = tassis.tassis("check", check=False)
        assert checked.returncode != 0 and "ca-certificates" in checked.stdout + checked.stderr
        submit(tassis, ["bob@far.test"])  # the running configuration stays
        wait_for(lambda: far.messages)
        tassis.stop()
        refused = subprocess.run([tassis.tassis.__globals__["LIBEXEC"] / "master", "-c", tassis.main_conf, "-f"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert refused.returncode != 0 and "ca-certificates" in refused.stdout + refused.stderr
        assert tassis.write_conf(delivery_tls_ca=authority.pem) is None
        tassis.start()
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: len(far.messages) == 2)


# -- the log


def test_dialogue_is_logged_without_the_message(near, certificate):
    with FarEnd(certificate=certificate) as far:
        tassis = near(far, delivery_debug=True, log_level="info")
        id = submit(tassis, ["bob@far.test"], "nobody else's business\r\n")
        wait_for(lambda: far.messages)
        tassis.wait_log("S: 250 2.0.0 taken")
        lines = [line for line in tassis.log_text().splitlines() if "next_hop_dialogue" in line]
        said = [re.search(r'text="([^"]*)"', line)[1] for line in lines if id in line]
        assert [line for line in said if line.startswith("C: ")] == ["C: EHLO mx.test.com", "C: STARTTLS", "C: EHLO mx.test.com", f"C: MAIL FROM:<test@test.com> SIZE={len(far.messages[0][2])}",
                                                                     "C: RCPT TO:<bob@far.test>", "C: DATA"]
        assert "S: 220 far.test ESMTP" in said and "S: 354 go on" in said and "S: 250-PIPELINING" in said
        assert "business" not in tassis.log_text()
