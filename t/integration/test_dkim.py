"""`tassis test dkim` against signatures that somebody else made: Debian's python3-dkim, OpenSSL, and the RFCs' own examples."""
import base64, contextlib, hashlib, json, os, pathlib, subprocess, time

import dkim
import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
ADMIN = pathlib.Path(os.environ.get("TASSIS_PREFIX", TOP / ".check/gcc/prefix")) / "libexec/tassis/admin"
BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\t \r\n\r\nJoe.\r\n\r\n\r\n"
HEADER = (b"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner\r\n  ready?\r\n"
          b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n")


class Dns:
    """A zone file and the server that answers from it."""

    def __init__(self, folder):
        self.zone = folder / "zone"
        self.zone.write_text("")
        self.process = subprocess.Popen([TOP / "t/tools/dns-server", self.zone], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[2])
        self.n = 0

    def put(self, name, text):
        strings = " ".join('"' + text[i:i + 200].replace("\\", "\\\\").replace('"', '\\"').replace(";", "\\;") + '"' for i in range(0, max(1, len(text)), 200))
        with open(self.zone, "a") as zone:
            zone.write(f"{name} TXT {strings}\n")

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def dns(tmp_path_factory):
    server = Dns(tmp_path_factory.mktemp("dns"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    found = {}
    for name, command in {"rsa": "RSA -pkeyopt rsa_keygen_bits:2048", "small": "RSA -pkeyopt rsa_keygen_bits:512", "ed25519": "ED25519"}.items():
        path = folder / name
        subprocess.run(["openssl", "genpkey", "-algorithm", *command.split(), "-out", path], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        private = path.read_bytes()
        if name == "ed25519":
            der = der[-32:]
            raw = subprocess.run(["openssl", "pkey", "-in", path, "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
            private = base64.b64encode(raw)
        found[name] = (private, base64.b64encode(der).decode())
    return found


def check(dns, message, *options):
    done = subprocess.run([ADMIN, "test", "dkim", "--json", "--dns", f"127.0.0.1:{dns.port}", "--dns-timeout", "5", *options, "-"], input=message, capture_output=True)
    assert done.stderr == b"" and done.stdout.count(b"\n") == 1, done
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["result"] == "pass" else 1)
    return answer


def sign(dns, keys, kind="rsa", record=None, message=HEADER + BODY, canon=(b"relaxed", b"relaxed"), **more):
    """The message with a signature under a selector of its own; record: the key's, with %s for p=."""
    dns.n += 1
    selector = f"s{dns.n}"
    private, public = keys[kind]
    record = record or ("v=DKIM1; k=ed25519; p=%s" if kind == "ed25519" else "v=DKIM1; k=rsa; p=%s")
    if record != "-":
        dns.put(f"{selector}._domainkey.football.example.com", record % public if "%s" in record else record)
    algorithm = b"ed25519-sha256" if kind == "ed25519" else b"rsa-sha256"
    more.setdefault("include_headers", [b"from", b"to", b"subject", b"date", b"message-id", b"from"])
    signature = dkim.sign(message, selector.encode(), b"football.example.com", private, canonicalize=canon, signature_algorithm=algorithm, **more)
    return signature + message


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("head", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"simple", b"relaxed"])
def test_what_python3_dkim_signs_verifies_here(dns, keys, kind, head, body):
    answer = check(dns, sign(dns, keys, kind, canon=(head, body)))
    assert answer["result"] == "pass", answer
    one = answer["signatures"][0]
    assert one["code"] == "ok" and one["d"] == "football.example.com" and one["bits"] == (2048 if kind == "rsa" else 256)
    assert one["c"] == f"{head.decode()}/{body.decode()}" and one["i"] == "@football.example.com"
    assert one["h"] == ["from", "to", "subject", "date", "message-id", "from"] and one["unsigned_octets"] == 0 and not one["testing"]


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\n\r\n", b" \r\n", b"a", b"a\r\n \r\n", b"a \t b\r\n\r\nc"])
@pytest.mark.parametrize("canon", [b"simple", b"relaxed"])
def test_ends_of_bodies_are_canonical(dns, keys, body, canon):
    signed = sign(dns, keys, message=HEADER + body, canon=(b"relaxed", canon))
    assert check(dns, signed)["result"] == "pass"
    more = signed + (b"" if not body or body.endswith(b"\r\n") else b"\r\n") + b"\r\n\r\n"  # empty lines at the end do not count
    if body.strip():
        assert check(dns, more)["result"] == "pass"


def test_lines_that_end_in_lf_alone_count_as_crlf(dns, keys):
    assert check(dns, sign(dns, keys).replace(b"\r\n", b"\n"))["result"] == "pass"


def test_relaxed_forgives_blanks_and_case_and_simple_does_not(dns, keys):
    for canon, result in ((b"relaxed", "pass"), (b"simple", "fail")):
        signed = sign(dns, keys, canon=(canon, b"relaxed"))
        assert check(dns, signed.replace(b"Subject: Is dinner\r\n  ready?", b"SUBJECT:Is   dinner ready?  "))["result"] == result


def test_of_a_field_that_stands_there_twice_the_last_is_signed(dns, keys):
    signed = sign(dns, keys, include_headers=[b"from", b"to", b"subject"])
    assert check(dns, b"Subject: on top\r\n" + signed)["result"] == "pass"
    assert check(dns, signed.replace(b"\r\n\r\n", b"\r\nSubject: below\r\n\r\n", 1))["result"] == "fail"


def test_of_several_keys_the_one_that_says_its_version_counts(dns, keys):
    signed = sign(dns, keys, record="-")
    dns.put(f"s{dns.n}._domainkey.football.example.com", "some other text")
    dns.put(f"s{dns.n}._domainkey.football.example.com", f"v=DKIM1; p={keys['rsa'][1]}")
    assert check(dns, signed)["result"] == "pass"


@pytest.mark.parametrize("old, new, code", [(b"We lost", b"We won", "body-hash"), (b"Is dinner", b"Is supper", "signature"),
                                            (b"To: Suzie", b"From: x@y.example\r\nTo: Suzie", "signature")])
def test_what_was_changed_fails(dns, keys, old, new, code):
    answer = check(dns, sign(dns, keys).replace(old, new))
    assert (answer["result"], answer["signatures"][0]["result"], answer["signatures"][0]["code"]) == ("fail", "fail", code)


@pytest.mark.parametrize("record, code", [
    ("-", "no-key"), ("v=DKIM1; p=", "key-revoked"), ("v=DKIM2; p=%s", "key-version"), ("p=%s; v=DKIM1", "key-version"), ("v=DKIM1; k=ed25519; p=%s", "key-type"),
    ("v=DKIM1; h=sha1; p=%s", "key-hash"), ("v=DKIM1; s=tlsrpt; p=%s", "key-service"), ("v=DKIM1; k=rsa", "key-syntax"), ("v=DKIM1; p=!!", "key-syntax"),
    ("v=DKIM1; p=AAAA", "key-syntax"), ("nothing", "key-syntax"), ("v=DKIM1; p=%s; p=%s", "key-syntax")])
def test_each_mistake_of_a_key_has_its_code(dns, keys, record, code):
    record = record.replace("p=%s; p=%s", "p=x; p=%s")
    answer = check(dns, sign(dns, keys, record=record))
    assert (answer["result"], answer["signatures"][0]["code"]) == ("permerror", code)


@pytest.mark.parametrize("record", ["p=%s", "v=DKIM1; h=sha1:sha256; s=email; n=hello; p=%s", "v=DKIM1;p=%s;", "v=DKIM1; s=*; t=y:s; p=%s", "k=rsa; x=y; p=%s"])
def test_sound_keys_are_taken(dns, keys, record):
    answer = check(dns, sign(dns, keys, record=record))
    assert answer["result"] == "pass" and answer["signatures"][0]["testing"] == ("t=y" in record)


def test_key_for_no_subdomains_refuses_one(dns, keys):
    answer = check(dns, sign(dns, keys, record="v=DKIM1; t=s; p=%s", identity=b"joe@sub.football.example.com"))
    assert answer["signatures"][0]["code"] == "key-domain" and answer["signatures"][0]["i"] == "joe@sub.football.example.com"


def tags(d="football.example.com", **other):
    """A signature that is written by hand, its digests true where they can be."""
    bh = base64.b64encode(hashlib.sha256(BODY.rstrip(b"\r\n") + b"\r\n").digest()).decode()
    all_tags = {"v": "1", "a": "rsa-sha256", "d": d, "s": "none", "c": "simple/simple", "h": "from:to", "bh": bh, "b": "AAAA"} | other
    text = "; ".join(f"{k}={v}" for k, v in all_tags.items() if v is not None)
    return f"DKIM-Signature: {text}\r\n".encode() + HEADER + BODY


@pytest.mark.parametrize("change, code", [
    ({"v": "2"}, "version"), ({"v": None}, "missing-tag"), ({"bh": None}, "missing-tag"), ({"a": "rsa-sha1"}, "algorithm"), ({"a": "rsa"}, "syntax"), ({"a": "dsa-sha256"}, "algorithm"),
    ({"c": "fancy/simple"}, "canonicalization"), ({"q": "http/x"}, "query"), ({"i": "joe@other.example"}, "domain"), ({"i": "joe"}, "syntax"), ({"h": "to:subject"}, "from"), ({"h": "from::to"}, "syntax"),
    ({"x": "1000000000"}, "expired"), ({"t": "99999999998", "x": "99999999997"}, "expired"), ({"t": "yesterday"}, "syntax"), ({"b": "AAA"}, "syntax"), ({"bh": "A*"}, "syntax"), ({"s": "a..b"}, "syntax"),
    ({"b": "AAAA; b=AAAA"}, "duplicate-tag"), ({"b": "AAAA; ; x=9"}, "syntax"), ({"l": "-1"}, "syntax"), ({"z": "From:x|To:y"}, "no-key"), ({"new": "tag"}, "no-key")])
def test_each_mistake_of_a_signature_has_its_code(dns, change, code):
    answer = check(dns, tags(**change))
    assert (answer["result"], answer["signatures"][0]["code"]) == ("permerror", code), answer


def test_octets_past_l_are_told(dns, keys):
    signed = sign(dns, keys, length=True)
    answer = check(dns, signed + b"More.\r\n")
    assert answer["result"] == "pass" and answer["signatures"][0]["unsigned_octets"] > 0 and answer["signatures"][0]["l"] > 0
    assert check(dns, signed.replace(b"Joe.\r\n\r\n\r\n", b""))["signatures"][0]["code"] == "body-hash"


def test_key_of_512_bits_is_too_small(dns, keys):
    private, public = keys["small"]
    dns.put("small._domainkey.football.example.com", f"v=DKIM1; p={public}")
    answer = check(dns, tags(s="small"))
    assert answer["signatures"][0]["code"] == "key-size" and answer["signatures"][0]["bits"] == 512


def test_key_whose_exponent_is_as_long_as_itself_is_not_looked_at(dns):
    def element(tag, octets):
        return bytes([tag, 0x82]) + len(octets).to_bytes(2, "big") + octets

    def integer(n):
        return element(0x02, b"\0" + n.to_bytes(256, "big"))
    der = element(0x30, integer((1 << 2047) + 1) + integer((1 << 2047) - 1))  # an RSAPublicKey: modulus, exponent
    dns.put("large._domainkey.football.example.com", f"v=DKIM1; p={base64.b64encode(der).decode()}")
    answer = check(dns, tags(s="large"))
    assert (answer["result"], answer["signatures"][0]["code"]) == ("policy", "policy")


def test_header_with_thousands_of_fields_bears_no_good_signature(dns, keys):
    signed = sign(dns, keys)
    assert check(dns, b"X: y\r\n" * 1900 + signed)["result"] == "pass"
    assert check(dns, b"X: y\r\n" * 2100 + signed)["result"] == "fail"
    assert check(dns, tags(h=":".join(["from"] * 251)))["signatures"][0]["code"] == "syntax"


def test_one_good_signature_is_enough_and_those_beyond_the_limit_are_not_looked_at(dns, keys):
    message = sign(dns, keys)
    for i in range(14):
        message = tags(s=f"missing{i}")[:-len(HEADER + BODY)] + message
    answer = check(dns, message)
    assert len(answer["signatures"]) == 15 and answer["result"] == "permerror"
    assert [s["code"] for s in answer["signatures"]] == ["no-key"] * 10 + ["limit"] * 5 and answer["signatures"][14]["result"] == "policy"
    assert check(dns, tags(s="other")[:-len(HEADER + BODY)] + sign(dns, keys))["result"] == "pass"


def test_dns_that_does_not_answer_is_no_verdict(dns):
    with open(dns.zone, "a") as zone:
        zone.write("ill._domainkey.football.example.com BEHAVIOUR servfail\n")
    answer = check(dns, tags(s="ill"))
    assert (answer["result"], answer["signatures"][0]["result"], answer["signatures"][0]["code"]) == ("temperror", "temperror", "dns")


def test_message_without_a_signature_is_none(dns):
    assert check(dns, HEADER + BODY) | {"reason": ""} == {"test": "dkim", "result": "none", "reason": "", "signatures": []}


def test_file_that_is_not_there_is_said_in_a_sentence(dns, tmp_path):
    done = subprocess.run([ADMIN, "test", "dkim", "--dns", f"127.0.0.1:{dns.port}", tmp_path / "none"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and "cannot read" in done.stderr


def test_examples_of_rfc_8463_verify(dns):
    """RFC 8463 A: two signatures over one message, Ed25519 and RSA."""
    dns.put("brisbane._domainkey.football.example.com", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    dns.put("test._domainkey.football.example.com", "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b"
            "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
    answer = check(dns, (TOP / "t/vectors/auth/rfc8463.eml").read_bytes())
    assert answer["result"] == "pass"
    assert [(s["result"], s["a"], s["bits"]) for s in answer["signatures"]] == [("pass", "ed25519-sha256", 256), ("pass", "rsa-sha256", 1024)]
