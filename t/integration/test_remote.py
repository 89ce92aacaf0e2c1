"""The far end as it is met: refusing, slow, closing at every stage; each recipient by itself, in the far end's words."""
import email, subprocess

import pytest
from far_end import ZONE, FarEnd
from harness import wait_for
from test_thread import submit

TIMEOUTS = [f"delivery_{what}_timeout" for what in ("connect", "greeting", "mail", "rcpt", "data", "block", "end")]
QUICK = {"queue_retry_min": "1s", "queue_retry_max": "1s", **{name: "2s" for name in TIMEOUTS}}


@pytest.fixture
def near(make_tassis):
    def make(far, zone=ZONE, **settings):
        return make_tassis(zone=zone, settings={"delivery_port": far.port, **QUICK, **settings}).start()

    return make


def bounce(tassis):
    message = tassis.wait_message("Content-Type: message/delivery-status")
    return email.message_from_bytes(message)


def test_refused_recipient_bounces_with_the_far_ends_words(near):
    with FarEnd({"RCPT bob@far.test": "550 5.1.1 Bob has moved to Brussels"}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test", "eve@far.test"], "one of two\r\n")
        report = bounce(tassis)
        wait_for(lambda: far.messages)
        assert far.messages[0][1] == ["eve@far.test"]
        text = report.as_string()
        assert "Bob has moved to Brussels" in text and "eve@far.test" not in text.split("message/delivery-status")[1].split("rfc822")[0]
        assert report["Return-Path"] == "<>" and report["Auto-Submitted"] == "auto-replied"
        assert "Status: 5.1.1" in text and "Action: failed" in text
        tassis.wait_queue_empty()
        assert len(far.messages) == 1


@pytest.mark.parametrize("stage", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "data"])
@pytest.mark.parametrize("how", ["close", "450 4.2.0 not now", "silent"])
def test_what_fails_for_now_is_tried_again(near, stage, how):
    fine = {"connect": "220 far.test", "DATA": "354 go on", "EHLO": "250-far.test\r\n250 PIPELINING"}.get(stage, "250 2.0.0 fine")
    with FarEnd({stage: [how, fine]}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], f"{stage} {how}\r\n")
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()
        assert [m[2].endswith(f"{stage} {how}\r\n".encode()) for m in far.messages] == [True]
        assert not tassis.messages()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "data"])
def test_what_is_refused_for_good_bounces_at_once(near, stage):
    with FarEnd({stage: "554 5.7.1 not from you"}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"])
        assert "not from you" in bounce(tassis).as_string()
        tassis.wait_queue_empty()
        assert not far.messages


def test_without_pipelining_commands_go_one_by_one(near):
    with FarEnd(extensions=["8BITMIME"]) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test", "eve@far.test"])
        wait_for(lambda: far.messages)
        assert far.messages[0][1] == ["bob@far.test", "eve@far.test"]


def test_host_without_ehlo_is_greeted_with_helo(near):
    with FarEnd({"EHLO": "502 5.5.1 what?"}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert any(line.startswith("C: HELO") for line in far.dialogue)


def test_next_mx_is_tried_when_the_best_is_dead(near):
    with FarEnd() as far:
        tassis = near(far, zone="far.test MX 5 dead.far.test\nfar.test MX 10 mx.far.test\ndead.far.test A 127.0.0.9\nmx.far.test A 127.0.0.1\n")
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        tassis.wait_log(r"next_hop_failed .*dead\.far\.test")


def test_domain_without_mx_is_reached_at_its_address(near):
    with FarEnd() as far:
        tassis = near(far, zone="far.test A 127.0.0.1\n")
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)


def test_null_mx_bounces_at_once(near):
    with FarEnd() as far:
        tassis = near(far, zone="far.test MX 0 .\n")
        submit(tassis, ["bob@far.test"])
        text = bounce(tassis).as_string()
        assert "5.1.10" in text
        assert not far.connections


def test_domain_that_does_not_exist_bounces(near):
    with FarEnd() as far:
        tassis = near(far, zone="other.test A 127.0.0.1\n")
        submit(tassis, ["bob@far.test"])
        assert "5.1.2" in bounce(tassis).as_string()


@pytest.mark.parametrize("how", ["silent", "servfail"])
def test_dns_that_is_ill_bounces_nothing(near, how):
    with FarEnd() as far:
        tassis = near(far, zone=f"* BEHAVIOUR {how}\n", dns_timeout="1s")
        submit(tassis, ["bob@far.test"], "patience\r\n")
        tassis.wait_log(r"deferred .*to=bob@far\.test")
        tassis.set_zone(*ZONE.splitlines())
        wait_for(lambda: far.messages)
        tassis.wait_queue_empty()
        assert not tassis.messages()


def test_truncated_answer_is_asked_for_over_tcp(near):
    with FarEnd() as far:
        tassis = near(far, zone="* BEHAVIOUR truncate\n" + ZONE)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key", "-out", folder / "cert",
                    "-days", "2", "-subj", "/CN=mx.far.test"], check=True, capture_output=True)
    return str(folder / "cert"), str(folder / "key")


