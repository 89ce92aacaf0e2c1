"""`tassis check`: one thing is broken at a time, and the sentence that says so, with its mend, is there. Errors make it fail, warnings do not."""
import json, os, shutil, socket

import pytest
from harness import AS_ROOT, LIBEXEC, SHARE, TASSIS, Tassis, free_port, run

HOST = "mx.test.com"
GOOD_ZONE = f"{HOST} A 192.0.2.25\n25.2.0.192.in-addr.arpa PTR {HOST}\n"


def pair(folder, name=HOST, days=100, names=None):
    """A certificate and its key; days may be negative."""
    cert, key = folder / "chain.pem", folder / "key.pem"
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    run("openssl", "req", "-new", "-key", key, "-out", folder / "csr", "-subj", f"/CN={name}")
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names or [name]) + "\n")
    ends = ["-days", str(days)]
    run("openssl", "x509", "-req", "-in", folder / "csr", "-signkey", key, "-out", cert, "-extfile", extensions, *ends)
    key.chmod(0o600)
    return cert, key


@pytest.fixture(scope="module")
def sound(cluster):
    """One with which nothing is wrong, that does not run; each test leaves it so."""
    tassis = Tassis(cluster, zone=GOOD_ZONE, settings={"postmaster": "test@test.com", "dns_timeout": "2s"})
    tassis.write_conf(aliases_file=tassis.folder / "aliases")
    (tassis.folder / "aliases").write_text("root: test@test.com\n")
    cert, key = pair(tassis.folder)
    tassis.write_conf(tls_certificate=cert, tls_key=key)
    tassis.start()  # makes the folders
    tassis.stop()
    tassis.good = dict(tassis.settings)
    yield tassis
    tassis.end()


@pytest.fixture
def checked(sound):
    """Runs the check with some settings changed, and compares what it says: found(("error", "certificate", "expired"), …, name=value)."""

    def found(*expected, **changes):
        sound.write_conf(**changes)
        done = sound.tassis("check", "--json", check=False)
        said = json.loads(done.stdout)
        findings = [(f["level"], f["about"], f["text"]) for f in said["findings"] if "(tmpfs)" not in f["text"] and "file system that is not" not in f["text"]]
        for level, about, *words in expected:
            match = [f for f in findings if f[:2] == (level, about) and all(str(w) in f[2] for w in words)]
            assert len(match) == 1, (level, about, words, findings)
            findings.remove(match[0])
        assert not findings, findings
        errors = sum(level == "error" for level, *_ in expected)
        assert said["errors"] == errors and done.returncode == (1 if errors else 0)
        # For people: the same sentences.
        text = sound.tassis("check", check=False)
        for f in said["findings"]:
            assert f"{f['level']}: {f['text']}\n" in text.stdout
        assert text.returncode == done.returncode

    yield found
    for name in set(sound.settings) - set(sound.good):
        del sound.settings[name]
    sound.write_conf(**sound.good)


def test_sound_configuration_has_no_finding(checked):
    checked()


# -- main.conf


def test_each_mistake_in_main_conf_is_an_error_with_its_line(sound):
    good = sound.main_conf.read_text()
    n = len(good.splitlines())
    try:
        sound.main_conf.write_text(good + "smtp_worker = 3\nqueue_lifetime = 5 years\n")
        done = sound.tassis("check", "--json", check=False)
    finally:
        sound.main_conf.write_text(good)
    said = json.loads(done.stdout)
    assert done.returncode == 1 and said["errors"] == 2
    assert f"line {n + 1}: smtp_worker is not a setting; did you mean smtp_workers?" in said["findings"][0]["text"]
    assert f"line {n + 2}: queue_lifetime" in said["findings"][1]["text"] and said["findings"][1]["about"] == "main.conf"


def test_main_conf_that_is_not_there_is_an_error():
    done = run(TASSIS, "-c", "/nonexistent/main.conf", "check", check=False)
    assert done.returncode == 1 and "error: cannot open /nonexistent/main.conf" in done.stdout


