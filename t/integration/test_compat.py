"""Coming from netty-smtp-server: its tables as views, its statements to the letter. tassis-migration(7) explains them."""
import contextlib, hashlib, smtplib

import psycopg2, pytest
from harness import SHARE, run

SHA_1111 = "0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"
# What its init.sql puts into empty tables.
INIT = f"""
INSERT INTO tbl_domain(f_idx, f_name, f_status) VALUES(1, 'test.com', 0);
INSERT INTO tbl_user(f_idx, f_id, f_didx, f_pwd) VALUES(1, 'test', 1, '{SHA_1111}');
INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(1, 'inbox');
INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(1, 'sent');
INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(1, 'spam');
"""


@pytest.fixture
def netty(make_tassis):
    """An empty schema with the views and the first rows of netty-smtp-server; not started."""
    one = make_tassis(sample=False)
    one.tassis("schema", "compat")
    one.sql(INIT)
    return one


def refused(tassis, statement):
    with pytest.raises(psycopg2.Error) as caught:
        tassis.sql(statement)
    return str(caught.value)


def test_its_first_rows_and_statements_work_to_the_letter(netty):
    pwd = hashlib.sha256(b"a secret").hexdigest()
    netty.sql(f"INSERT INTO tbl_user(f_id, f_didx, f_pwd) VALUES('ann', 1, '{pwd}')")
    netty.sql("INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(2, 'inbox')")
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7/24', 1, 1)")
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('198.51.100.7', 0, 1)")
    assert netty.sql("SELECT f_idx, f_name, f_status FROM tbl_domain") == [(1, "test.com", 0)]
    assert netty.sql("SELECT f_idx, f_id, f_didx, f_pwd FROM tbl_user ORDER BY 1") == [(1, "test", 1, SHA_1111), (2, "ann", 1, pwd)]
    assert netty.sql("SELECT f_idx, f_aidx, f_name FROM tbl_mailbox ORDER BY 1") == [(1, 1, "inbox"), (2, 1, "sent"), (3, 1, "spam"), (4, 2, "inbox")]
    assert netty.sql("SELECT f_idx, f_ip, f_type, f_didx FROM tbl_relay ORDER BY 1") == [(1, "192.0.2.0/24", 1, 1), (2, "198.51.100.7", 0, 1)]


def test_user_made_by_its_statement_logs_in_and_keeps_the_hash(netty):
    netty.start()
    for _ in range(2):
        with smtplib.SMTP_SSL("127.0.0.1", netty.smtps_port, context=insecure()) as client:
            client.ehlo()
            assert client.docmd("AUTH", "PLAIN YXV0aGlkAHRlc3RAdGVzdC5jb20AMTExMQ==")[0] == 235
    assert netty.sql("SELECT f_pwd FROM tbl_user") == [(SHA_1111,)]
    assert netty.sql("SELECT password, password_fixed FROM users") == [("{SHA256.HEX}" + SHA_1111, True)]


def insecure():
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_number_that_is_given_is_kept_and_the_next_is_above_it(netty):
    netty.sql("INSERT INTO tbl_domain(f_idx, f_name, f_status) VALUES(70, 'a.example', 0)")
    netty.sql("INSERT INTO tbl_domain(f_name, f_status) VALUES('b.example', 0)")
    netty.sql("INSERT INTO tbl_domain(f_idx, f_name) VALUES(7, 'c.example')")
    netty.sql("INSERT INTO tbl_domain(f_name) VALUES('d.example')")
    assert netty.sql("SELECT f_idx, f_name FROM tbl_domain ORDER BY 1") == [(1, "test.com"), (7, "c.example"), (70, "a.example"), (71, "b.example"), (72, "d.example")]
    netty.sql("INSERT INTO tbl_user(f_idx, f_id, f_didx, f_pwd) VALUES(500, 'bob', 70, '')")
    netty.sql("INSERT INTO tbl_relay(f_idx, f_ip, f_type, f_didx) VALUES(9, '192.0.2.1', 0, 70)")
    netty.sql("INSERT INTO tbl_mailbox(f_idx, f_aidx, f_name) VALUES(40, 500, 'inbox')")
    assert netty.sql("INSERT INTO tbl_user(f_id, f_didx, f_pwd) VALUES('eve', 70, NULL) RETURNING f_idx") == [(501,)]
    assert netty.sql("INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(500, 'sent') RETURNING f_idx") == [(41,)]
    assert netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.2', 0, 70) RETURNING f_idx") == [(10,)]
    # and those of the tables themselves
    netty.tassis("domain", "add", "e.example")
    assert netty.sql("SELECT id FROM domains WHERE name = 'e.example'") == [(73,)]


def test_number_stays_when_the_row_changes(netty):
    netty.sql("UPDATE tbl_user SET f_id = 'tester' WHERE f_idx = 1")
    netty.sql("UPDATE tbl_domain SET f_name = 'Test.Example' WHERE f_idx = 1")
    assert netty.sql("SELECT f_idx, f_id FROM tbl_user") == [(1, "tester")]
    assert netty.sql("SELECT local_part || '@' || domain FROM users") == [("tester@test.example",)]
    assert "cannot become" in refused(netty, "UPDATE tbl_user SET f_idx = 5")


def test_subnet_means_the_whole_network_whatever_address_names_it(netty):
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7/24', 1, 1)")
    for address, inside in (("192.0.1.255", False), ("192.0.2.0", True), ("192.0.2.255", True), ("192.0.3.0", False)):
        assert bool(netty.sql("SELECT 1 FROM relays WHERE network >>= %s::inet", address)) == inside
    assert "f_type" in refused(netty, "INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7/24', 0, 1)")
    assert "f_type" in refused(netty, "INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7', 2, 1)")
    assert "everybody" in refused(netty, "INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7/0', 1, 1)")


