"""`tassis test dmarc`: the policy of the author's domain, found by the walk up the tree or by the list of public suffixes."""
import json, subprocess

import pytest

from test_dkim import ADMIN, BODY, dns, keys, sign  # noqa: F401  the name server, the keys, a signer

ZONE = """
example.com MX 10 mx.example.com
mx.example.com A 192.0.2.1
example.com TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.example.com TXT "v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:d@example.com"
sub.example.com A 192.0.2.2
sub.example.com TXT "v=spf1 ip4:192.0.2.0/24 -all"
own.example.com A 192.0.2.2
own.example.com TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.own.example.com TXT "v=DMARC1; p=none; psd=n"
below.own.example.com A 192.0.2.2
strict.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.strict.example TXT "v=DMARC1; p=quarantine; aspf=s; adkim=s"
sub.strict.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
sub.strict.example A 192.0.2.2
two.example A 192.0.2.2
_dmarc.two.example TXT "v=DMARC1; p=reject"
_dmarc.two.example TXT "v=DMARC1; p=none"
nothing.example A 192.0.2.2
senseless.example A 192.0.2.2
_dmarc.senseless.example TXT "v=DMARC1; p=perhaps"
reported.example A 192.0.2.2
_dmarc.reported.example TXT "v=DMARC1; p=perhaps; sp=reject; rua=mailto:d@example.com"
badsp.example A 192.0.2.2
_dmarc.badsp.example TXT "v=DMARC1; p=reject; sp=perhaps"
testing.example A 192.0.2.2
_dmarc.testing.example TXT "v=DMARC1; p=reject; t=y; adkim=nonsense; pct=0"
late.example A 192.0.2.2
_dmarc.late.example TXT "p=reject; v=DMARC1"
lower.example A 192.0.2.2
_dmarc.lower.example TXT "v=dmarc1; p=reject"
loud.example A 192.0.2.2
_dmarc.loud.example TXT "v=DMARC1;P=Reject;ASPF=S;"
_dmarc.suffix.test TXT "v=DMARC1; p=reject; psd=y; np=reject; sp=none"
org.suffix.test A 192.0.2.2
org.suffix.test TXT "v=spf1 ip4:192.0.2.0/24 -all"
a.org.suffix.test A 192.0.2.2
a.org.suffix.test TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.g.example TXT "v=DMARC1; p=reject"
a.b.c.d.e.f.g.h.i.j.deep.example A 192.0.2.2
_dmarc.e.f.g.h.i.j.deep.example TXT "v=DMARC1; p=reject"
_dmarc.f.g.h.i.j.deep.example TXT "v=DMARC1; p=quarantine"
a.b.c.d.e.f.g.h.i.j.far.example A 192.0.2.2
_dmarc.i.j.far.example TXT "v=DMARC1; p=reject"
twice.example A 192.0.2.2
_dmarc.twice.example TXT "v=DMARC1; p=none; p=reject"
ill.example A 192.0.2.2
_dmarc.ill.example BEHAVIOUR servfail
half.example A 192.0.2.2
_dmarc.half.example TXT "v=DMARC1; p=reject; pct=0"
some.example A 192.0.2.2
_dmarc.some.example TXT "v=DMARC1; p=reject; pct=50"
illspf.example A 192.0.2.2
illspf.example BEHAVIOUR servfail
_dmarc.illspf.example TXT "v=DMARC1; p=reject"
co.uk A 192.0.2.2
shop.co.uk A 192.0.2.2
shop.co.uk TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.shop.co.uk TXT "v=DMARC1; p=reject; sp=none"
www.shop.co.uk A 192.0.2.2
www.shop.co.uk TXT "v=spf1 ip4:192.0.2.0/24 -all"
"""


@pytest.fixture(scope="module", autouse=True)
def world(dns):  # noqa: F811
    with open(dns.zone, "a") as zone:
        zone.write(ZONE)


def check(dns, message, *options):  # noqa: F811
    done = subprocess.run([ADMIN, "test", "dmarc", "--json", "--dns", f"127.0.0.1:{dns.port}", "--dns-timeout", "5", *options, "-"], input=message, capture_output=True)
    assert done.stderr == b"", done
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["result"] == "pass" else 1)
    return answer