def test_words_behind_check_that_it_does_not_know_are_usage(sound):
    assert sound.tassis("check", "--jsom", check=False).returncode == 2


# -- folders, accounts, programs, log, spool


@pytest.mark.parametrize("folder,mode,words", [("spool", 0o777, "others may write to"), ("spool/private", 0o777, "a start of tassis mends it"), ("mail", 0o000, None)])
def test_folder_with_another_mode_is_named(sound, checked, folder, mode, words):
    path = sound.folder / folder
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    try:
        if words:
            checked(("error", "folders", str(path), words))
        else:
            checked()  # its mode is the administrator's
    finally:
        path.chmod(before)


@pytest.mark.skipif(not AS_ROOT, reason="takes another owner")
@pytest.mark.parametrize("folder", ["spool", "mail", "state", "spool/queue"])
def test_folder_of_another_owner_is_named_with_the_chown(sound, checked, folder):
    if sound.settings.get("accounts") == "caller" and folder != "spool":
        pytest.skip("all is the caller's")
    path = sound.folder / folder
    before = path.stat()
    os.chown(path, 12345, before.st_gid)
    try:
        checked(("error", "folders", f"chown {before.st_uid} {path}", "uid 12345"))
    finally:
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode & 0o7777)


def test_file_in_the_place_of_a_folder_is_named(sound, checked):
    (sound.folder / "file").write_text("")
    checked(("error", "folders", str(sound.folder / "file")), mail_dir=sound.folder / "file")


def test_missing_program_is_named(sound, checked, monkeypatch):
    programs = sound.folder / "programs"
    programs.mkdir()
    for program in LIBEXEC.iterdir():
        if program.name != "queued":
            (programs / program.name).symlink_to(program)
    monkeypatch.setenv("TASSIS_LIBEXEC", str(programs))
    checked(("error", "programs", str(programs / "queued"), "make install"))
    shutil.rmtree(programs)


def test_log_file_in_a_folder_that_is_not_there_is_named(sound, checked):
    checked(("error", "log", f"mkdir -p {sound.folder}/no"), log_file=sound.folder / "no" / "log")


@pytest.mark.skipif(os.path.exists("/dev/log"), reason="this host has a system log")
def test_syslog_without_a_system_log_is_named(checked):
    checked(("error", "log", "no /dev/log", "log_to = file"), log_to="syslog")


def test_spool_without_room_for_one_message_is_an_error(sound, checked):
    st = os.statvfs(sound.spool)
    if (free := st.f_bavail * st.f_frsize) >= 4 << 30:
        pytest.skip("there is more room than the largest message may have")
    checked(("error", "spool", "no room for one message"), message_size_max="4G")
    assert free < 4 << 30


# -- ports


def test_port_that_another_has_is_named(sound, checked):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        checked(("error", "ports", f"127.0.0.1:{port} smtp none", "`ss -ltnp`"), listen=f"127.0.0.1:{port} smtp none")


def test_address_that_is_not_of_this_host_is_named(checked):
    checked(("error", "ports", "192.0.2.1:2525", "`ip address`"), listen="192.0.2.1:2525 smtp none")


def test_no_port_at_all_is_an_error(checked):
    checked(("error", "ports", "no listen line", "listen = 0.0.0.0:25 smtp starttls"), listen=[])


def test_port_of_users_without_tls_is_a_warning_where_it_is_not_loopback(checked):
    checked(("warning", "ports", "no TLS on this port", "required"), listen=f"0.0.0.0:{free_port()} submission none")
    checked(listen=f"127.0.0.1:{free_port()} submission none")


def test_port_of_users_without_auth_is_a_warning(checked):
    checked(("warning", "ports", "nobody can log in", "smtp_auth = yes"), smtp_auth="no", listen=f"127.0.0.1:{free_port()} submission required")


# -- certificate and key


