"""`tassis dkim …`: a key is made, published, active and retired; it does not sign before DNS has it."""
import json

import dkim
import pytest

import harness
from test_signing import copy_of, signatures, submit


@pytest.fixture
def one(cluster):
    tassis = harness.Tassis(cluster)
    try:
        yield tassis.start()
    finally:
        tassis.end()


def as_json(tassis, *words):
    return json.loads(tassis.tassis("dkim", *words, "--json").stdout)


def states(tassis):
    return {k["selector"]: k["state"] for k in as_json(tassis, "list", "test.com")}


def publish(tassis):
    """DNS has what `publish` prints for a zone file."""
    zone = [line for line in tassis.tassis("dkim", "publish", "test.com").stdout.split("\n") if " IN TXT " in line]
    assert zone
    tassis.set_zone(*(line.replace(" IN TXT (", " TXT").rstrip(" )") for line in zone))
    return {k["name"] + ".": k["record"] for k in as_json(tassis, "publish", "test.com")}


def test_key_goes_from_made_to_signing(one):
    made = as_json(one, "create", "test.com")
    assert [(k["algorithm"], k["state"], k["selector"][0]) for k in made] == [("ed25519-sha256", "made", "e"), ("rsa-sha256", "made", "r")]
    refused = one.tassis("dkim", "activate", "test.com", check=False)
    assert refused.returncode == 1 and "DNS has no record of it at" in refused.stderr and set(states(one).values()) == {"made"}
    records = publish(one)
    assert set(states(one).values()) == {"published"}
    assert "is active" in one.tassis("dkim", "activate", "test.com").stdout and set(states(one).values()) == {"active"}

    def signed():
        one.n = getattr(one, "n", 0) + 1
        submit(one, f"From: test@test.com\r\nSubject: number {one.n}.\r\n\r\nx\r\n")
        return copy_of(one, f"number {one.n}.") if signatures(copy_of(one, f"number {one.n}.")) == 2 else None
    copy = harness.wait_for(signed, 10)
    for index in 0, 1:
        assert dkim.DKIM(copy).verify(idx=index, dnsfunc=lambda name, timeout=5: records[name.decode()].encode())


def test_record_of_another_key_does_not_do(one):
    one.tassis("dkim", "create", "test.com", "--algorithm", "ed25519", "--selector", "mine")
    one.set_zone('mine._domainkey.test.com TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="')
    assert one.tassis("dkim", "activate", "test.com", check=False).returncode == 1 and states(one) == {"mine": "made"}


def test_rotate_does_the_whole_with_overlap(one):
    one.tassis("dkim", "create", "test.com")
    one.tassis("dkim", "activate", "test.com", "--unchecked")
    old = states(one)
    one.tassis("dkim", "rotate", "test.com")
    new = {k: v for k, v in states(one).items() if k not in old}
    assert len(new) == 2 and set(new.values()) == {"published"}
    waits = one.tassis("dkim", "rotate", "test.com", check=False)
    assert waits.returncode == 1 and "the old ones go on signing" in waits.stderr and all(states(one)[k] == "active" for k in old)
    publish(one)
    assert "2 older keys of test.com sign no more" in one.tassis("dkim", "rotate", "test.com").stdout
    assert states(one) == {**dict.fromkeys(old, "retired"), **dict.fromkeys(new, "active")}


def test_key_that_signs_is_not_deleted(one):
    one.tassis("dkim", "create", "test.com", "--algorithm", "rsa", "--bits", "1024", "--selector", "s")
    one.tassis("dkim", "activate", "test.com", "s", "--unchecked")
    refused = one.tassis("dkim", "delete", "test.com", "s", check=False)
    assert refused.returncode == 1 and "retire it first" in refused.stderr
    one.tassis("dkim", "retire", "test.com", "s")
    one.tassis("dkim", "delete", "test.com", "s")
    assert states(one) == {} and "there is no key s" in one.tassis("dkim", "delete", "test.com", "s", check=False).stderr


@pytest.mark.parametrize("words, sentence", [
    (["create", "nowhere.example"], "there is no domain nowhere.example"), (["create", "test.com", "--bits", "512"], "1024 to 4096"),
    (["create", "test.com", "--algorithm", "dsa"], "rsa"), (["publish", "test.com"], "has no key"), (["create", "test.com", "--selector", "x"], "--algorithm says which")])
def test_mistakes_are_said(one, words, sentence):
    done = one.tassis("dkim", *words, check=False)
    assert done.returncode in (1, 2) and sentence in done.stderr, done.stderr


def test_private_key_is_never_printed(one):
    for words in (["create", "test.com", "--json"], ["list"], ["publish", "test.com"], ["list", "--json"]):
        assert "PRIVATE" not in one.tassis("dkim", *words).stdout