def test_starttls_is_used_when_offered(near, certificate):
    with FarEnd(certificate=certificate) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert far.messages[0][3]


def test_what_ehlo_said_before_tls_is_forgotten_after_it(near, certificate):
    with FarEnd({"EHLO": ["250-far.test\r\n250-SIZE 50000000\r\n250 STARTTLS", "502 5.5.1 what?"]}, certificate=certificate) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert far.messages[0][3]
        assert [line for line in far.dialogue if "MAIL" in line] == ["C: MAIL FROM:<test@test.com>"]


def test_early_consent_is_none(near):
    """A far end that is one reply ahead: its 250 is not about the message."""
    with FarEnd({"DATA": ["354 go on\r\n250 2.0.0 taken", "354 go on"], "data": ["close", "250 2.0.0 taken"]}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], "not lost\r\n")
        wait_for(lambda: far.messages)
        assert far.messages[0][2].endswith(b"not lost\r\n")


def test_failed_handshake_goes_on_in_the_clear(near, certificate):
    with FarEnd({"STARTTLS": "220 but no handshake follows"}) as far:
        far.extensions.append("STARTTLS")
        tassis = near(far)
        submit(tassis, ["bob@far.test"])
        wait_for(lambda: far.messages)
        assert not far.messages[0][3]


def test_connection_is_used_again_for_the_next_message(near):
    with FarEnd() as far:
        tassis = near(far)
        for n in range(5):
            submit(tassis, ["bob@far.test"], f"number {n}\r\n")
            wait_for(lambda: len(far.messages) == n + 1)
        assert far.connections == 1


def test_idle_connection_that_died_is_replaced_unnoticed(near):
    with FarEnd({"MAIL": ["250 2.1.0 ok", "close", "250 2.1.0 ok"]}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], "first\r\n")
        wait_for(lambda: len(far.messages) == 1)
        submit(tassis, ["bob@far.test"], "second\r\n")
        wait_for(lambda: len(far.messages) == 2)
        assert "deferred" not in tassis.log_text()


def test_message_over_the_announced_size_bounces(near):
    with FarEnd(extensions=["SIZE 100", "PIPELINING"]) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], "x" * 500 + "\r\n")
        assert "5.3.4" in bounce(tassis).as_string()


def test_lines_that_begin_with_a_dot_arrive_as_they_were(near):
    with FarEnd() as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], ".\r\n..\r\n.end\r\n")
        wait_for(lambda: far.messages)
        assert far.messages[0][2].endswith(b"\r\n\r\n.\r\n..\r\n.end\r\n")


def test_bounce_never_answers_a_bounce(near):
    with FarEnd({"RCPT": "550 5.1.1 no"}) as far:
        tassis = near(far)
        submit(tassis, ["bob@far.test"], sender="")
        tassis.wait_log("notice_dropped")
        tassis.wait_queue_empty()
        assert not tassis.messages()


def test_own_host_as_best_mx_is_a_loop_and_bounces(near):
    with FarEnd() as far:
        tassis = near(far, zone="far.test MX 10 mx.test.com\nmx.test.com A 127.0.0.1\n")
        submit(tassis, ["bob@far.test"])
        assert "5.4.6" in bounce(tassis).as_string()
