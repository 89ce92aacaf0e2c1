"""`tassis test arc` over chains that Debian's python3-dkim made, and over what people and software do to them."""
import json, re, subprocess

import dkim
import pytest

from test_dkim import ADMIN, BODY, HEADER, dns, keys  # noqa: F401  the name server and the keys

SIGNED = [b"from", b"to", b"subject", b"date", b"message-id"]


def check(dns, message):  # noqa: F811
    done = subprocess.run([ADMIN, "test", "arc", "--json", "--dns", f"127.0.0.1:{dns.port}", "--dns-timeout", "5", "-"], input=message, capture_output=True)
    assert done.stderr == b"", done
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["result"] == "pass" else 1)
    return answer


def seal(dns, keys, message, name="sealer.example", chain="none", kind="rsa"):  # noqa: F811
    """The message with one more set, made by name, which had found the chain so."""
    dns.n += 1
    selector = f"a{dns.n}"
    private, public = keys[kind]
    dns.put(f"{selector}._domainkey.{name}", f"v=DKIM1; k=rsa; p={public}")
    message = f"Authentication-Results: {name}; arc={chain}; spf=pass smtp.mailfrom=joe@football.example.com\r\n".encode() + message
    fields = dkim.arc_sign(message, selector.encode(), name.encode(), private, name.encode(), include_headers=SIGNED, timestamp="12345", standardize=True)
    assert fields, "python3-dkim would not seal it"
    return b"".join(fields) + message


@pytest.fixture(scope="module")
def chain(dns, keys):  # noqa: F811
    """Three sets, the second of which changed the subject."""
    message = seal(dns, keys, HEADER + BODY, "one.example")
    message = seal(dns, keys, message, "two.example", "pass")
    return seal(dns, keys, message, "three.example", "pass")


def test_message_without_a_set_is_none(dns):  # noqa: F811
    answer = check(dns, HEADER + BODY)
    assert (answer["result"], answer["code"], answer["instances"], answer["sets"], answer["oldest_pass"]) == ("none", "none", 0, [], None)


def test_chain_of_three_passes(dns, chain):  # noqa: F811
    answer = check(dns, chain)
    assert (answer["result"], answer["code"], answer["instances"], answer["oldest_pass"], answer["temporary"]) == ("pass", "ok", 3, 0, False), answer
    assert [(s["i"], s["cv"], s["d"], s["ams_d"], s["seal"], s["ams"]) for s in answer["sets"]] == [
        (1, "none", "one.example", "one.example", "pass", "pass"), (2, "pass", "two.example", "two.example", "pass", "pass"),
        (3, "pass", "three.example", "three.example", "pass", "pass")]


def test_who_changed_the_message_last_is_the_oldest_pass(dns, keys):  # noqa: F811
    message = seal(dns, keys, HEADER + BODY, "one.example").replace(b"Is dinner", b"[list] Is dinner")
    answer = check(dns, seal(dns, keys, message, "two.example", "pass"))
    assert (answer["result"], answer["oldest_pass"], [s["ams"] for s in answer["sets"]]) == ("pass", 2, ["fail", "pass"])


def edit(message, name, instance, old, new):
    """The message with old replaced in one field of set instance."""
    for field in re.findall(rb"^%s:(?:[^\r]|\r\n[ \t])*\r\n" % name.encode(), message, re.M):
        if re.search(rb"\bi=%d\b" % instance, field):
            changed = field.replace(old, new, 1) if old else new
            assert changed != field
            return message.replace(field, changed)
    raise AssertionError((name, instance))


AAR, AMS, SEAL = "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"


@pytest.mark.parametrize("old, new", [(b"We lost", b"We won"), (b"Is dinner", b"Is supper")])
def test_message_that_was_changed_after_the_last_set_fails(dns, chain, old, new):  # noqa: F811
    answer = check(dns, chain.replace(old, new))
    assert (answer["result"], answer["code"], answer["temporary"], answer["oldest_pass"]) == ("fail", "ams", False, None)


@pytest.mark.parametrize("field, i, old, new, code", [
    (AAR, 1, b"spf=pass", b"spf=fail", "seal"), (SEAL, 1, b"cv=none", b"cv=pass", "cv"), (SEAL, 3, b"cv=pass", b"cv=fail", "cv"), (SEAL, 2, b"cv=pass", b"cv=none", "cv"),
    (AAR, 2, b"i=2", b"i=4", "structure"), (AAR, 2, b"i=2; ", b"", "structure"), (AAR, 2, b"i=2", b"i=two", "structure"), (AAR, 2, b"i=2", b"i=51", "count"),
    (AAR, 2, b"i=2", b"i=1", "structure"), (SEAL, 1, b"i=1;", b"i=1; h=from;", "seal"), (SEAL, 1, b"i=1;", b"i=0;", "structure"), (SEAL, 1, b"i=1;", b"i=1; i=1;", "structure"),
    (SEAL, 2, b"", b"", "structure"), (AMS, 2, b"", b"", "structure"), (AAR, 2, b"", b"", "structure"), (SEAL, 2, b"rsa-sha256", b"rsa-sha1", "seal"),
    (AMS, 3, b"h=from", b"h=arc-seal : from", "ams"), (AMS, 3, b"bh=", b"bx=", "ams")])
def test_each_break_of_the_chain_has_its_code(dns, chain, field, i, old, new, code):  # noqa: F811
    answer = check(dns, edit(chain, field, i, old, new))
    assert (answer["result"], answer["code"], answer["temporary"], answer["oldest_pass"]) == ("fail", code, False, None), answer
    if code in ("structure", "count"):
        assert answer["instances"] == 0 and answer["sets"] == []


def test_key_that_dns_does_not_give_is_temporary(dns, keys):  # noqa: F811
    message = seal(dns, keys, HEADER + BODY, "ill.example")
    with open(dns.zone, "a") as zone:
        zone.write(f"a{dns.n}._domainkey.ill.example BEHAVIOUR servfail\n")
    answer = check(dns, message)
    assert (answer["result"], answer["code"], answer["temporary"], answer["sets"][0]["seal"]) == ("fail", "dns", True, "temperror")


def test_result_is_that_of_python3_dkim(dns, chain):  # noqa: F811
    """What is changed at a hundred places is judged as another verifier judges it."""
    keys_of = {line.split()[0]: "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', line)).replace("\\;", ";") for line in open(dns.zone) if " TXT " in line}
    head, judged = chain.index(b"\r\n\r\n"), 0
    for at in range(40, head, max(1, head // 100)):
        changed = chain[:at] + (b"x" if chain[at:at + 1] != b"x" else b"y") + chain[at + 1:]
        try:
            theirs = dkim.arc_verify(changed, dnsfunc=lambda name, timeout=5: keys_of.get(name.decode().rstrip("."), "").encode() or None)[0].decode()
        except dkim.MessageFormatError:
            continue
        assert check(dns, changed)["result"] == theirs, (at, chain[at - 20:at + 20])
        judged += 1
    assert judged > 80
