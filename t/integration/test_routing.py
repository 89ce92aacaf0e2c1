"""Where mail goes: mailboxes by name, aliases, the host's own names, postmaster, relay domains and next hops; and `tassis explain`."""
import json

import pytest

import harness
from far_end import FarEnd
from test_lookupd import rcpt, wait_rcpt

ALIASES = """# the host's own names
postmaster: root
root: test@test.com
Cron: root,
    bea@test.com
pager: |/bin/true, nobody-of-that-name
loop: pool
pool: loop
"""


@pytest.fixture
def own(make_tassis):
    tassis = make_tassis()
    (tassis.folder / "aliases").write_text(ALIASES)
    tassis.sql("INSERT INTO users (local_part, domain) VALUES ('bea', 'test.com')")
    return tassis.start()


def explain(tassis, address, check=True):
    return json.loads(tassis.tassis("explain", "--json", address, check=check).stdout)


def texts(part, what):
    return [line["text"] for line in part if line["what"] == what]


def reaches(tassis, address):
    return texts(explain(tassis, address)["to"], "reaches")[0]


# ---- aliases


def test_aliases_may_be_lists_nested_and_in_loops(own):
    own.sql("""INSERT INTO aliases (local_part, domain, target) VALUES ('all', 'test.com', 'some@test.com'), ('all', 'test.com', 'bea@test.com'),
        ('some', 'test.com', 'test@test.com'), ('some', 'test.com', 'all@test.com')""")
    wait_rcpt(own, "all@test.com", "250 2.1.5")
    own.send("all@test.com", subject="to all")
    own.wait_message("to all")
    own.wait_message("to all", "bea@test.com")
    own.wait_queue_empty()
    assert len(own.messages()) == len(own.messages("bea@test.com")) == 1


def test_catch_all_takes_what_nobody_else_does(own):
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('', 'test.com', 'bea@test.com')")
    wait_rcpt(own, "whoever@test.com", "250 2.1.5")
    own.send("whoever@test.com", subject="caught")
    own.wait_message("caught", "bea@test.com")
    own.send("test@test.com", subject="not caught")
    own.wait_message("not caught")


def test_detail_is_not_handed_on_to_the_targets_of_an_alias(own):
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('sales', 'test.com', 'test@test.com')")
    wait_rcpt(own, "sales+x@test.com", "250 2.1.5")
    own.send("sales+x@test.com", subject="with detail")
    own.wait_message("with detail")


# ---- /etc/aliases


def test_hosts_own_names_go_where_aliases_file_says(own):
    assert rcpt(own, "root@mx.test.com") == "250 2.1.5"
    own.send("root@mx.test.com", subject="for root")
    own.wait_message("for root")
    own.send("CRON@mx.test.com", subject="for cron")
    own.wait_message("for cron")
    own.wait_message("for cron", "bea@test.com")
    own.wait_queue_empty()
    assert own.log_text().count("aliases_unusable") == own.settings.get("lookup_workers", 2)
    assert "programs are not run" in own.log_text()


def test_a_hosts_name_that_nobody_takes_stays_unknown(own):
    assert rcpt(own, "stranger@mx.test.com")[:3] == "550"
    assert reaches(own, "pager") == "no"  # its one target that is left is nobody
    assert reaches(own, "loop") == "no"
    assert reaches(own, "stranger") == "no"


def test_rows_of_the_database_win_over_aliases_file(own):
    own.sql("INSERT INTO domains (name) VALUES ('mx.test.com')")
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('root', 'mx.test.com', 'bea@test.com')")
    harness.wait_for(lambda: "bea@test.com" in str(explain(own, "root")["to"]), 5)
    own.send("root@mx.test.com", subject="by the row")
    own.wait_message("by the row", "bea@test.com")
    assert own.messages() == []


def test_aliases_file_is_taken_anew_after_a_reload(own):
    (own.folder / "aliases").write_text("root: bea@test.com\n")
    own.reload()
    harness.wait_for(lambda: "bea@test.com" in str(explain(own, "root")["to"]), 5)
    (own.folder / "aliases").unlink()
    own.reload()
    harness.wait_for(lambda: reaches(own, "root") == "no", 5)


# ---- who is switched off


def test_recipient_that_is_switched_off_gets_550_5_2_1(own):
    own.sql("UPDATE users SET enabled = false WHERE local_part = 'bea'")
    wait_rcpt(own, "bea@test.com", "550 5.2.1")
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('sales', 'test.com', 'bea@test.com')")
    wait_rcpt(own, "sales@test.com", "550 5.2.1")
    own.sql("UPDATE domains SET enabled = false WHERE name = 'test.com'")
    wait_rcpt(own, "test@test.com", "550 5.2.1")


# ---- postmaster and abuse


def test_postmaster_and_abuse_always_reach_someone(own):
    own.sql("INSERT INTO domains (name) VALUES ('other.test')")
    for address in ("postmaster", "postmaster@test.com", "ABUSE@other.test", "postmaster@mx.test.com"):
        assert rcpt(own, address) == "250 2.1.5"
        own.send(address, subject=f"to {address}")
        own.wait_message(f"to {address}")
    own.reload(postmaster="bea@test.com")
    harness.wait_for(lambda: "bea@test.com" in str(explain(own, "abuse@other.test")["to"]), 5)
    own.send("abuse@other.test", subject="to the setting")
    own.wait_message("to the setting", "bea@test.com")
    own.sql("INSERT INTO users (local_part, domain) VALUES ('postmaster', 'other.test')")
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('', 'other.test', 'test@test.com')")
    harness.wait_for(lambda: "catch-all" in str(explain(own, "abuse@other.test")["to"]), 5)
    own.send("postmaster@other.test", subject="to the row")
    own.wait_message("to the row", "postmaster@other.test")