def mail(dns, sender, envelope=None, *options, ip="192.0.2.9"):  # noqa: F811
    """A message from sender; envelope: SPF is asked for that reverse-path, from an address that its domain names."""
    spf = ["--ip", ip, "--helo", "h.example", "--from", envelope] if envelope is not None else []
    return check(dns, f"From: {sender}\r\nSubject: x\r\n\r\n".encode() + BODY, *spf, *options)


def test_alignment_of_spf_is_relaxed_unless_the_record_says_strict(dns):  # noqa: F811
    assert mail(dns, "a@example.com", "b@example.com")["result"] == "pass"
    answer = mail(dns, "a@example.com", "b@sub.example.com")
    assert (answer["result"], answer["spf"], answer["disposition"]) == ("pass", {"result": "pass", "domain": "sub.example.com", "aligned": True}, "none")
    assert mail(dns, "a@sub.example.com", "b@example.com")["result"] == "pass"
    assert mail(dns, "a@strict.example", "b@strict.example")["result"] == "pass"
    answer = mail(dns, "a@strict.example", "b@sub.strict.example")
    assert (answer["result"], answer["spf"]["aligned"], answer["aspf"], answer["adkim"]) == ("fail", False, "s", "s")
    assert mail(dns, "a@example.com", "b@strict.example")["spf"]["aligned"] is False
    assert mail(dns, "a@example.com", "b@example.com", ip="198.51.100.1")["spf"] == {"result": "fail", "domain": "example.com", "aligned": True}


def test_alignment_of_dkim(dns, keys):  # noqa: F811
    with open(dns.zone, "a") as zone:
        zone.write('_dmarc.football.example.com TXT "v=DMARC1; p=reject"\n')
    answer = check(dns, sign(dns, keys))
    assert answer["result"] == "pass" and answer["dkim"][0]["aligned"] and answer["spf"] == {"result": "none", "domain": None, "aligned": False}
    other = sign(dns, keys, message=b"From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\nDate: x\r\nMessage-ID: <x>\r\n\r\nx\r\n")
    assert check(dns, other)["dkim"][0]["aligned"] is False


@pytest.mark.parametrize("sender, policy_domain, org, policy", [
    ("example.com", "example.com", "example.com", "reject"), ("sub.example.com", "example.com", "example.com", "quarantine"), ("missing.example.com", "example.com", "example.com", "none"),
    ("own.example.com", "own.example.com", "own.example.com", "none"), ("below.own.example.com", "own.example.com", "own.example.com", "none"), ("EXAMPLE.com", "example.com", "example.com", "reject"),
    ("org.suffix.test", "suffix.test", "org.suffix.test", "none"), ("a.org.suffix.test", "suffix.test", "org.suffix.test", "none"), ("no.such.suffix.test", "suffix.test", "such.suffix.test", "reject"),
    ("a.b.c.d.e.f.g.h.i.j.deep.example", "f.g.h.i.j.deep.example", "f.g.h.i.j.deep.example", "quarantine"),
    ("a.b.c.d.e.f.g.h.i.j.far.example", "i.j.far.example", "i.j.far.example", "reject"), ("twice.example", "twice.example", "twice.example", "none"), ("loud.example", "loud.example", "loud.example", "reject")])
def test_walk_finds_policy_and_organization(dns, sender, policy_domain, org, policy):  # noqa: F811
    answer = mail(dns, f"Ann <a@{sender}>")
    assert (answer["result"], answer["author_domain"], answer["policy_domain"], answer["org_domain"], answer["policy"], answer["disposition"]) == (
        "fail", sender.lower(), policy_domain, org, policy, policy), answer


def test_suffix_above_does_not_align_its_organizations(dns):  # noqa: F811
    assert mail(dns, "a@a.org.suffix.test", "b@org.suffix.test")["result"] == "pass"
    assert mail(dns, "a@own.example.com", "b@example.com")["result"] == "fail"  # psd=n: an organization of its own


