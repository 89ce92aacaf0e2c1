"""`tassis domain dns` and `domain check`: the records that a domain should have, and what DNS says of them."""
import json

import pytest

import harness

GOOD = ["test.com MX 10 mx.test.com", "mx.test.com A 192.0.2.25", "25.2.0.192.in-addr.arpa PTR mx.test.com", 'test.com TXT "v=spf1 mx -all"', 'mx.test.com TXT "v=spf1 a -all"',
        '_dmarc.test.com TXT "v=DMARC1; p=reject"', '_smtp._tls.test.com TXT "v=TLSRPTv1; rua=mailto:x@test.com"']


@pytest.fixture
def one(cluster):
    tassis = harness.Tassis(cluster)
    try:
        tassis.tassis("dkim", "create", "test.com")
        yield tassis
    finally:
        tassis.end()


def found(tassis, check=True):
    done = tassis.tassis("domain", "check", "test.com", "--json", check=False)
    return done.returncode, {(r["name"], r["type"]): r for r in json.loads(done.stdout)}


def keys(tassis):
    zone = [line for line in tassis.tassis("dkim", "publish", "test.com").stdout.split("\n") if " IN TXT " in line]
    return [line.replace(" IN TXT (", " TXT").rstrip(" )") for line in zone]


def test_zone_file_names_everything_that_is_needed(one):
    zone = one.tassis("domain", "dns", "test.com").stdout
    for line in ("test.com. IN MX 10 mx.test.com.", 'test.com. IN TXT "v=spf1 mx -all"', '_dmarc.test.com. IN TXT "v=DMARC1; p=none', '_smtp._tls.test.com. IN TXT "v=TLSRPTv1;',
                 "._domainkey.test.com. IN TXT ( \"v=DKIM1; k=rsa; p=", "_submissions._tcp.test.com. IN SRV 0 1", "_submission._tcp.test.com. IN SRV 5 1"):
        assert line in zone, line
    assert "PRIVATE" not in zone


def test_domain_whose_records_are_right_is_ok(one):
    one.set_zone(*GOOD, *keys(one))
    code, records = found(one)
    wrong = {name: r["sentence"] for name, r in records.items() if r["state"] == "wrong" and "in-addr" not in name[0] and "ip6" not in name[0]}
    assert not wrong, wrong
    assert records["test.com.", "MX"]["state"] == "ok" and records["_dmarc.test.com.", "TXT"]["sentence"] == "it asks for reject"
    assert sum(r["state"] == "ok" for (name, _), r in records.items() if "._domainkey." in name) == 2


@pytest.mark.parametrize("drop, instead, name, sentence", [
    ("test.com MX", None, ("test.com.", "MX"), "there is no MX"), ("test.com MX", "test.com MX 10 other.example", ("test.com.", "MX"), "goes to other hosts"),
    ("test.com TXT", None, ("test.com.", "TXT"), "there is no SPF record"), ("test.com TXT", 'test.com TXT "v=spf1 -all"', ("test.com.", "TXT"), "may not send for it: fail"),
    ("_dmarc", None, ("_dmarc.test.com.", "TXT"), "anybody can write as this domain"), ("_dmarc", '_dmarc.test.com TXT "v=DMARC1; p=perhaps"', ("_dmarc.test.com.", "TXT"), "makes no sense"),
    ("_dmarc", '_dmarc.test.com TXT "v=DMARC1; p=none"', ("_dmarc.test.com.", "TXT"), "p=none"), ("_smtp", None, ("_smtp._tls.test.com.", "TXT"), "nobody reports")])
def test_what_is_wrong_is_said_with_its_mend(one, drop, instead, name, sentence):
    one.set_zone(*(line for line in GOOD if not line.startswith(drop)), *([instead] if instead else []), *keys(one))
    code, records = found(one)
    assert sentence in records[name]["sentence"], records[name]
    assert records[name]["state"] == ("warning" if "p=none" in sentence or "nobody" in sentence else "wrong")


def test_key_that_dns_does_not_have_is_wrong(one):
    one.set_zone(*GOOD)
    code, records = found(one)
    assert code == 1 and [r["state"] for (name, _), r in records.items() if "._domainkey." in name] == ["wrong", "wrong"]


def test_host_without_an_address_is_wrong(one):
    one.set_zone(*(line for line in GOOD if not line.startswith("mx.test.com A")))
    code, records = found(one)
    assert code == 1 and any("has no address" in r["sentence"] for r in records.values())


def test_domain_that_is_not_ours_is_said(one):
    done = one.tassis("domain", "check", "nowhere.example", check=False)
    assert done.returncode == 1 and "there is no domain nowhere.example" in done.stderr
