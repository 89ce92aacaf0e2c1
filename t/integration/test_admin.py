"""The administrator's commands for domains and people: `tassis domain|user|alias|mailbox|relay|route`, on a real database, and what the daemons make of it."""
import contextlib, json, os, pty, re, select, signal, smtplib, ssl, subprocess, time

import pytest
from harness import PATIENCE, PREFIX, TASSIS, TOP, run, wait_for

SALT_STRING = "{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1"  # of "Hello world!"


@pytest.fixture(scope="module")
def shared(cluster):
    """A database with one domain, for the tests that do not need an empty one; no daemon runs."""
    import harness

    one = harness.Tassis(cluster, sample=False)
    one.tassis("domain", "add", "example.org")
    yield one
    one.end()


@pytest.fixture
def empty(make_tassis):
    return make_tassis(sample=False)


def fails(tassis, sentence, *words, status=1, **more):
    done = tassis.tassis(*words, check=False, **more)
    assert done.returncode == status and sentence in done.stderr, (done.returncode, done.stdout, done.stderr)
    assert not done.stdout


def as_json(tassis, *words):
    return json.loads(tassis.tassis(*words, "--json").stdout)


def names(cell):
    return sorted(row[0] for row in cell)


# ---- domains

def test_domain_is_added_shown_listed_changed_and_deleted(empty):
    assert empty.tassis("domain", "add", "Example.ORG").stdout == "added domain example.org\n"
    assert as_json(empty, "domain", "list") == [{"domain": "example.org", "kind": "local", "recipients": "list", "enabled": True}]
    empty.tassis("domain", "change", "example.org", "--kind", "relay", "--recipients", "any")
    empty.tassis("domain", "change", "example.org", "--kind", "relay", "--recipients", "any")
    shown = as_json(empty, "domain", "show", "example.org")
    assert (shown["kind"], shown["recipients"], shown["users"], shown["catch_all"]) == ("relay", "any", 0, [])
    empty.tassis("domain", "disable", "example.org")
    assert empty.sql("SELECT enabled FROM domains") == [(False,)]
    empty.tassis("domain", "enable", "example.org")
    assert empty.sql("SELECT enabled FROM domains") == [(True,)]
    assert empty.tassis("domain", "delete", "example.org").stdout == "deleted domain example.org\n"
    assert as_json(empty, "domain", "list") == []


def test_domain_in_its_own_script_becomes_an_a_label(empty):
    empty.tassis("domain", "add", "Bücher.example")
    assert empty.sql("SELECT name FROM domains") == [("xn--bcher-kva.example",)]
    assert as_json(empty, "domain", "list", "bücher.example")[0]["domain"] == "xn--bcher-kva.example"
    empty.tassis("user", "add", "Ann@BÜCHER.example", "--no-password")
    assert empty.sql("SELECT local_part, domain FROM users") == [("ann", "xn--bcher-kva.example")]


def test_domain_with_users_is_deleted_with_yes_alone_and_says_what_goes(empty):
    empty.tassis("domain", "add", "example.org")
    for name in ("ann", "bob"):
        empty.tassis("user", "add", f"{name}@example.org", "--no-password")
    empty.tassis("alias", "add", "info@example.org", "ann@example.org", "bob@example.org")
    empty.tassis("relay", "add", "192.0.2.1", "--domain", "example.org")
    fails(empty, "2 users, 1 alias, 1 relay", "domain", "delete", "example.org")
    assert empty.sql("SELECT count(*) FROM users") == [(2,)]
    done = empty.tassis("domain", "delete", "example.org", "--yes")
    assert "2 users, 1 alias, 1 relay" in done.stdout and f"{empty.mail}/example.org" in done.stdout
    assert empty.sql("SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM aliases) + (SELECT count(*) FROM relays)") == [(0,)]


def test_domain_with_users_is_deleted_after_a_yes_at_the_terminal(empty):
    empty.tassis("domain", "add", "example.org")
    empty.tassis("user", "add", "ann@example.org", "--no-password")
    status, shown = at_terminal(empty, ["domain", "delete", "example.org"], [("Delete it?", "n\n")])
    assert status == 1 and "1 user" in shown
    status, shown = at_terminal(empty, ["domain", "delete", "example.org"], [("Delete it?", "y\n")])
    assert status == 0 and empty.sql("SELECT count(*) FROM domains") == [(0,)]


