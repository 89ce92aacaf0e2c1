"""What users submit is signed with the keys of their domain; python3-dkim, as the far end, verifies it."""
import base64, smtplib, ssl, subprocess

import dkim
import pytest

import harness
from test_dkim import keys  # noqa: F401


@pytest.fixture
def signer(cluster, keys):  # noqa: F811
    """A tassis whose domain test.com has an RSA and an Ed25519 key, and a way to ask for their public halves."""
    one = harness.Tassis(cluster)
    folder = one.folder / "keys"
    folder.mkdir()
    public = {}
    for name, algorithm, command in ("r1", "rsa-sha256", ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]), ("e1", "ed25519-sha256", ["ED25519"]):
        subprocess.run(["openssl", "genpkey", "-algorithm", *command, "-out", folder / name], check=True, capture_output=True)
        one.sql("INSERT INTO dkim_keys (domain, selector, algorithm, private_key, state) VALUES ('test.com', %s, %s, %s, 'active')", name, algorithm, (folder / name).read_text())
        der = subprocess.run(["openssl", "pkey", "-in", folder / name, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        record = f"v=DKIM1; k={'ed25519' if name == 'e1' else 'rsa'}; p={base64.b64encode(der[-32:] if name == 'e1' else der).decode()}"
        public[f"{name}._domainkey.test.com."] = record.encode()
    one.dns_of_keys = lambda name, timeout=5: public.get(name.decode(), None)
    try:
        yield one.start()
    finally:
        one.end()


def submit(tassis, text, sender="test@test.com", to="test@test.com"):
    context = ssl._create_unverified_context()
    with smtplib.SMTP_SSL("127.0.0.1", tassis.smtps_port, context=context) as smtp:
        smtp.login("test@test.com", "1111")
        return smtp.sendmail(sender, [to], text)


def copy_of(tassis, text):
    found = harness.wait_for(lambda: [m for m in tassis.messages() if text.encode() in m], what=text)
    return found[0].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def signatures(copy):
    return copy[:copy.index(b"\r\n\r\n")].count(b"DKIM-Signature:")


@pytest.mark.parametrize("body", ["Hello.\r\n", "", " two  blanks \t\r\n\r\n\r\n", "x" * 900 + "\r\n" + "line\r\n" * 20000], ids=["short", "empty", "blanks", "large"])
def test_submission_is_signed_by_each_active_key(signer, body):
    submit(signer, f"From: Test <test@test.com>\r\nTo: b@example.org\r\nSubject: signed {len(body)}\r\nBcc: secret@example.org\r\n\r\n{body}")
    copy = copy_of(signer, f"signed {len(body)}")
    assert signatures(copy) == 2 and b"secret@" not in copy
    for index in 0, 1:
        assert dkim.DKIM(copy).verify(idx=index, dnsfunc=signer.dns_of_keys), index
    assert not dkim.DKIM(copy.replace(b"signed", b"forged")).verify(idx=0, dnsfunc=signer.dns_of_keys)
    more = b"From: Other <other@test.com>\r\n" + copy  # From is signed once more than it is there
    assert not dkim.DKIM(more).verify(idx=0, dnsfunc=signer.dns_of_keys)


def test_author_of_another_domain_is_signed_only_for_who_may_send_as_it(signer):
    """Else any user of this host could have a message of any other domain of it signed."""
    signer.sql("INSERT INTO domains (name) VALUES ('other.example')")
    signer.sql("UPDATE dkim_keys SET domain = 'other.example'")

    def signed(subject):
        submit(signer, f"From: boss@other.example\r\nSubject: {subject}\r\n\r\nx\r\n")
        return signatures(copy_of(signer, subject))
    assert signed("a stranger's") == 0
    signer.sql("INSERT INTO sender_addresses (user_id, address) SELECT id, 'boss@other.example' FROM users WHERE local_part = 'test'")
    harness.wait_for(lambda: signed(f"an owner's {len(signer.messages())}") == 2, 10)


def test_date_and_message_id_that_were_added_are_signed(signer):
    submit(signer, "From: test@test.com\r\nSubject: bare\r\n\r\nx\r\n")
    copy = copy_of(signer, "bare")
    field = copy[copy.index(b"DKIM-Signature:"):].split(b"bh=")[0].replace(b"\r\n\t", b"")
    assert b":Date:" in field and b":Message-ID" in field
    assert dkim.verify(copy, dnsfunc=signer.dns_of_keys)


def test_domain_without_a_key_is_not_signed_and_a_key_that_is_not_active_does_not_sign(signer):
    signer.sql("UPDATE dkim_keys SET state = 'retired'")

    def unsigned():
        signer.n = getattr(signer, "n", 0) + 1
        submit(signer, f"From: test@test.com\r\nSubject: retired {signer.n}.\r\n\r\nx\r\n")
        return signatures(copy_of(signer, f"retired {signer.n}.")) == 0
    harness.wait_for(unsigned, 10)


def test_mail_of_others_is_not_signed(signer):
    signer.send(subject="from elsewhere")
    assert signatures(copy_of(signer, "from elsewhere")) == 0


def test_setting_switches_it_off(signer):
    signer.reload(dkim_sign=False)

    def unsigned():
        signer.n = getattr(signer, "n", 0) + 1
        submit(signer, f"From: test@test.com\r\nSubject: off {signer.n}.\r\n\r\nx\r\n")
        return signatures(copy_of(signer, f"off {signer.n}.")) == 0
    harness.wait_for(unsigned, 10)


def test_key_that_cannot_be_read_is_451_and_not_unsigned(signer):
    signer.sql("UPDATE dkim_keys SET private_key = '-----BEGIN nothing'")

    def refused():
        try:
            submit(signer, "From: test@test.com\r\nSubject: broken\r\n\r\nx\r\n")
        except smtplib.SMTPDataError as error:
            return error.smtp_code == 451
        return False
    harness.wait_for(refused, 10)


def test_private_key_never_reaches_a_process_that_sees_the_network(signer):
    submit(signer, "From: test@test.com\r\nSubject: kept\r\n\r\nx\r\n")
    copy_of(signer, "kept")
    assert "PRIVATE KEY" not in signer.log_text()