def test_expired_certificate_is_an_error(sound, checked, tmp_path):
    cert, key = pair(tmp_path, days=-1)
    checked(("error", "certificate", cert, "expired on", "renew it"), tls_certificate=cert, tls_key=key)


def test_certificate_that_expires_within_two_weeks_is_a_warning(checked, tmp_path):
    cert, key = pair(tmp_path, days=10)
    checked(("warning", "certificate", cert, "expires on", "renew it"), tls_certificate=cert, tls_key=key)


def test_certificate_that_does_not_name_hostname_is_a_warning(checked, tmp_path):
    cert, key = pair(tmp_path, names=["other.example"])
    checked(("warning", "certificate", "other.example", f"does not name hostname, {HOST}"), tls_certificate=cert, tls_key=key)


def test_certificate_with_a_wildcard_names_hostname(checked, tmp_path):
    cert, key = pair(tmp_path, names=["*.test.com"])
    checked(tls_certificate=cert, tls_key=key)


def test_key_that_does_not_fit_is_an_error(sound, checked, tmp_path):
    cert, key = pair(tmp_path)
    checked(("error", "certificate", cert, "not that of the chain's first certificate"), tls_certificate=cert)


def test_certificate_that_is_not_there_is_an_error(checked, tmp_path):
    checked(("error", "certificate", tmp_path / "no.pem", "master must be able to read it"), tls_certificate=tmp_path / "no.pem")


@pytest.mark.skipif(AS_ROOT, reason="root reads everything")
def test_certificate_that_master_cannot_read_is_an_error(checked, tmp_path):
    cert, key = pair(tmp_path)
    key.chmod(0)
    checked(("error", "certificate", key, "master must be able to read it"), tls_certificate=cert, tls_key=key)


def test_key_that_others_may_read_is_an_error(checked, tmp_path):
    cert, key = pair(tmp_path)
    key.chmod(0o644)
    checked(("error", "certificate", f"chmod 600 {key}"), tls_certificate=cert, tls_key=key)


def test_key_without_a_certificate_is_an_error(checked, tmp_path):
    checked(("error", "main.conf", "tls_key is set without tls_certificate"), tls_certificate=None, tls_key=tmp_path / "key")


def test_pkcs12_with_another_password_is_an_error(checked, tmp_path):
    cert, key = pair(tmp_path)
    p12 = tmp_path / "mail.p12"
    run("openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-out", p12, "-passout", "pass:secret")
    p12.chmod(0o600)
    checked(tls_certificate=p12, tls_key=None, tls_password="secret")
    checked(("error", "certificate", p12, "tls_password does not open"), tls_certificate=p12, tls_key=None, tls_password="wrong")
    checked(("error", "certificate", p12, "no tls_password"), tls_certificate=p12, tls_key=None, tls_password=None)
    checked(("error", "certificate", p12, "leave tls_key empty"), tls_certificate=p12, tls_key=key, tls_password="secret")


def test_self_signed_pair_for_another_hostname_is_a_warning(sound, checked):
    checked(tls_certificate=None, tls_key=None)  # none was made yet: a start makes it
    tls = sound.folder / "state" / "tls"
    cert, key = pair(tls, name="old.example")
    cert.rename(tls / "certificate.pem")
    try:
        checked(("warning", "certificate", "old.example", "remove it"), tls_certificate=None, tls_key=None)
    finally:
        for path in tls.iterdir():
            path.unlink()


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_authorities_that_cannot_be_read_are_an_error_where_they_are_trusted(checked, tmp_path, content):
    ca = tmp_path / "ca.pem"
    if content:
        ca.write_text(content)
    checked(delivery_tls_ca=ca)
    checked(("error", "delivery", "delivery_tls_ca", ca), delivery_tls_ca=ca, delivery_tls_trust="ca")
    cert, _ = pair(tmp_path)
    checked(delivery_tls_ca=cert, delivery_tls_trust="ca")


# -- PostgreSQL


