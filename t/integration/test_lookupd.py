"""What lookupd answers, seen from outside: who is a recipient, where mail goes, whose password is right, and that changes in PostgreSQL count at once."""
import smtplib, ssl

import pytest

import harness

OTHERS = "ann@example.org"


@pytest.fixture
def own(make_tassis):
    return make_tassis().start()


def rcpt(tassis, to, sender=OTHERS):
    with tassis.smtp() as client:
        client.ehlo("client.example.org")
        client.mail(sender)
        code, reply = client.rcpt(to)
        return f"{code} {reply.decode().split()[0]}"


def login(tassis, user, password):
    """The code of the reply to AUTH PLAIN."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with tassis.smtp(tassis.submission_port) as client:
        client.ehlo("client.example.org")
        client.starttls(context=context)
        client.ehlo("client.example.org")
        client.user, client.password = user, password
        try:
            return client.auth("PLAIN", client.auth_plain)[0]
        except smtplib.SMTPAuthenticationError as refused:
            return refused.smtp_code


def counters(tassis):
    """name -> sum over all lookupd, from tassis status."""
    found = {}
    for line in tassis.tassis("status").stdout.split("\n"):
        words = line.split()
        if len(words) == 3 and words[0].startswith("lookupd/") and words[2].isdigit():
            found[words[1]] = found.get(words[1], 0) + int(words[2])
    return found


def wait_rcpt(tassis, to, answer):
    harness.wait_for(lambda: rcpt(tassis, to) == answer, 5, f"{to} to be {answer}")


def test_user_added_is_known_within_a_second(own):
    assert rcpt(own, "bea@test.com") == "550 5.1.1"
    own.sql("INSERT INTO users (local_part, domain) VALUES ('bea', 'test.com')")
    harness.wait_for(lambda: rcpt(own, "bea@test.com") == "250 2.1.5", 1)
    own.sql("DELETE FROM users WHERE local_part = 'bea'")
    harness.wait_for(lambda: rcpt(own, "bea@test.com") == "550 5.1.1", 1)


def test_domain_added_and_switched_off(own):
    assert rcpt(own, "bea@new.example") == "550 5.7.1"
    own.sql("INSERT INTO domains (name) VALUES ('new.example'); INSERT INTO users (local_part, domain) VALUES ('bea', 'new.example')")
    wait_rcpt(own, "bea@new.example", "250 2.1.5")
    own.sql("UPDATE domains SET enabled = false WHERE name = 'new.example'")
    harness.wait_for(lambda: rcpt(own, "bea@new.example").startswith("550"), 5)


def test_warm_cache_asks_postgresql_nothing(own):
    own.send(text="warm 1\r\n")
    own.wait_message("warm 1")
    own.send(text="warm 2\r\n")
    own.wait_message("warm 2")
    before = counters(own)
    for n in range(20):
        own.send(text=f"message {n}\r\n")
    own.wait_message("message 19")
    own.wait_queue_empty()
    after = counters(own)
    assert after["queries"] == before["queries"]
    assert after["asks"] >= before["asks"] + 40


def test_aliases_details_and_catch_all_reach_their_mailboxes(own):
    own.sql("""INSERT INTO users (local_part, domain) VALUES ('bea', 'test.com'), ('rest', 'test.com');
        INSERT INTO aliases (local_part, domain, target) VALUES ('list', 'test.com', 'test@test.com'), ('list', 'test.com', 'inner@test.com'),
            ('inner', 'test.com', 'bea@test.com'), ('inner', 'test.com', 'list@test.com'), ('', 'test.com', 'rest@test.com')""")
    wait_rcpt(own, "list@test.com", "250 2.1.5")
    own.send(to="list@test.com", text="to the list\r\n")
    own.wait_message("to the list")
    own.wait_message("to the list", "bea@test.com")
    own.send(to="bea+news@test.com", text="with detail\r\n")
    own.wait_message("with detail", "bea@test.com")
    own.send(to="whoever@test.com", text="for the rest\r\n")
    own.wait_message("for the rest", "rest@test.com")
    own.wait_queue_empty()
    assert len(own.messages("bea@test.com")) == 2


def test_user_with_a_folder_of_its_own(own):
    own.sql("INSERT INTO users (local_part, domain, folder) VALUES ('bea', 'test.com', 'elsewhere/bea')")
    wait_rcpt(own, "bea@test.com", "250 2.1.5")
    own.send(to="bea@test.com", text="into its own\r\n")
    harness.wait_for(lambda: list((own.mail / "elsewhere/bea/new").glob("*")))


@pytest.mark.parametrize(
    "kept",
    [
        "{SHA512-CRYPT}$6$gZ5kL8z6w.VNTOWa$5KmJmu.NUINvzXfCd8lxxfyCdUzt2A/1anPjJV5uZgT/mAe2okJL5OopGCjw6fiQtz12Ldwq3Fn97g0j2qMNz0",
        "{BLF-CRYPT}$2y$05$l88y9CEGzLf7efub/1QoUehR0K7wdUp9Ev9E7bPhkX4ZpqHfVYu7G",
        "{CRYPT}$y$j9T$abcdefghijklmnop$0Hi8KsZH/hAMRN9Bam6ce3nmi5QAIz3R/KeaXG/c7p9",
        "{SCRAM-SHA-256}4096,z4G/2gOFbxmkCqPBs6aUzA==,E6C/8yAsA67zkrOHVqf/r4yCN5wk3XjpNQ2N6Z6mI3A=,S5tSA21sClFvZDFN7RSfUJaXi+fIUdYo08TXCUuqX34=",
    ],
    ids=lambda kept: kept[1 : kept.index("}")],
)
def test_password_of_each_scheme(tassis, kept):
    name = kept[1 : kept.index("}")].lower()
    tassis.sql("INSERT INTO users (local_part, domain, password) VALUES (%s, 'test.com', %s)", name, kept)
    assert login(tassis, f"{name}@test.com", "correct horse") == 235
    assert login(tassis, f"{name}@test.com", "correct horsf") == 535


def test_password_changed_counts_at_once(own):
    assert login(own, "test@test.com", "1111") == 235
    own.sql("UPDATE users SET password = '{SHA256.HEX}' || encode(sha256('2222'), 'hex') WHERE local_part = 'test'")
    harness.wait_for(lambda: login(own, "test@test.com", "1111") == 535, 5)
    assert login(own, "test@test.com", "2222") == 235
    own.sql("UPDATE users SET enabled = false")
    harness.wait_for(lambda: login(own, "test@test.com", "2222") == 535, 5)


def test_unknown_users_and_users_without_a_password_cannot_log_in(tassis):
    tassis.sql("INSERT INTO users (local_part, domain) VALUES ('silent', 'test.com') ON CONFLICT DO NOTHING")
    assert login(tassis, "nobody@test.com", "1111") == 535
    assert login(tassis, "silent@test.com", "x") == 535
    assert login(tassis, "test@other.example", "1111") == 535


def test_password_that_cannot_be_read_is_a_failure_of_ours(tassis):
    tassis.sql("INSERT INTO users (local_part, domain, password) VALUES ('odd', 'test.com', '{ODD}x') ON CONFLICT DO NOTHING")
    assert login(tassis, "odd@test.com", "x") == 454


def test_replaced_query_is_taken_by_a_reload(own):
    assert rcpt(own, "anybody@test.com") == "550 5.1.1"
    own.reload(query_user="SELECT NULL, 'shared' WHERE $1 LIKE 'any%' AND $2 = 'test.com'")
    harness.wait_for(lambda: rcpt(own, "anybody@test.com") == "250 2.1.5", 5)
    assert rcpt(own, "test@test.com") == "550 5.1.1"


def test_lookupd_may_read_only_what_it_needs(tassis):
    import psycopg2

    for refused in ("SELECT created_at FROM users", "UPDATE users SET enabled = true", "DELETE FROM aliases", "CREATE TABLE x (y int)", "SELECT * FROM imap_users"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            tassis.sql(refused, role="tassis_lookup")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        tassis.sql("SELECT password FROM users", role="tassis_imap")
    assert tassis.sql("SELECT folder FROM imap_users WHERE local_part = 'test'", role="tassis_imap") == [("test.com/test/",)]


@pytest.mark.parametrize(
    "row",
    [
        "INSERT INTO domains (name) VALUES ('Upper.example')",
        "INSERT INTO domains (name) VALUES ('dot.example.')",
        "INSERT INTO domains (name) VALUES ('b\u00fccher.example')",
        "INSERT INTO domains (name, recipients) VALUES ('local.example', 'any')",
        "INSERT INTO users (local_part, domain) VALUES ('Ann', 'test.com')",
        "INSERT INTO users (local_part, domain) VALUES ('a/b', 'test.com')",
        "INSERT INTO users (local_part, domain) VALUES ('', 'test.com')",
        "INSERT INTO users (local_part, domain) VALUES ('ann', 'none.example')",
        "INSERT INTO users (local_part, domain, password) VALUES ('ann', 'test.com', '1111')",
        "INSERT INTO users (local_part, domain, folder) VALUES ('ann', 'test.com', '../other')",
        "INSERT INTO users (local_part, domain, folder) VALUES ('ann', 'test.com', '/etc')",
        "INSERT INTO aliases (local_part, domain, target) VALUES ('x', 'test.com', 'no address')",
        "INSERT INTO relays (network) VALUES ('192.0.2.1/24')",
        "INSERT INTO relays (network) VALUES ('192.0.2.0/24'), ('192.0.2.0/24')",
        "INSERT INTO routes (host, port) VALUES ('out.example', 99999)",
        "INSERT INTO routes (host, tls) VALUES ('out.example', 'maybe')",
    ],
)
def test_wrong_row_is_refused_by_the_database_itself(tassis, row):
    import psycopg2

    with pytest.raises((psycopg2.IntegrityError, psycopg2.DataError)):
        tassis.sql(row)
