"""What the manual pages promise: no command, setting or daemon without its place in them, nothing in them that is gone, and examples that work as they stand."""
import re, shlex

import pytest
from harness import TASSIS, TOP, run
from test_admin import at_terminal

MAN = TOP / "man"
# What an administrator of netty-smtp-server has in smtp.properties and application.yml.
NETTY = """smtp.port smtp.use.ssl smtp.ssl.port smtp.use.msa smtp.msa.port smtp.use.starttls smtp.use.auth smtp.cert.path smtp.cert.password smtp.read.timeout smtp.write.timeout
    smtp.allow.blank.sender smtp.queue.path smtp.user.path smtp.temp.path smtp.save.sent smtp.dns.ip smtp.dns.timeout smtp.delivery.secure smtp.delivery.debug smtp.from.mimemessage
    concurrency max-concurrency""".split()
POSTFIX = """myhostname mydomain myorigin mydestination mynetworks relayhost relay_domains virtual_mailbox_domains virtual_mailbox_maps virtual_mailbox_base virtual_alias_maps
    smtpd_tls_cert_file smtpd_tls_key_file smtpd_tls_security_level smtp_tls_security_level smtp_sasl_auth_enable smtp_sasl_password_maps smtpd_recipient_restrictions
    message_size_limit mailbox_size_limit inet_interfaces recipient_delimiter home_mailbox alias_maps maximal_queue_lifetime bounce_queue_lifetime
    default_destination_concurrency_limit smtpd_client_connection_count_limit""".split()


def source(page):
    return (MAN / page).read_text()


def macros(name, text):
    """The words behind each macro of that name, up to the next macro on the line."""
    return [word for line in text.splitlines() if line.startswith(".") for words in re.findall(rf"(?:^\.|\s){name}((?:\s+(?![A-Z][a-z]\b)\S+)+)", line)
            for word in words.split() if word not in (",", ".", ";", "(", ")", "|")]


def listed(path, macro):
    return re.findall(rf"^\t{macro}\(([\w-]+),", (TOP / path).read_text(), re.M)


def test_every_subcommand_stands_in_tassis_8_and_none_is_left_over():
    commands = set(listed("admin/commands.h", "C")) | set(listed("admin/commands.h", "S")) | set(listed("admin/objects.h", "O")) | {"help"}
    assert len(commands) > 15
    described = source("tassis.8").split(".Sh DESCRIPTION")[1].split(".Sh ENVIRONMENT")[0]
    assert set(re.findall(r"^\.It Cm (\S+)", described, re.M)) == commands
    synopsis = source("tassis.8").split(".Sh SYNOPSIS")[1].split(".Sh DESCRIPTION")[0]
    assert commands <= set(re.findall(r"[\w-]+", synopsis)), commands - set(re.findall(r"[\w-]+", synopsis))
    shown = set(re.findall(r"^  ([a-z]+)", run(TASSIS, "help").stdout, re.M))
    assert shown | {"help"} == commands


def test_every_daemon_and_the_schema_have_a_page_and_every_page_named_is_there():
    daemons = {path.parent.relative_to(TOP).parts[0] for path in TOP.glob("*/main.c")} | {path.parent.relative_to(TOP).parts[0] for path in TOP.glob("*/*/main.c")}
    for name in daemons - {"admin", "sendmail"}:
        assert f"{name.upper()} 8" in source(f"tassis-{name}.8"), name
    assert "TASSIS-SCHEMA 7" in source("tassis-schema.7")
    pages = {path.name for path in MAN.glob("*.[1-9]")}
    named = {f"{name}.{section}" for page in pages for name, section in re.findall(r"^\.(?:It )?Xr (\S+) (\d)", source(page), re.M) if re.match(r"tassis|main\.conf|sendmail|mailq", name)}
    assert named <= pages | {"mailq.1", "mailq.8"}, named - pages
    reached, todo = set(), ["tassis.8"]
    while todo:
        page = todo.pop()
        if page in pages and page not in reached:
            reached.add(page)
            todo += [f"{name}.{section}" for name, section in re.findall(r"Xr (\S+) (\d)", source(page))]
    assert reached == pages, pages - reached