def test_postgresql_that_cannot_be_reached_is_an_error(sound, checked, tmp_path):
    checked(("error", "database", "setting database"), ("warning", "database", "database_admin"), database=f"host={tmp_path} dbname=x", database_admin=f"host={tmp_path} dbname=x")


def test_database_that_does_not_exist_is_an_error(sound, checked):
    checked(("error", "database", "nowhere"), database=sound.cluster.connection("nowhere", "tassis_lookup"))


def test_role_that_may_change_the_tables_is_a_warning(make_tassis):
    """With accounts = caller; else the private cluster does not let lookupd's account in as the owner."""
    tassis = make_tassis(zone=GOOD_ZONE, settings={"accounts": "caller"})
    tassis.write_conf(database=tassis.cluster.connection(tassis.database, "tassis"))
    said = json.loads(tassis.tassis("check", "--json").stdout)
    assert [f["text"] for f in said["findings"] if f["about"] == "database"] == ["database: lookupd logs in as tassis, who may change the tables; it need only read: name the role tassis_lookup (tassis-schema(7))"]
    assert all(f["level"] == "warning" for f in said["findings"])


@pytest.mark.parametrize("table", ["domains", "users", "mailboxes", "sender_addresses", "aliases", "relays", "routes"])
def test_right_that_lookupd_lacks_is_named_with_the_grant(sound, checked, table):
    grants = sound.sql("SELECT format('GRANT SELECT (%%I) ON %%I TO tassis_lookup', attname, %s) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND has_column_privilege('tassis_lookup', attrelid, attnum, 'SELECT')", table, table)
    sound.sql(f"REVOKE SELECT ON {table} FROM tassis_lookup")
    try:
        checked(("error", "database", f"GRANT SELECT ON {table} TO tassis_lookup"))
    finally:
        for (grant,) in grants:
            sound.sql(grant)


def test_right_to_rewrite_a_password_that_lookupd_lacks_is_a_warning(sound, checked):
    sound.sql("REVOKE EXECUTE ON FUNCTION rewrite_password FROM tassis_lookup")
    try:
        checked(("warning", "database", "GRANT EXECUTE ON FUNCTION rewrite_password TO tassis_lookup"))
        checked(auth_rehash="no")
    finally:
        sound.sql("GRANT EXECUTE ON FUNCTION rewrite_password TO tassis_lookup")


def test_database_without_tables_is_an_error(sound, checked):
    empty = sound.cluster.new_database()
    checked(("error", "database", "`tassis schema upgrade` makes them"), database=sound.cluster.connection(empty, "tassis_lookup"), database_admin=sound.cluster.connection(empty, "tassis"))


def test_schema_that_is_behind_is_an_error(sound, checked):
    newest = max(int(p.name[:4]) for p in (SHARE / "schema").glob("[0-9]*.sql"))
    name = sound.sql("DELETE FROM schema_version WHERE version = %s RETURNING name", newest)[0][0]
    try:
        checked(("error", "database", f"the schema is {newest - 1} and this tassis wants {newest}", "`tassis schema upgrade`"))
    finally:
        sound.sql("INSERT INTO schema_version (version, name) VALUES (%s, %s)", newest, name)


def test_schema_that_is_ahead_is_an_error(sound, checked):
    sound.sql("INSERT INTO schema_version (version, name) VALUES (9000, '9000-later.sql')")
    try:
        checked(("error", "database", "the schema is 9000", "newer tassis"))
    finally:
        sound.sql("DELETE FROM schema_version WHERE version = 9000")


def test_owner_that_cannot_log_in_is_a_warning(sound, checked):
    checked(("warning", "database", "database_admin", "mail flows without it"), database_admin=sound.cluster.connection("nowhere", "tassis"))


def test_role_that_does_not_own_the_tables_is_a_warning(sound, checked):
    checked(("warning", "database", "database_admin: the role tassis_lookup does not own the tables"), database_admin=sound.cluster.connection(sound.database, "tassis_lookup"))


# -- DNS


