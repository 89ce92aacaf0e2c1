"""Who sent this: SPF, DKIM, DMARC and ARC of mail that other hosts bring, with the real daemons, DNS and python3-dkim as the other side."""
import email

import dkim
import pytest

import harness
from test_dkim import keys  # noqa: F401

ZONE = """
mx.good.example A 127.0.0.1
good.example MX 10 mx.good.example
good.example TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.good.example TXT "v=DMARC1; p=reject"
bad.example A 192.0.2.1
bad.example TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.bad.example TXT "v=DMARC1; p=reject"
quarantine.example A 192.0.2.1
quarantine.example TXT "v=spf1 -all"
_dmarc.quarantine.example TXT "v=DMARC1; p=quarantine"
soft.example A 192.0.2.1
soft.example TXT "v=spf1 -all"
ill.example BEHAVIOUR servfail
_dmarc.ill.example TXT "v=DMARC1; p=reject"
test.com TXT "v=spf1 ip4:127.0.0.1 -all"
"""


@pytest.fixture
def world(cluster, keys):  # noqa: F811
    """A tassis of its own, with a client that is not exempt."""
    one = harness.Tassis(cluster, zone=ZONE, settings={"check_exempt": "192.0.2.99", "dns_timeout": "2s"})
    try:
        yield one.start()
    finally:
        one.end()


def message(author, subject="a test", more=""):
    return f"{more}From: Ann <{author}>\r\nTo: test@test.com\r\nSubject: {subject}\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{subject.replace(' ', '.')}@x>\r\n\r\nHello.\r\n"


def send(tassis, envelope, text, helo="mx.good.example"):
    with tassis.smtp() as smtp:
        smtp.ehlo(helo)
        smtp.mail(envelope)
        smtp.rcpt("test@test.com")
        return smtp.data(text.encode() if isinstance(text, str) else text)


def results(tassis, subject, folder=""):
    """What the one copy says that we found, unfolded."""
    found = harness.wait_for(lambda: [m for m in tassis.messages(folder=folder) if subject.encode() in m], what=f"{subject} in {folder or 'inbox'}")
    copy = email.message_from_bytes(found[0])
    return [" ".join(v.split()) for v in copy.get_all("Authentication-Results", [])]


def test_who_may_send_is_said_in_the_message(world):
    assert send(world, "ann@good.example", message("ann@good.example", "all is well"))[0] == 250
    (found,) = results(world, "all is well")
    assert found.startswith("mx.test.com; spf=pass smtp.mailfrom=ann@good.example; dkim=none; dmarc=pass (p=reject) header.from=good.example; iprev="), found
    world.wait_log(r"verified spf=pass dkim=none dmarc=pass arc=none author_domain=good.example")


def test_forged_author_is_refused_as_its_domain_asks(world):
    code, text = send(world, "mallory@good.example", message("ann@bad.example", "forged"))
    assert code == 550 and text.startswith(b"5.7.26") and b"bad.example" in text
    world.wait_log(r"message_refused .*status=5\.7\.26")
    assert not world.messages()


def test_quarantine_goes_to_the_mailbox_spam(world):
    assert send(world, "mallory@good.example", message("ann@quarantine.example", "odd one"))[0] == 250
    assert "dmarc=fail (p=quarantine)" in results(world, "odd one", ".spam")[0]


def test_settings_choose_what_a_failure_leads_to(world):
    world.reload(dmarc_reject="spam", dmarc_quarantine="tag", spf_fail="reject")
    harness.wait_for(lambda: send(world, "ann@soft.example", message("ann@soft.example", "spf"))[1].startswith(b"5.7.23"))
    assert send(world, "mallory@good.example", message("ann@bad.example", "as spam"))[0] == 250
    assert send(world, "mallory@good.example", message("ann@quarantine.example", "only a tag"))[0] == 250
    assert "dmarc=fail" in results(world, "as spam", ".spam")[0] and "dmarc=fail" in results(world, "only a tag")[0]


