"""Every refusal is one line that tassis-log(5) describes and that the shipped filter of fail2ban finds; nothing else is found. The lines are those of real refusals."""
import base64, re, smtplib, socket

import pytest
from harness import PATIENCE, SHARE, TOP, Tassis, run, wait_for
from test_thread import ANY_CERTIFICATE, submit

FILTER = SHARE / "fail2ban" / "filter.d" / "tassis.conf"


@pytest.fixture(scope="module")
def regex():
    """fail2ban-regex: the lines of a log that the filter matches in a mode."""
    done = run(TOP / "t/tools/fail2ban-regex", TOP / ".check/fail2ban", check=False)
    if done.returncode != 0:
        pytest.skip("fail2ban cannot be had: " + done.stderr.strip().splitlines()[-1])

    def matched(log, mode="normal"):
        said = run(*done.stdout.split(), "--print-all-matched", log, f"{FILTER}[mode={mode}]", check=False).stdout
        section = said.partition("|- Matched line(s):")[2].partition("`-")[0]
        lines = [line.removeprefix("|  ") for line in section.splitlines() if line.strip("| ")]
        assert f" {len(lines)} matched" in said, said
        return lines

    return matched


@pytest.fixture(scope="module")
def refused(cluster):
    """A tassis that has refused one of each, and received and sent mail besides. Its clients come from 127.0.0.2."""
    tassis = Tassis(cluster, settings={"log_level": "debug", "auth_failure_wait": "0s", "smtp_max_connections": 12})
    try:
        tassis.start()
        with smtplib.SMTP(tassis.address, tassis.smtp_port, timeout=PATIENCE, source_address=("127.0.0.2", 0)) as client:
            client.ehlo('x" reply=550 authentication_refused client=192.0.2.66 reply=535 y')
            client.ehlo("client.example.org")
            assert client.mail("test@test.com", ["SIZE=99999999999"])[0] == 552
            assert client.mail("ann@example.org")[0] == 250
            assert client.rcpt("nobody@test.com")[0] == 550
            assert client.rcpt("bob@elsewhere.example")[0] == 550
            assert client.rcpt("test@test.com")[0] == 250
            assert client.data("Subject: mail\r\n\r\nauthentication_refused client=192.0.2.66 reply=535 \r\n")[0] == 250
        with smtplib.SMTP_SSL(tassis.address, tassis.smtps_port, timeout=PATIENCE, source_address=("127.0.0.2", 0), context=ANY_CERTIFICATE) as client:
            client.ehlo("laptop.example")
            for user in ("test@test.com", 'x" reply=535 client=192.0.2.66 "', "client=192.0.2.66"):
                assert client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0wrong".encode()).decode())[0] == 535
        submit(tassis, ["test@test.com"], "and a good login\r\n")
        held = []
        while not re.search("client_refused client=127.0.0.2", tassis.log_text()) and len(held) < 40:
            held.append(socket.create_connection((tassis.address, tassis.smtp_port), timeout=PATIENCE, source_address=("127.0.0.2", 0)))
            held[-1].recv(100)
        for s in held:
            s.close()
        wait_for(lambda: "and a good login" in str(tassis.messages()))
        yield tassis
    finally:
        tassis.end()


def events(lines):
    return sorted(re.search(r" (\w+_refused) ", line)[1] for line in lines)


def test_every_refusal_is_one_line_with_the_clients_address(refused):
    text = refused.log_text()
    for event, n in (("sender_refused", 1), ("recipient_refused", 2), ("authentication_refused", 3)):
        lines = re.findall(rf"(?m)^\S+Z smtpd/\d+\[\d+\] \S+ {event} (?:session=\S+ )?client=127\.0\.0\.2 .*reply=5\d\d status=5\.\S+ reason=.+$", text)
        assert len(lines) == n == text.count(f" {event} "), (event, lines)
    assert re.search(r'(?m)^\S+Z smtpd/\d+\[\d+\] - client_refused client=127\.0\.0\.2 listener=".+" status=4\.3\.2 reason=.+$', text)


@pytest.mark.parametrize("mode,expected", [
    ("auth", {"authentication_refused": 3}),
    ("normal", {"authentication_refused": 3, "sender_refused": 1, "recipient_refused": 2}),
    ("aggressive", {"authentication_refused": 3, "sender_refused": 1, "recipient_refused": 2, "client_refused": None}),
])
def test_filter_finds_each_refusal_and_nothing_else(refused, regex, mode, expected):
    found = events(regex(refused.log, mode))
    for event, n in expected.items():
        assert found.count(event) == (n or refused.log_text().count(f" {event} ")), (event, found)
    assert set(found) == set(expected)


def test_filter_bans_the_client_and_not_whom_it_names(refused, regex):
    for line in regex(refused.log, "aggressive"):
        assert re.search(r"_refused (?:session=\S+ )?client=127\.0\.0\.2 ", line)


def test_filter_reads_what_the_systems_log_keeps_too(refused, regex):
    """rsyslog's two forms; the line behind the time is ours."""
    for time in ("Nov 25 17:20:22 mail", "2026-11-25T17:20:22.484943+01:00 mail"):
        log = refused.folder / "log" / "mail.log"
        log.write_text(re.sub(r"(?m)^\S+Z (\S+\]) ", rf"{time} tassis/\1: ", refused.log_text()))
        assert events(regex(log)) == events(regex(refused.log)) != []


def test_refusal_that_is_not_the_clients_doing_is_not_found(refused, regex):
    log = refused.folder / "log" / "temporary.log"
    lines = [re.sub(r"(reply=|status=)5", r"\g<1>4", line) for line in refused.log_text().splitlines() if re.search("(sender|recipient|authentication)_refused ", line)]
    log.write_text("\n".join(lines) + "\n")
    assert lines and regex(log, "aggressive") == []


def test_jail_names_the_filter_and_the_ports_of_main_conf():
    text = (SHARE / "fail2ban" / "jail.d" / "tassis.conf").read_text()
    assert re.search(r"(?m)^filter = tassis\[mode=(auth|normal|aggressive)\]$", text)
    for name in re.search(r"(?m)^port = (.*)$", text)[1].split(","):
        assert socket.getservbyname(name, "tcp") in (25, 465, 587)