def test_postmaster_that_nobody_takes_is_put_off_and_warned_of(own):
    (own.folder / "aliases").unlink()
    own.reload()
    harness.wait_for(lambda: reaches(own, "postmaster@test.com") == "later", 5)
    assert rcpt(own, "postmaster@test.com")[:1] == "4"
    assert rcpt(own, "nobody@test.com") == "550 5.1.1"
    own.wait_log("postmaster_missing to=postmaster@test.com")
    own.sql("INSERT INTO aliases (local_part, domain, target) VALUES ('postmaster', 'test.com', 'test@test.com')")
    wait_rcpt(own, "postmaster@test.com", "250 2.1.5")


# ---- mailboxes by name


def test_detail_names_the_mailbox_with_the_setting(own):
    own.sql("INSERT INTO mailboxes (user_id, name) SELECT id, 'news' FROM users WHERE local_part = 'test'")
    own.reload(detail_mailbox=True)
    harness.wait_for(lambda: "mailbox news" in str(explain(own, "test+news@test.com")["to"]), 5)
    own.send("test+news@test.com", subject="the news")
    own.send("test+other@test.com", subject="no such mailbox")
    own.wait_message("no such mailbox")
    harness.wait_for(lambda: len(own.messages(folder=".news")) == 1, 10)
    assert len(own.messages()) == 1


# ---- relay domains and next hops


def test_relay_domain_has_a_list_or_takes_any_and_goes_to_its_next_hop(own):
    with FarEnd() as hop:
        own.sql("""INSERT INTO domains (name, kind, recipients) VALUES ('any.test', 'relay', 'any'), ('list.test', 'relay', 'list');
            INSERT INTO users (local_part, domain) VALUES ('known', 'list.test')""")
        own.sql(f"INSERT INTO routes (domain, host, port, mx, tls) VALUES ('any.test', '127.0.0.1', {hop.port}, false, 'none'), ('list.test', '127.0.0.1', {hop.port}, false, 'none')")
        wait_rcpt(own, "known@list.test", "250 2.1.5")
        wait_rcpt(own, "whoever@any.test", "250 2.1.5")
        assert rcpt(own, "unknown@list.test") == "550 5.1.1"
        own.send("whoever@any.test", subject="by the next hop")
        own.send("known@list.test", subject="from the list")
        harness.wait_for(lambda: sorted(m[1] for m in hop.messages) == [["known@list.test"], ["whoever@any.test"]], 10)
    assert any("any.test from * goes to 127.0.0.1" in text for text in texts(explain(own, "x@any.test")["to"], "route"))


def test_route_is_chosen_by_the_senders_domain_and_the_default_takes_the_rest(own):
    own.sql("INSERT INTO relays (network, domain) VALUES ('127.0.0.1', NULL)")
    own.sql("INSERT INTO domains (name) VALUES ('two.test')")
    with FarEnd() as default, FarEnd() as of_two:
        own.sql(f"""INSERT INTO routes (domain, sender_domain, host, port, mx, tls) VALUES ('*', '*', '127.0.0.1', {default.port}, false, 'none'),
            ('*', 'two.test', '127.0.0.1', {of_two.port}, false, 'none')""")
        harness.wait_for(lambda: len(texts(explain(own, "x@two.test")["from"], "route")) == 1, 5)
        own.send("bob@far.test", sender="test@test.com", subject="by the default")
        own.send("bob@far.test", sender="x@two.test", subject="by the sender")
        harness.wait_for(lambda: len(default.messages) == len(of_two.messages) == 1, 10)
        assert default.messages[0][0] == "test@test.com" and of_two.messages[0][0] == "x@two.test"


# ---- tassis explain


def test_explain_shows_rows_and_settings_and_no_secret(own):
    own.sql("INSERT INTO relays (network, domain) VALUES ('192.0.2.0/24', 'test.com')")
    own.sql("INSERT INTO routes (domain, sender_domain, host, username, password) VALUES ('*', 'test.com', 'smart.test', 'relay-user', 's3cret')")
    harness.wait_for(lambda: texts(explain(own, "test@test.com")["from"], "route"), 5)
    shown = explain(own, "Test@test.com")
    assert shown["address"] == "test@test.com" and set(shown) == {"address", "to", "from", "by", "settings"}
    assert texts(shown["to"], "rcpt") == ["it is taken"]
    assert any("192.0.2.0/24 may send as test.com" in text for text in texts(shown["from"], "relay"))
    assert any("as user relay-user with a password" in text for text in texts(shown["from"], "route"))
    assert "{SHA256.HEX}" in texts(shown["by"], "login")[0]
    assert sorted(texts(shown["by"], "mailbox")) == ["inbox", "sent", "spam"]
    assert texts(shown["settings"], "hostname") == ["mx.test.com"]
    text = own.tassis("explain", "test@test.com").stdout
    assert "Mail for it\n" in text and "  hostname = mx.test.com\n" in text
    assert "s3cret" not in text + str(shown) and "0ffe1abd" not in text + str(shown)


def test_explain_has_exit_statuses_for_scripts(own):
    assert own.tassis("explain", check=False).returncode == 2
    assert own.tassis("explain", "a@b@", check=False).returncode == 1
    own.stop()
    stopped = own.tassis("explain", "test@test.com", check=False)
    assert (stopped.returncode, stopped.stdout) == (3, "")