def test_every_setting_stands_in_main_conf_5_once():
    settings = re.findall(r"^\s+SETTING\((\w+),", (TOP / "common/conf/settings.h").read_text(), re.M)
    items = [word for line in re.findall(r"^\.It .*", source("main.conf.5"), re.M) for word in re.findall(r"\b[a-z]+(?:_[a-z]+)*\b", line) if word in settings]
    assert len(settings) > 60 and sorted(set(items)) == sorted(settings)


def settings():
    return set(re.findall(r"^\s+SETTING\((\w+),", (TOP / "common/conf/settings.h").read_text(), re.M))


def test_migration_has_every_setting_that_people_bring_along():
    told = [word for line in re.findall(r"^\.It Li (.*)", source("tassis-migration.7"), re.M) for word in line.split() if word != ","]
    assert not [name for name in NETTY + POSTFIX if name not in told]
    assert len(told) == len(set(told))


def test_migration_names_no_setting_and_no_command_that_is_not_there():
    text = source("tassis-migration.7")
    assert (named := set(macros("Va", text))) and named <= settings(), named - settings()
    verbs = {(line.split(",")[0], line.split(",")[1].strip()) for line in re.findall(r"^\tV\((\w+, \w+),", (TOP / "admin/objects.h").read_text(), re.M)}
    others = {("queue", "list"), ("queue", "flush"), ("config", "Fl"), ("explain", ";"), ("schema", "compat"), ("schema", "upgrade")}
    commands = re.findall(r"Cm tassis (\S+) (\S+)", text) + re.findall(r"^(?:\.Dl )?tassis (\S+) (\S+)$", text, re.M)
    assert len(commands) > 10
    for command in commands:
        assert command in verbs | others or command[0] == "explain", command


def examples():
    listed = source("tassis.8").split("The list of commands begins here")[1].split("The list of commands ends here")[0]
    return [line.replace(r"\(aq", "'") for line in re.findall(r"^\.Dl (.*)", listed, re.M)]


def test_every_example_of_the_commands_works_as_it_stands(make_tassis):
    tassis = make_tassis(sample=False)
    assert len(examples()) == len(listed("admin/objects.h", "V")) >= 37
    for example in examples():
        asked = [("Password", "a long password\n"), ("Once more", "a long password\n")]
        status, shown = at_terminal(tassis, shlex.split(example)[1:], asked if re.search(r"user add|user password|--user", example) else [])
        # DNS knows nothing of this host, and domain check says so by its exit status.
        assert status == (1 if "domain check" in example else 0), (example, shown)
    assert tassis.sql("SELECT local_part, quota_bytes FROM users") == [("ann", 2 << 30)]
    assert tassis.sql("SELECT host, port, tls, username, password FROM routes") == [("smtp.provider.example", 465, "implicit", "me", "a long password")]


def test_help_of_a_verb_shows_the_same_example(tassis_nowhere=("-c", "/nonexistent")):
    for example in examples():
        _, object, verb, *_ = shlex.split(example)
        assert f"\nexample: {example}\n" in run(TASSIS, *tassis_nowhere, object, verb, "--help").stdout


def test_password_of_a_script_is_given_as_the_page_says(make_tassis):
    tassis = make_tassis()
    line = re.search(r"^\.Dl (printf .*)", source("tassis.8"), re.M)[1].replace(r"\(aq", "'").replace(r"\(dq", '"').replace(r"\e", "\\")
    tassis.tassis("user", "add", "ann@test.com", "--no-password")
    run("sh", "-ec", "password='with spaces and $'\n" + line.replace("ann@example.org", "ann@test.com"), env=tassis.environment())
    assert tassis.sql("SELECT password FROM users WHERE local_part = 'ann'")[0][0].startswith("{SCRAM-SHA-256}")