@pytest.mark.parametrize("sender", ["nothing.example", "two.example", "senseless.example", "badsp.example", "late.example", "lower.example"])
def test_where_there_is_no_policy_that_makes_sense_there_is_none(dns, sender):  # noqa: F811
    answer = mail(dns, f"a@{sender}")
    assert (answer["result"], answer["policy"], answer["disposition"], answer["p"]) == ("none", None, None, None)


def test_policy_that_makes_no_sense_is_none_where_reports_are_wanted(dns):  # noqa: F811
    answer = mail(dns, "a@reported.example")
    assert (answer["result"], answer["p"], answer["sp"], answer["np"], answer["policy"]) == ("fail", "none", None, None, "none")


def test_domain_that_is_testing_is_spared_a_step(dns):  # noqa: F811
    answer = mail(dns, "a@testing.example")
    assert (answer["policy"], answer["disposition"], answer["testing"], answer["sampled"], answer["adkim"]) == ("reject", "quarantine", True, False, "r")


def test_pct_counts_with_the_list_alone(dns):  # noqa: F811
    assert mail(dns, "a@half.example")["disposition"] == "reject"
    answer = mail(dns, "a@half.example", None, "--org-domain", "psl")
    assert (answer["policy"], answer["disposition"], answer["sampled"], answer["pct"]) == ("reject", "quarantine", False, 0)
    answers = [mail(dns, "a@some.example", None, "--org-domain", "psl") for _ in range(60)]
    assert {a["disposition"] for a in answers} == {"reject", "quarantine"} and all(a["sampled"] for a in answers)


def test_list_of_public_suffixes(dns):  # noqa: F811
    answer = mail(dns, "a@www.shop.co.uk", "b@shop.co.uk", "--org-domain", "psl")
    assert (answer["result"], answer["org_domain"], answer["policy_domain"], answer["policy"]) == ("pass", "shop.co.uk", "shop.co.uk", "none")
    assert mail(dns, "a@co.uk", None, "--org-domain", "psl")["org_domain"] == "co.uk"
    assert mail(dns, "a@x.user.github.io", None, "--org-domain", "psl")["org_domain"] == "user.github.io"  # the private part too


@pytest.mark.parametrize("header", ["Subject: x", "From: a@example.com\r\nFrom: b@example.com", "From: undisclosed:;", "From: nobody", "From: a@b..c", "From: a@[192.0.2.1]", "From: "])
def test_without_one_author_domain_is_permerror(dns, header):  # noqa: F811
    answer = check(dns, f"{header}\r\n\r\nx\r\n".encode())
    assert (answer["result"], answer["policy"], answer["disposition"]) == ("permerror", None, None), answer


def test_of_several_authors_the_strictest_that_does_not_pass_counts(dns):  # noqa: F811
    answer = mail(dns, "a@strict.example, b@example.com", "b@strict.example")
    assert (answer["result"], answer["author_domain"], answer["policy"]) == ("fail", "example.com", "reject")
    assert mail(dns, "a@example.com, b@sub.example.com", "b@example.com")["result"] == "pass"
    for both in ("a@strict.example, b@example.com", "b@example.com, a@strict.example"):
        assert mail(dns, both)["policy"] == "reject"


def test_dns_that_does_not_answer_is_temperror(dns):  # noqa: F811
    assert mail(dns, "a@ill.example")["result"] == "temperror"
    answer = mail(dns, "a@illspf.example", "b@illspf.example")
    assert (answer["result"], answer["spf"]["result"], answer["policy"]) == ("temperror", "temperror", None)


def test_author_in_letters_of_all_the_world(dns):  # noqa: F811
    with open(dns.zone, "a") as zone:
        zone.write('_dmarc.xn--bcher-kva.example TXT "v=DMARC1; p=reject"\n')
    assert mail(dns, "a@bücher.example")["author_domain"] == "xn--bcher-kva.example"


def test_options_that_make_no_sense_are_said(dns):  # noqa: F811
    done = subprocess.run([ADMIN, "test", "dmarc", "--org-domain", "guess", "--dns", f"127.0.0.1:{dns.port}", "-"], input="", capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and "neither psl nor tree" in done.stderr