def test_relay_without_a_domain_is_for_all(netty):
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.1', 0, 0)")
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type) VALUES('192.0.2.2', 0)")
    assert netty.sql("SELECT domain FROM relays") == [(None,), (None,)]
    assert netty.sql("SELECT f_didx FROM tbl_relay") == [(0,), (0,)]


def test_status_0_is_enabled_and_any_other_is_not(netty):
    netty.sql("INSERT INTO tbl_domain(f_name, f_status) VALUES('off.example', 1)")
    netty.sql("UPDATE tbl_domain SET f_status = 3 WHERE f_name = 'test.com'")
    assert netty.sql("SELECT name, enabled FROM domains ORDER BY 1") == [("off.example", False), ("test.com", False)]
    netty.tassis("domain", "enable", "test.com")
    assert netty.sql("SELECT f_status FROM tbl_domain WHERE f_name = 'test.com'") == [(0,)]


def test_password_changed_there_is_kept_as_written_and_one_changed_here_is_shown_as_it_is_kept(netty):
    pwd = hashlib.sha256(b"new").hexdigest()
    netty.sql(f"UPDATE tbl_user SET f_pwd = '{pwd.upper()}' WHERE f_idx = 1")
    assert netty.sql("SELECT f_pwd FROM tbl_user") == [(pwd,)]
    netty.tassis("user", "password", "test@test.com", "--password-stdin", input="newer\n")
    (kept, fixed), = netty.sql("SELECT password, password_fixed FROM users")
    assert kept.startswith("{SCRAM-SHA-256}") and not fixed
    assert netty.sql("SELECT f_pwd FROM tbl_user") == [(kept,)]
    # what was read can be written back
    netty.sql("UPDATE tbl_user SET f_pwd = f_pwd, f_id = 'test'")
    assert netty.sql("SELECT password, password_fixed FROM users") == [(kept, False)]


def test_password_that_is_no_hash_is_refused(netty):
    assert "users_password_check" in refused(netty, "INSERT INTO tbl_user(f_id, f_didx, f_pwd) VALUES('ann', 1, 'in clear')")


def test_domain_or_user_that_is_not_there_is_told(netty):
    assert "f_idx 9 in tbl_domain" in refused(netty, "INSERT INTO tbl_user(f_id, f_didx, f_pwd) VALUES('ann', 9, NULL)")
    assert "user" in refused(netty, "INSERT INTO tbl_mailbox(f_aidx, f_name) VALUES(9, 'inbox')")
    assert "f_idx 9 in tbl_domain" in refused(netty, "INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.1', 0, 9)")


def test_rows_are_deleted_as_there(netty):
    assert "still has users" in refused(netty, "DELETE FROM tbl_domain WHERE f_idx = 1")
    netty.sql("DELETE FROM tbl_mailbox WHERE f_name = 'spam'")
    assert netty.sql("SELECT name FROM mailboxes ORDER BY 1") == [("inbox",), ("sent",)]
    netty.sql("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.1', 0, 1)")
    netty.sql("DELETE FROM tbl_relay; DELETE FROM tbl_user WHERE f_idx = 1; DELETE FROM tbl_domain WHERE f_idx = 1")
    assert [netty.sql(f"SELECT count(*) FROM {table}") for table in ("relays", "users", "mailboxes", "domains")] == [[(0,)]] * 4


def test_program_with_rights_on_the_views_alone_can_write_and_sees_no_table(netty):
    role = f"simplesmtp_{netty.database}"
    su = netty.cluster.connection(netty.database, "postgres")
    with contextlib.closing(psycopg2.connect(su)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON tbl_domain, tbl_user, tbl_mailbox, tbl_relay TO {role}")
        cursor.execute(f"SET ROLE {role}")
        cursor.execute("INSERT INTO tbl_user(f_id, f_didx, f_pwd) VALUES('ann', 1, '') RETURNING f_idx")
        assert cursor.fetchall() == [(2,)]
        cursor.execute("INSERT INTO tbl_relay(f_ip, f_type, f_didx) VALUES('192.0.2.7/24', 1, 1)")
        for forbidden in ("SELECT FROM users", "SELECT compat_next_id('users', 9000)"):
            cursor.execute("SAVEPOINT here")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(forbidden)
            cursor.execute("ROLLBACK TO here")
        cursor.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_rows_of_a_dump_come_by_copy_too(netty):
    rows = "7\tc.example\t0\n"
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "COPY tbl_domain (f_idx, f_name, f_status) FROM STDIN", netty.cluster.connection(netty.database, "tassis"), input=rows)
    assert netty.sql("SELECT id, name FROM domains ORDER BY 1") == [(1, "test.com"), (7, "c.example")]


def test_views_are_made_again_and_by_psql_too(netty):
    assert netty.tassis("schema", "compat").stdout == "applied compat-simplesmtp.sql\n"
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", SHARE / "schema/compat-simplesmtp.sql", netty.cluster.connection(netty.database, "tassis"))
    assert netty.sql("SELECT f_id FROM tbl_user") == [("test",)]


def test_views_need_the_tables_first(make_tassis, cluster):
    one = make_tassis(sample=False)
    one.sql("DELETE FROM schema_version WHERE version > 3")
    done = one.tassis("schema", "compat", check=False)
    assert done.returncode == 1 and "tassis schema upgrade" in done.stderr