def test_relay_domain_alone_takes_any_recipient(shared):
    fails(shared, "kind relay", "domain", "add", "q.example", "--recipients", "any", status=2)
    fails(shared, "right would be one of local|relay", "domain", "add", "q.example", "--kind", "remote", status=2)


# ---- users

def test_user_gets_password_quota_folder_mailboxes_and_addresses(empty):
    empty.tassis("domain", "add", "example.org")
    empty.tassis("user", "add", "Ann@Example.org", "--password-stdin", "--quota", "1G", "--quota-messages", "1000", "--folder", "people/ann", "--send-as", "Sales@example.org",
                 "--send-as", "@Bücher.example", input="a secret\nnot this\n")
    (password, *row), = empty.sql("SELECT password, local_part, domain, quota_bytes, quota_messages, folder, enabled, password_fixed FROM users")
    assert row == ["ann", "example.org", 1 << 30, 1000, "people/ann", True, False]
    assert password.startswith("{SCRAM-SHA-256}")
    assert [n for n, in empty.sql("SELECT name FROM mailboxes ORDER BY id")] == ["inbox", "sent", "spam"]
    assert names(empty.sql("SELECT address FROM sender_addresses")) == ["@xn--bcher-kva.example", "sales@example.org"]
    shown = as_json(empty, "user", "show", "ann@example.org")
    assert shown["folder"] == f"{empty.mail}/people/ann" and shown["quota_bytes"] == 1 << 30 and shown["password"] == "SCRAM-SHA-256"
    assert shown["mailboxes"] == ["inbox", "sent", "spam"] and shown["send_as"] == ["@xn--bcher-kva.example", "sales@example.org"]
    assert password not in empty.tassis("user", "show", "ann@example.org").stdout + empty.tassis("user", "list", "--json").stdout


def test_user_change_touches_what_is_given_alone_and_may_be_repeated(shared):
    shared.tassis("user", "add", "cara@example.org", "--no-password", "--quota", "1M", "--send-as", "a@example.org")
    for _ in range(2):
        shared.tassis("user", "change", "cara@example.org", "--quota-messages", "7", "--send-as", "b@example.org", "--no-send-as", "a@example.org")
        shown = as_json(shared, "user", "show", "cara@example.org")
        assert (shown["quota_bytes"], shown["quota_messages"], shown["send_as"]) == (1 << 20, 7, ["b@example.org"])
    shared.tassis("user", "change", "cara@example.org", "--quota", "none", "--folder", "elsewhere/cara")
    assert shared.sql("SELECT quota_bytes, quota_messages, folder FROM users WHERE local_part = 'cara'") == [(None, 7, "elsewhere/cara")]
    shared.tassis("user", "change", "cara@example.org", "--folder", "none")
    assert shared.sql("SELECT folder FROM users WHERE local_part = 'cara'") == [(None,)]
    fails(shared, "nothing to change", "user", "change", "cara@example.org", status=2)


def test_user_without_mailboxes_and_one_switched_off_and_on(shared):
    shared.tassis("user", "add", "dora@example.org", "--no-password", "--no-mailboxes")
    assert as_json(shared, "mailbox", "list", "dora@example.org") == []
    shared.tassis("user", "disable", "dora@example.org")
    assert not as_json(shared, "user", "show", "dora@example.org")["enabled"]
    shared.tassis("user", "enable", "dora@example.org")
    assert as_json(shared, "user", "show", "dora@example.org")["enabled"]


def test_deleted_users_mail_stays_and_is_named(shared):
    shared.tassis("user", "add", "eva@example.org", "--no-password")
    shared.tassis("alias", "add", "evas@example.org", "eva@example.org")
    folder = shared.mail / "example.org/eva"
    done = shared.tassis("user", "delete", "eva@example.org")
    assert str(folder) in done.stdout and "evas@example.org" in done.stderr
    folder.mkdir(parents=True)
    done = shared.tassis("user", "add", "eva@example.org", "--no-password")
    assert f"note: {folder} is there already" in done.stderr