def test_field_that_forges_ours_goes_and_others_stay(world):
    forged = "Authentication-Results: mx.test.com; dmarc=pass header.from=bank.example\r\nAuthentication-Results: (x) MX.test.com 1; spf=pass\r\n"
    other = "Authentication-Results: other.example; spf=pass\r\n"
    assert send(world, "ann@good.example", message("ann@good.example", "with a field", forged + other))[0] == 250
    found = results(world, "with a field")
    assert len(found) == 2 and found[1] == "other.example; spf=pass" and b"bank.example" not in b"".join(world.messages())
    assert b"Hello.\n" in world.messages()[0]


@pytest.mark.parametrize("size", [1, 300_000])
def test_signature_of_another_verifies_in_one_pass(world, keys, size):  # noqa: F811
    private, public = keys["rsa"]
    halves = f'"v=DKIM1; p={public[:200]}" "{public[200:]}"'
    world.set_zone(*ZONE.strip().split("\n"), f"key._domainkey.good.example TXT {halves}")
    text = message("ann@good.example", f"signed {size}").encode() + b"line of text \t here\r\n" * (size // 20) + b"\r\n\r\n"
    signed = dkim.sign(text, b"key", b"good.example", private, canonicalize=(b"relaxed", b"relaxed")) + text
    assert send(world, "bounce@elsewhere.example", signed)[0] == 250
    (found,) = results(world, f"signed {size}")
    assert "spf=none" in found and "dkim=pass header.d=good.example header.s=key header.a=rsa-sha256 header.b=" in found and "dmarc=pass" in found
    code, _ = send(world, "bounce@elsewhere.example", signed.replace(b"Hello", b"Hullo"))
    assert code == 550  # p=reject, and nothing aligned passes


def test_sealer_who_is_believed_saves_a_message_that_was_changed(world, keys):  # noqa: F811
    private, public = keys["rsa"]
    halves = f'"v=DKIM1; p={public[:200]}" "{public[200:]}"'
    world.set_zone(*ZONE.strip().split("\n"), f"seal._domainkey.lists.example TXT {halves}")
    text = b"Authentication-Results: lists.example; dmarc=pass header.from=bad.example\r\n" + message("ann@bad.example", "[list] forwarded").encode()
    sealed = b"".join(dkim.arc_sign(text, b"seal", b"lists.example", private, b"lists.example", include_headers=[b"from", b"to", b"subject"], standardize=True)) + text
    assert send(world, "list@lists.example", sealed)[0] == 550
    world.reload(arc_trusted="lists.example")
    harness.wait_for(lambda: send(world, "list@lists.example", sealed)[0] == 250)
    assert "arc=pass" in results(world, "[list] forwarded")[0]


def test_seal_that_is_believed_does_not_cover_what_a_stranger_did_after_it(world, keys):  # noqa: F811
    """The chain stays whole when a stranger adds a set over a message that he changed: then nobody vouches for that."""
    private, public = keys["rsa"]
    halves = f'"v=DKIM1; p={public[:200]}" "{public[200:]}"'
    world.set_zone(*ZONE.strip().split("\n"), f"seal._domainkey.lists.example TXT {halves}", f"seal._domainkey.mallory.example TXT {halves}")
    world.reload(arc_trusted="lists.example")

    def seal(text, name, chain):
        text = f"Authentication-Results: {name}; arc={chain}; dmarc=pass header.from=bad.example\r\n".encode() + text
        return b"".join(dkim.arc_sign(text, b"seal", name.encode(), private, name.encode(), include_headers=[b"from", b"to", b"subject"], standardize=True)) + text
    good = seal(message("ann@bad.example", "[list] forwarded").encode(), "lists.example", "none")
    harness.wait_for(lambda: send(world, "list@lists.example", good)[0] == 250)
    forged = seal(good.replace(b"Hello.", b"Send money."), "mallory.example", "pass")
    assert dkim.arc_verify(forged, dnsfunc=lambda name, timeout=5: f"v=DKIM1; p={public}".encode())[0] == b"pass"
    assert send(world, "list@lists.example", forged)[0] == 550


@pytest.mark.parametrize("header", ["From: ann@good.example\r\nFrom: boss@bad.example", "From: boss@bad.example, broken", "From: " + ", ".join(f"a@d{i}.example" for i in range(20))],
                         ids=["two fields", "a broken one", "too many"])
def test_author_that_cannot_be_told_is_refused_as_a_forged_one_is(world, header):
    code, text = send(world, "ann@good.example", f"{header}\r\nSubject: x\r\n\r\nx\r\n")
    assert code == 550 and text.startswith(b"5.7.26"), text
    assert send(world, "ann@good.example", "From: undisclosed:;\r\nSubject: nobody\r\n\r\nx\r\n")[0] == 250


def test_header_of_very_many_fields_does_not_get_past_the_checks(world):
    junk = "a:\r\n" * 60000
    code, _ = send(world, "mallory@good.example", junk + message("ann@bad.example", "hidden"))
    assert code in (452, 550, 552) and not world.messages()


def test_line_that_is_no_field_does_not_hide_a_header_behind_it(world):
    """Who reads on over such a line would see an author and results that nobody checked: it gets an empty line before it."""
    hidden = "From: ann@good.example\r\nthis is no field\r\nAuthentication-Results: mx.test.com; dmarc=pass\r\nSubject: behind\r\n\r\nx\r\n"
    assert send(world, "ann@good.example", hidden)[0] == 250
    copy = harness.wait_for(lambda: [m for m in world.messages() if b"behind" in m])[0]
    assert b"\n\nthis is no field\nAuthentication-Results" in copy


def test_resolver_that_is_ill_refuses_nobody(world):
    assert send(world, "ann@ill.example", message("ann@ill.example", "no answer"))[0] == 250
    assert "spf=temperror" in results(world, "no answer")[0] and "dmarc=temperror" in results(world, "no answer")[0]
    world.reload(check_dns_failed="defer")
    harness.wait_for(lambda: send(world, "ann@ill.example", message("ann@ill.example", "again"))[0] == 451)


def test_exempt_clients_are_not_checked(world):
    world.reload(check_exempt="127.0.0.0/8 ::1")
    harness.wait_for(lambda: send(world, "mallory@good.example", message("ann@bad.example", "from here"))[0] == 250)
    assert results(world, "from here") == []


def test_received_spf_is_written_where_it_is_wanted(world):
    world.reload(check_received_spf=True)
    harness.wait_for(lambda: send(world, "ann@good.example", message("ann@good.example", "more"))[0] == 250 and any(b"Received-SPF: pass (mx.test.com) client-ip=127.0.0.1;" in m for m in world.messages()))


def test_local_sender_comes_back_when_spf_passes(world):
    """local_sender = spf: mail of a domain of ours that was forwarded elsewhere and comes back."""
    with world.smtp() as smtp:
        smtp.ehlo("mx.good.example")
        smtp.mail("test@test.com")
        assert smtp.rcpt("test@test.com")[0] in (530, 550)
    world.reload(local_sender="spf")

    def taken():
        with world.smtp() as smtp:
            smtp.ehlo("mx.good.example")
            smtp.mail("test@test.com")
            return smtp.rcpt("test@test.com")[0] == 250
    harness.wait_for(taken)
    with world.smtp() as smtp:
        smtp.ehlo("mx.good.example")
        smtp.mail("test@test.com")
        assert smtp.rcpt("far@good.example")[0] in (530, 550)  # never to elsewhere
    world.set_zone(*(line for line in ZONE.strip().split("\n") if not line.startswith("test.com")), 'test.com TXT "v=spf1 -all"')