def test_name_servers_that_do_not_answer_are_a_warning(checked):
    checked(("warning", "dns", "no name server says where mx.test.com is", "dns_servers"), dns_servers=f"127.0.0.1:{free_port()}", dns_timeout="500ms")


@pytest.fixture
def zone(sound):
    before = sound.zone.read_text()
    yield sound.set_zone
    sound.zone.write_text(before)


def test_hostname_that_does_not_resolve_is_a_warning(checked, zone):
    zone("other.test.com A 192.0.2.25")
    checked(("warning", "dns", "mx.test.com, has no address in DNS", "A or AAAA record"))


def test_ptr_record_that_differs_is_a_warning(checked, zone):
    zone("mx.test.com A 192.0.2.25", "25.2.0.192.in-addr.arpa PTR 25.dynamic.example")
    checked(("warning", "dns", "the PTR record of 192.0.2.25", "is 25.dynamic.example and not mx.test.com"))


def test_ptr_record_that_is_missing_is_a_warning(checked, zone):
    zone("mx.test.com AAAA 2001:db8::25")
    checked(("warning", "dns", "2001:db8::25", "has no PTR record"))


def test_ptr_record_of_an_ipv6_address_is_found(checked, zone):
    zone("mx.test.com AAAA 2001:db8::25", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.test.com")
    checked()


# -- who must be reached


def test_postmaster_that_reaches_nobody_is_a_warning(sound, checked):
    (sound.folder / "no-aliases").write_text("# none\n")
    nobody = {"postmaster": "postmaster", "aliases_file": sound.folder / "no-aliases"}
    checked(("warning", "postmaster", "postmaster@test.com reaches nobody", "set postmaster in main.conf"), **nobody)
    checked(("warning", "postmaster", "postmaster@test.com reaches nobody"), **{**nobody, "postmaster": "nobody@test.com"})
    sound.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'postmaster', 'test@test.com')")
    try:
        checked(**nobody)
    finally:
        sound.sql("DELETE FROM aliases")


def test_postmaster_that_reaches_nobody_is_said_by_the_running_tassis_too(sound, checked):
    """By the functions that decide it: an alias whose target does not exist is somebody for the rows alone."""
    (sound.folder / "no-aliases").write_text("# none\n")
    nobody = {"postmaster": "postmaster", "aliases_file": sound.folder / "no-aliases"}
    sound.write_conf(**nobody)
    sound.sql("INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'postmaster', 'nobody@test.com')")
    sound.start()
    try:
        checked(("warning", "postmaster", "postmaster@test.com reaches nobody"), **nobody)
    finally:
        sound.sql("DELETE FROM aliases")
        sound.stop()


def test_lines_of_aliases_file_that_are_passed_over_are_warnings(sound, checked):
    path = sound.folder / "odd-aliases"
    path.write_text('root: test@test.com\nnonsense\nnews: "|/usr/bin/program"\nlist: :include:/etc/list, test@test.com\n# comment\nok: a@test.com,\n    /var/mail/file\n')
    checked(*[("warning", "aliases_file", f"{path} line {n}", words) for n, words in ((2, "NAME: TARGET"), (3, "|/usr"), (4, ":include:"), (7, "/var/mail/file"))], aliases_file=path)


def test_aliases_file_that_is_not_there_is_a_warning_where_it_is_named(sound, checked):
    checked(("warning", "aliases_file", sound.folder / "gone"), aliases_file=sound.folder / "gone")


def test_aliases_file_that_is_a_folder_is_an_error(sound, checked):
    checked(("error", "aliases_file", sound.folder), aliases_file=sound.folder)


# -- the whole


def test_running_tassis_that_is_sound_has_no_finding(sound, checked):
    sound.start()
    try:
        checked()
    finally:
        sound.stop()


def test_check_changes_nothing(sound):
    def state():
        return {p: (p.lstat().st_mode, p.lstat().st_uid, p.lstat().st_mtime_ns) for p in [sound.folder, *sound.folder.rglob("*")]}

    before = state()
    sound.tassis("check", check=False)
    assert state() == before