def test_password_is_set_taken_as_a_hash_or_taken_away(shared):
    shared.tassis("user", "add", "fred@example.org", "--password-hash", SALT_STRING)

    def kept():
        return shared.sql("SELECT password FROM users WHERE local_part = 'fred'")[0][0]

    assert kept() == SALT_STRING
    shared.tassis("user", "password", "fred@example.org", "--password-stdin", input="without an end")
    assert kept().startswith("{SCRAM-SHA-256}")
    shared.tassis("user", "password", "fred@example.org", "--no-password")
    assert kept() is None
    for hash in ("Hello world!", "{PLAIN}Hello", "{SHA512-CRYPT}", "{SCRAM-SHA-256}4096,x", "{SHA256.HEX}abc"):
        fails(shared, "no {SCHEME}hash", "user", "password", "fred@example.org", "--password-hash", hash, status=2)
    fails(shared, "only one", "user", "password", "fred@example.org", "--no-password", "--password-stdin", status=2)
    for wrong, sentence in (("\n", "no password"), ("", "no password"), ("a\0b\n", "NUL"), ("x" * 1001, "at most 1000")):
        fails(shared, sentence, "user", "password", "fred@example.org", "--password-stdin", input=wrong, status=2)


def at_terminal(tassis, words, dialogue):
    """Runs a command at a terminal of its own; dialogue: what is awaited, what is typed then. The exit status and all that the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(TASSIS, [str(TASSIS), "-c", str(tassis.main_conf), *words], tassis.environment())
    shown, todo, end = "", list(dialogue), time.monotonic() + PATIENCE
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 4096).decode()
            if todo and todo[0][0] in shown:
                os.write(terminal, todo.pop(0)[1].encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert not todo, shown
    return os.waitstatus_to_exitcode(status), shown


def test_password_is_asked_twice_at_the_terminal_and_never_shown(shared):
    status, shown = at_terminal(shared, ["user", "add", "gina@example.org"], [("Password: ", "a secret\n"), ("Once more: ", "a secret\n")])
    assert status == 0 and "added user gina@example.org" in shown and "secret" not in shown
    assert shared.sql("SELECT password FROM users WHERE local_part = 'gina'")[0][0].startswith("{SCRAM-SHA-256}")
    status, shown = at_terminal(shared, ["user", "password", "gina@example.org"], [("Password: ", "one\n"), ("Once more: ", "other\n")])
    assert status == 2 and "differ" in shown


def test_terminal_has_its_echo_again_after_an_interrupt(shared):
    pid, terminal = pty.fork()
    if pid == 0:  # a shell that outlives the command shows what it left
        os.execve("/bin/sh", ["sh", "-c", f"trap : INT; {TASSIS} -c {shared.main_conf} user password gina@example.org; echo; stty -a; echo THE END"], shared.environment())
    shown, typed = "", False
    with contextlib.suppress(OSError):
        while "THE END" not in shown and select.select([terminal], [], [], PATIENCE)[0]:
            shown += os.read(terminal, 4096).decode()
            if "Password: " in shown and not typed:
                typed = True
                os.write(terminal, b"\x03")
    os.close(terminal)
    os.waitpid(pid, 0)
    assert typed and re.search(r"[^-]\becho\b", shown), shown


def test_nobody_is_asked_for_a_password_in_vain(shared):
    fails(shared, "there is no domain nowhere.example; make it first: tassis domain add nowhere.example", "user", "add", "ann@nowhere.example", "--password-stdin", input="x\n")
    fails(shared, "give --password-stdin", "user", "add", "nora@example.org", status=2, start_new_session=True)
    shared.tassis("user", "add", "nora@example.org", "--no-password")
    fails(shared, "user nora@example.org is there already", "user", "add", "nora@example.org")


def test_user_added_by_one_command_logs_in_and_gets_mail_a_second_later(empty):
    empty.write_conf(auth_failure_wait="0s")
    empty.start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def login(password):
        with smtplib.SMTP_SSL("127.0.0.1", empty.smtps_port, context=context, timeout=PATIENCE) as client:
            client.ehlo("client.example.org")
            with contextlib.suppress(smtplib.SMTPAuthenticationError, smtplib.SMTPRecipientsRefused):  # a change may come between the two
                client.login("ann@example.org", password)
                return client.sendmail("ann@example.org", ["ann@example.org"], f"Subject: x\n\nby {password}\n") == {}
            return False

    assert not login("first")  # so that lookupd knows that there is nobody
    empty.tassis("domain", "add", "example.org")
    empty.tassis("user", "add", "ann@example.org", "--password-stdin", input="first\n")
    begun = time.monotonic()
    wait_for(lambda: login("first"), 5, "the login of a user just made")
    assert time.monotonic() - begun < 2 or PATIENCE > 20
    empty.wait_message("by first", "ann@example.org")
    empty.tassis("user", "password", "ann@example.org", "--password-stdin", input="second\n")
    wait_for(lambda: login("second"), 5, "the login with the new password")
    assert not login("first")
    empty.tassis("user", "disable", "ann@example.org")
    wait_for(lambda: not login("second"), 5, "the end of logins")


# ---- aliases

def test_alias_gets_and_loses_targets_and_change_makes_them_exactly_these(shared):
    shared.tassis("alias", "add", "Info@example.org", "ann@example.org", "Bob@Far.example")
    assert as_json(shared, "alias", "show", "info@example.org")["targets"] == ["ann@example.org", "bob@far.example"]
    fails(shared, "alias info@example.org is there already", "alias", "add", "info@example.org", "ann@example.org")
    shared.tassis("alias", "add", "info@example.org", "ann@example.org", "--if-not-exists")
    for _ in range(2):
        shared.tassis("alias", "change", "info@example.org", "bob@far.example", "cid@far.example")
        assert as_json(shared, "alias", "show", "info@example.org")["targets"] == ["bob@far.example", "cid@far.example"]
    shared.tassis("alias", "delete", "info@example.org", "bob@far.example")
    assert as_json(shared, "alias", "list", "info@example.org") == [{"address": "info@example.org", "target": "cid@far.example", "enabled": True}]
    shared.tassis("alias", "disable", "info@example.org")
    assert not as_json(shared, "alias", "show", "info@example.org")["enabled"]
    shared.tassis("alias", "enable", "info@example.org")
    shared.tassis("alias", "delete", "info@example.org")
    fails(shared, "there is no alias info@example.org", "alias", "delete", "info@example.org")
    fails(shared, "there is no alias info@example.org", "alias", "show", "info@example.org")


def test_catch_all_is_an_alias_without_a_name(shared):
    shared.tassis("alias", "add", "@example.org", "ann@far.example")
    assert shared.sql("SELECT local_part, target FROM aliases WHERE local_part = ''") == [("", "ann@far.example")]
    assert as_json(shared, "domain", "show", "example.org")["catch_all"] == ["ann@far.example"]
    shared.tassis("alias", "delete", "@example.org")


def test_user_show_names_every_alias_that_leads_there(empty):
    empty.tassis("domain", "add", "example.org")
    empty.tassis("user", "add", "ann@example.org", "--no-password")
    done = empty.tassis("alias", "add", "ann@example.org", "office@example.org")
    assert "for a copy: tassis alias add ann@example.org ann@example.org" in done.stderr
    empty.tassis("alias", "add", "office@example.org", "ann@example.org", "ANN@far.example")
    empty.tassis("alias", "add", "info@example.org", "office@example.org")
    empty.tassis("alias", "add", "@example.org", "info@example.org")
    empty.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('example.org', 'by-hand', 'Ann@Example.org')")
    assert as_json(empty, "user", "show", "ann@example.org")["aliases"] == ["@example.org", "by-hand@example.org", "info@example.org", "office@example.org"]


# ---- mailboxes

def test_mailboxes_are_added_renamed_and_deleted(shared):
    shared.tassis("user", "add", "mary@example.org", "--no-password")
    shared.tassis("mailbox", "add", "mary@example.org", "archive/2026", "Entwürfe")
    assert [row["mailbox"] for row in as_json(shared, "mailbox", "list", "mary@example.org")] == ["inbox", "sent", "spam", "archive/2026", "Entwürfe"]
    for _ in range(2):
        shared.tassis("mailbox", "change", "mary@example.org", "archive/2026", "--name", "old")
    fails(shared, "mailbox old is there already", "mailbox", "change", "mary@example.org", "spam", "--name", "old")
    assert as_json(shared, "mailbox", "show", "mary@example.org", "old")["mailbox"] == "old"
    shared.tassis("mailbox", "delete", "mary@example.org", "old", "Entwürfe")
    fails(shared, "there is no mailbox old", "mailbox", "delete", "mary@example.org", "old")
    fails(shared, "there is no user nobody@example.org", "mailbox", "add", "nobody@example.org", "x")
    fails(shared, "no empty, . or .. steps", "mailbox", "add", "mary@example.org", "../x", status=2)


# ---- relays

def test_relay_is_a_network_for_one_domain_for_some_or_for_all(shared):
    shared.tassis("domain", "add", "two.example")
    shared.tassis("relay", "add", "192.0.2.0/24", "--domain", "example.org", "--domain", "two.example")
    shared.tassis("relay", "add", "2001:DB8:0::/32")
    assert as_json(shared, "relay", "list") == [{"network": "192.0.2.0/24", "domain": "example.org"}, {"network": "192.0.2.0/24", "domain": "two.example"},
                                                 {"network": "2001:db8::/32", "domain": "*"}]
    shown = as_json(shared, "relay", "show", "192.0.2.0/24")
    assert (shown["first"], shown["last"], shown["domains"]) == ("192.0.2.0", "192.0.2.255", ["example.org", "two.example"])
    assert [row["network"] for row in as_json(shared, "relay", "list", "2001:db8::7")] == ["2001:db8::/32"]
    for _ in range(2):
        shared.tassis("relay", "change", "192.0.2.0/24", "--domain", "two.example")
        assert [row["domain"] for row in as_json(shared, "relay", "list", "192.0.2.200")] == ["two.example"]
    fails(shared, "there is no domain three.example", "relay", "add", "192.0.2.0/24", "--domain", "three.example")
    shared.tassis("relay", "delete", "192.0.2.0/24", "--domain", "two.example")
    shared.tassis("relay", "delete", "2001:db8::/32")
    fails(shared, "there is no relay 192.0.2.0/24", "relay", "delete", "192.0.2.0/24")
    fails(shared, "there is no relay 192.0.2.0/24", "relay", "change", "192.0.2.0/24")


def test_network_with_host_bits_is_refused_with_what_would_be_right(shared):
    fails(shared, "the network is 192.0.2.0/24, the address alone is 192.0.2.7", "relay", "add", "192.0.2.7/24", status=2)
    fails(shared, "the network is 2001:db8::/32", "relay", "add", "2001:db8::1/32", status=2)
    fails(shared, "everybody", "relay", "add", "0.0.0.0/0", status=2)
    fails(shared, "1 to 32", "relay", "add", "192.0.2.0/33", status=2)
    fails(shared, "no network", "relay", "add", "example.org", status=2)


# ---- routes

def test_route_is_added_changed_and_deleted_and_its_password_never_shown(shared):
    shared.tassis("route", "add", "*", "--host", "Smtp.Provider.example", "--port", "587", "--user", "me", "--password-stdin", input="route secret\n")
    assert shared.sql("SELECT domain, sender_domain, host, port, mx, tls, username, password FROM routes") == [("*", "*", "smtp.provider.example", 587, False, "starttls", "me", "route secret")]
    shared.tassis("route", "add", "far.example", "--sender-domain", "example.org", "--host", "192.0.2.1", "--mx", "--tls", "implicit")
    assert as_json(shared, "route", "list") == [
        {"domain": "far.example", "sender_domain": "example.org", "host": "192.0.2.1", "port": None, "mx": True, "tls": "implicit", "username": None},
        {"domain": "*", "sender_domain": "*", "host": "smtp.provider.example", "port": 587, "mx": False, "tls": "starttls", "username": "me"}]
    for words in (["route", "list"], ["route", "list", "--json"], ["route", "show", "*"], ["route", "show", "*", "--json"]):
        assert "secret" not in shared.tassis(*words).stdout
    assert as_json(shared, "route", "show", "*")["password"] is True
    for _ in range(2):
        shared.tassis("route", "change", "*", "--port", "465", "--tls", "implicit")
        assert shared.sql("SELECT port, tls, username, password FROM routes WHERE domain = '*'") == [(465, "implicit", "me", "route secret")]
    assert "without encryption" in shared.tassis("route", "change", "*", "--tls", "none").stderr
    shared.tassis("route", "change", "*", "--no-user", "--port", "none")
    assert shared.sql("SELECT port, username, password FROM routes WHERE domain = '*'") == [(None, None, None)]
    shared.tassis("route", "delete", "*")
    shared.tassis("route", "delete", "far.example", "--sender-domain", "example.org")
    fails(shared, "there is no route for far.example from example.org", "route", "delete", "far.example", "--sender-domain", "example.org")


def test_routes_mistakes_are_told(shared):
    fails(shared, "--host is missing", "route", "add", "x.example", status=2)
    fails(shared, "right would be a name", "route", "add", "x.example", "--host", "[192.0.2.1]", status=2)
    fails(shared, "1 to 65535", "route", "add", "x.example", "--host", "h.example", "--port", "65536", status=2)
    fails(shared, "without a user", "route", "add", "x.example", "--host", "h.example", "--password-stdin", input="x\n", status=2)


# ---- what all have

def test_add_and_delete_may_be_repeated_by_scripts(empty):
    steps = [("domain", "add", "example.org"), ("user", "add", "ann@example.org", "--no-password"), ("alias", "add", "a@example.org", "ann@example.org"),
             ("mailbox", "add", "ann@example.org", "x"), ("relay", "add", "192.0.2.1"), ("route", "add", "*", "--host", "h.example")]
    for step in steps:
        empty.tassis(*step, "--if-not-exists")
        empty.tassis(*step, "--if-not-exists")
        fails(empty, "is there already", *step)
    for step in (("route", "delete", "*"), ("relay", "delete", "192.0.2.1"), ("mailbox", "delete", "ann@example.org", "x"), ("alias", "delete", "a@example.org"),
                 ("user", "delete", "ann@example.org"), ("domain", "delete", "example.org")):
        empty.tassis(*step)
        if step[0] == "mailbox":
            fails(empty, "there is no", *step)
        empty.tassis(*step, "--if-exists")
        fails(empty, "there is no", *step)


def every_verb():
    found = re.findall(r'^\tV\((\w+), (\w+),\s+((?:"[^"]*"\s*)+)', re.sub(r"\s*\\\n", "\n", (TOP / "admin/objects.h").read_text()), re.M)
    usage = {(o, v): "".join(re.findall(r'"([^"]*)"', u)) for o, v, u in found}
    assert len(usage) == 46
    return usage


def test_every_verb_has_help_that_needs_neither_configuration_nor_database():
    for object, verb in every_verb():
        done = run(TASSIS, "-c", "/nonexistent", object, verb, "--help")
        assert done.stdout.startswith(f"usage: tassis {object} {verb} ") and not done.stderr
    done = run(TASSIS, "-c", "/nonexistent", "user", "--help")
    assert all(f"  {verb} " in done.stdout for object, verb in every_verb() if object == "user")
    assert run(TASSIS, "-c", "/nonexistent", "user", "ad", check=False).returncode == 2


def test_every_list_and_show_takes_json(shared):
    for (object, verb), usage in every_verb().items():
        records = object == "dkim" and verb in ("create", "publish", "rotate") or verb in ("dns", "check")
        assert ("--json" in usage) == (verb in ("list", "show") or records), (object, verb)
    for object in ("domain", "user", "alias", "mailbox", "relay", "route"):
        assert isinstance(as_json(shared, object, "list"), list)


def test_list_takes_a_domain_or_a_pattern(empty):
    for domain in ("one.example", "two.example"):
        empty.tassis("domain", "add", domain)
        for name in ("ann", "anton", "bob_x"):
            empty.tassis("user", "add", f"{name}@{domain}", "--no-password", "--no-mailboxes")

    def listed(*words):
        return [row["address"] for row in as_json(empty, "user", "list", *words)]

    assert listed("one.example") == ["ann@one.example", "anton@one.example", "bob_x@one.example"]
    assert listed("an*") == ["ann@one.example", "anton@one.example", "ann@two.example", "anton@two.example"]
    assert listed("Ann@*") == ["ann@one.example", "ann@two.example"]
    assert listed("bob?x@two.example") == ["bob_x@two.example"]
    assert listed("b_b*") == listed("%@one.example") == []
    assert len(empty.tassis("user", "list").stdout.splitlines()) == 7


def test_list_of_many_users_streams(empty):
    empty.tassis("domain", "add", "example.org")
    empty.sql("INSERT INTO users (domain, local_part) SELECT 'example.org', 'user' || n FROM generate_series(1, 100000) n")
    command = [TASSIS, "-c", empty.main_conf, "user", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=empty.environment()) as listing:
        first = listing.stdout.readline() + listing.stdout.readline()
        pid = next(int(p) for p in children(listing.pid)) if children(listing.pid) else listing.pid
        resident_kb = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
        rest = listing.stdout.read()
    assert listing.returncode == 0 and len(json.loads(first + rest)) == 100000
    assert resident_kb < 16000 or PATIENCE > 20  # all at once are 23,000
    # a reader that leaves early is no mistake of the list's
    assert subprocess.run(f"{TASSIS} -c {empty.main_conf} user list | head -n 3", shell=True, env=empty.environment(), capture_output=True, text=True).stdout.count("\n") == 3


def children(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/task/{pid}/children").read().split()
    return []


def test_full_disk_behind_standard_output_is_told(shared):
    with open("/dev/full", "w") as full:
        done = subprocess.run([TASSIS, "-c", shared.main_conf, "domain", "list"], stdout=full, stderr=subprocess.PIPE, text=True, env=shared.environment())
    assert done.returncode == 1 and "standard output" in done.stderr


def test_values_of_a_command_line_are_never_sql(shared):
    for wrong in ("x'; DROP TABLE users; --@example.org", "$1@example.org", "%s@example.org"):
        shared.tassis("user", "add", wrong, "--no-password", check=False)
    shared.tassis("mailbox", "list", "'; DROP TABLE users; --*")
    shared.tassis("user", "add", "o'hara@example.org", "--no-password")
    assert as_json(shared, "user", "show", "o'hara@example.org")["address"] == "o'hara@example.org"


def test_every_check_of_the_tables_has_a_sentence(shared):
    checks = {name for name, in shared.sql("SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0")}
    sentences = set(re.findall(r"^\tC\((\w+),", (TOP / "admin/constraints.h").read_text(), re.M))
    assert checks == sentences


def test_postgresql_that_is_away_is_a_sentence_and_not_a_crash(shared, make_tassis):
    away = make_tassis(database=shared.database)
    away.write_conf(database_admin=f"host={away.folder} dbname=x user=x")
    fails(away, "cannot connect as the setting database_admin says", "domain", "list")
    away.write_conf(database_admin=away.cluster.connection(shared.database, "tassis_lookup"))
    fails(away, "the role of database_admin must own the tables", "domain", "add", "x.example")
    away.write_conf(database_admin=away.cluster.connection(away.cluster.new_database(), "tassis"))
    fails(away, "`tassis schema upgrade` makes them", "domain", "add", "x.example")
    away.write_conf(database_admin=away.cluster.connection(shared.database, "tassis") + " options='-c default_transaction_read_only=on'")
    fails(away, "database_admin must name the primary", "domain", "add", "x.example")


def test_tables_that_are_not_read_are_told(make_tassis, shared):
    other = make_tassis(database=shared.database, settings={"query_user": "SELECT NULL WHERE $1 || $2 = ''"})
    assert "query_user asks another table" in other.tassis("user", "list").stderr
    assert "note" not in other.tassis("domain", "list").stderr


# ---- the schema

def test_schema_upgrade_and_status_say_how_it_stands(make_tassis, cluster):
    one = make_tassis(database=cluster.new_database())
    migrations = sorted(p.name for p in (TOP / "schema").glob("[0-9]*.sql"))
    n = len(migrations)
    done = one.tassis("schema", "status", check=False)
    assert done.returncode == 1 and done.stdout == f"schema 0 of {n}\n" + "".join(f"not applied {name}\n" for name in migrations)
    assert one.tassis("schema", "upgrade").stdout == "".join(f"applied {name}\n" for name in migrations) + f"schema {n}\n"
    assert one.tassis("schema", "upgrade").stdout == f"schema {n}\n"
    assert one.tassis("schema", "status").stdout == f"schema {n} of {n}\n"
    assert one.tassis("schema", "downgrade", check=False).returncode == 2
    one.sql("INSERT INTO schema_version (version, name) VALUES (9000, 'x')")
    fails(one, "it needs a newer tassis", "schema", "upgrade")


def test_schema_says_what_postgresql_refused(make_tassis, shared):
    one = make_tassis(database=shared.database)
    folder = one.folder / "schema"
    folder.mkdir()
    for path in sorted((TOP / "schema").glob("[0-9]*.sql")):
        (folder / path.name).write_text(path.read_text())
    number = len(list(folder.iterdir())) + 1
    (folder / f"{number:04}-wrong.sql").write_text("CREATE TABLE half (x int); SELECT nonsense FROM users;")
    done = one.tassis("schema", "upgrade", "--from", folder, check=False)
    assert done.returncode == 1 and f"{number:04}-wrong.sql" in done.stderr and '"nonsense" does not exist' in done.stderr and done.stderr.count("\n") == 1
    assert one.sql("SELECT to_regclass('half')") == [(None,)]


# ---- completion

COMPLETION = PREFIX / "share/bash-completion/completions/tassis"


def complete(tassis, line, breaks="\"'@><=;|&(: "):
    """What bash would offer behind the line: its own variables as it would set them."""
    words = re.findall(r"[@=:]|[^@=:\s]+", line) + ([""] if line.endswith(" ") else [])
    script = f'''
        source {COMPLETION}
        COMP_WORDBREAKS=$'\\t\\n'$1 COMP_LINE=$2 COMP_POINT=${{#2}}; shift 2
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _tassis tassis "${{COMP_WORDS[COMP_CWORD]}}" "" && printf '%s\\n' "${{COMPREPLY[@]}}"'''
    return run("bash", "--norc", "-c", script, "bash", breaks, line, *words, env=tassis.environment(), timeout=PATIENCE).stdout.split()


def test_completion_knows_commands_verbs_options_and_their_values(shared):
    assert "domain" in complete(shared, "tassis do") and "delete" in complete(shared, "tassis user ")
    assert {"check", "start", "queue", "user", "explain"} <= set(complete(shared, "tassis "))
    assert complete(shared, "tassis user add x --quota-") == ["--quota-messages"]
    assert complete(shared, "tassis route add x --tls ") == ["optional", "starttls", "implicit", "none"]
    assert complete(shared, "tassis domain add x --kind relay --kin") == []
    assert complete(shared, f"tassis -c {shared.main_conf} schema up") == ["upgrade"]
    assert complete(shared, "tassis queue list --j") == ["--json"]


def test_completion_knows_domains_users_and_networks(empty):
    empty.tassis("domain", "add", "example.org")
    empty.tassis("domain", "add", "two.example")
    empty.tassis("user", "add", "ann@example.org", "--no-password")
    empty.tassis("relay", "add", "192.0.2.0/24")
    assert complete(empty, "tassis domain show e") == ["example.org"]
    assert complete(empty, "tassis user show a") == ["ann@example.org"]
    assert complete(empty, "tassis user add bob@") == ["example.org", "two.example"]
    assert complete(empty, "tassis user add bob@t") == ["two.example"]
    assert complete(empty, "tassis user add bob@t", breaks=" ") == ["bob@two.example"]
    assert complete(empty, "tassis relay delete 1") == ["192.0.2.0/24"]
    assert complete(empty, "tassis route show ") == ["--sender-domain", "--json", "--help", "example.org", "two.example", "\\*"]


def test_completion_waits_two_seconds_at_most_and_says_nothing_when_postgresql_is_away(shared, make_tassis):
    import socket

    away = make_tassis(database=shared.database)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never answers
        away.write_conf(database_admin=f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=x user=x")
        begun = time.monotonic()
        assert [word for word in complete(away, "tassis domain show ") if not word.startswith("--")] == []
        assert time.monotonic() - begun < 5 or PATIENCE > 20
    away.write_conf(database_admin=f"host={away.folder} dbname=x user=x")
    assert complete(away, "tassis domain show x") == []
    away.main_conf.write_text("nonsense")
    assert complete(away, "tassis domain show x") == []
