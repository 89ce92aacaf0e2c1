"""What systemd is told and what its sandbox leaves: the unit file, sd_notify's words, the capabilities and the system calls. There need be no systemd here."""
import contextlib, os, pathlib, re, shutil, signal, socket, subprocess

import pytest
from harness import AS_ROOT, LIBEXEC, PATIENCE, SANITIZED, SHARE, TASSIS, TOP, run, wait_for
from test_thread import submit

UNIT = SHARE / "tassis.service"


def unit(name, path=UNIT):
    """What stands behind NAME= in the unit."""
    return re.findall(rf"^{name}=(.*)$", path.read_text(), re.M)


# -- the unit file


@pytest.mark.parametrize("name", ["tassis.service", "tassis-postgresql.service"])
def test_unit_file_is_one_that_systemd_takes(name):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here")
    done = run("systemd-analyze", "verify", "--man=no", SHARE / name, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "tassis" in line]
    assert done.returncode == 0 and not said, done.stdout + done.stderr


def test_unit_names_the_programs_of_this_installation():
    assert unit("ExecStart") == [f"{LIBEXEC}/master -f"] and unit("ExecReload") == [f"{TASSIS} reload"]
    assert unit("Type") == ["notify"] and "@" not in re.sub("@system-service|@reboot", "", UNIT.read_text())
    words = unit("ExecStart", SHARE / "tassis-postgresql.service")[0].split()
    assert words[0] == f"{LIBEXEC}/cluster" and os.access(words[0], os.X_OK)
    # what main.conf assumes
    assert words[2:] == ["/var/lib/tassis/postgresql", "/run/tassis/postgresql"]


def test_unit_may_write_where_main_conf_puts_things_by_default(tassis):
    writable = unit("ReadWritePaths")[0].split() + [f"/var/lib/{name}" for name in unit("StateDirectory")]
    empty = tassis.folder / "empty.conf"
    empty.write_text("")
    for name in ("spool_dir", "mail_dir", "state_dir", "log_file"):
        path = pathlib.Path(run(TASSIS, "-c", empty, "config", name).stdout.strip())
        assert any(str(p) in writable for p in [path, *path.parents]), (name, path)


def test_manual_names_the_capabilities_of_the_unit():
    page = (TOP / "man/tassis-master.8").read_text()
    assert set(re.findall(r"CAP_[A-Z_]+", page)) == set(unit("CapabilityBoundingSet")[0].split())


def test_units_go_where_systemd_looks_below_usr_and_to_share_elsewhere():
    for prefix, folder in (("/usr", "/usr/lib/systemd/system"), ("/usr/local", "/usr/local/lib/systemd/system"), ("/opt/tassis", "/opt/tassis/share/tassis")):
        said = run("make", "-n", "-C", TOP, "install", f"PREFIX={prefix}", "DESTDIR=/nonexistent", "BUILD=/nonexistent/build", env={**os.environ, "MAKEFLAGS": ""}).stdout
        line = next(line for line in said.splitlines() if "tassis.service" in line or "for dir in" in line)
        assert folder in line.partition("for dir in ")[2].partition(";")[0].split(), line


# -- sd_notify


@pytest.fixture(params=["path", "abstract"])
def notified(request, make_tassis):
    """A tassis that has a socket to tell; and what it said, a datagram each."""
    tassis = make_tassis(settings={"log_level": "info"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        name = f"@tassis-test-{os.getpid()}-{tassis.smtp_port}" if request.param == "abstract" else str(tassis.folder / "notify")
        s.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        if request.param == "path":
            os.chmod(name, 0o666)
        s.settimeout(PATIENCE * 2)
        tassis.under = ["env", f"NOTIFY_SOCKET={name}"]
        yield tassis, lambda: s.recv(4096).decode()


def launch(tassis):
    """master in the foreground, without waiting for anything."""
    tassis.master = subprocess.Popen([*tassis.under, LIBEXEC / "master", "-c", tassis.main_conf, "-f"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=tassis.environment())


def test_systemd_hears_ready_when_the_smtp_port_answers_then_reloading_and_stopping(notified):
    tassis, hear = notified
    launch(tassis)
    assert hear() == "READY=1"
    with socket.create_connection((tassis.address, tassis.smtp_port), timeout=PATIENCE) as s:
        s.settimeout(1)  # all are ready: it does not take long
        assert s.recv(100).startswith(b"220 ")
    assert " runs: " in tassis.tassis("status").stdout
    assert tassis.reload(smtp_max_recipients=500).returncode == 0
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", hear())
    assert hear() == "READY=1"
    assert " runs: " in tassis.tassis("status").stdout
    tassis.master.send_signal(signal.SIGTERM)
    assert hear() == "STOPPING=1"
    assert tassis.master.wait(PATIENCE * 3) == 0


def test_systemd_hears_nothing_of_a_reload_that_was_refused(notified):
    tassis, hear = notified
    launch(tassis)
    assert hear() == "READY=1"
    assert tassis.reload(smtp_workerz=3).returncode == 1
    tassis.master.send_signal(signal.SIGTERM)
    assert hear() == "STOPPING=1"


def test_ready_is_not_said_before_every_daemon_is_ready(notified):
    """With a lookupd that never gets ready nobody is told so."""
    tassis, hear = notified
    programs = tassis.folder / "programs"
    programs.mkdir()
    for program in LIBEXEC.iterdir():
        (programs / program.name).symlink_to(program)
    (programs / "lookupd").unlink()
    (programs / "lookupd").write_text("#!/bin/sh\nexec sleep 1000\n")
    (programs / "lookupd").chmod(0o755)
    tassis.under += ["env", f"TASSIS_LIBEXEC={programs}"]
    launch(tassis)
    wait_for(lambda: "smtpd" in tassis.processes().values() and re.search(r"smtpd/\d+ +smtp +pid \d+ +ready", tassis.tassis("status", check=False).stdout), what="smtpd to be ready")
    tassis.master.send_signal(signal.SIGTERM)
    assert hear() == "STOPPING=1"


def test_master_in_the_background_tells_systemd_nothing(notified):
    tassis, hear = notified
    try:
        run(*tassis.under, TASSIS, "-c", tassis.main_conf, "start", env=tassis.environment())
    finally:
        tassis.tassis("stop", check=False)
    with pytest.raises(TimeoutError):
        # nothing is under way any more
        hear.__closure__[0].cell_contents.settimeout(0.2)
        hear()


# -- the sandbox


def capabilities():
    return [word.lower().removeprefix("cap_") for word in unit("CapabilityBoundingSet")[0].split()]


def sandboxed(tassis, capabilities):
    """master under no_new_privs and with these capabilities alone, as the unit gives them."""
    tassis.under = ["setpriv", "--no-new-privs", "--bounding-set", "-all" + "".join(f",+{c}" for c in capabilities)]
    return tassis


def restricted_port():
    """Ports below 1024 take a capability, if this host does not allow them to all."""
    if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 1024:
        return None
    for port in range(1023, 600, -1):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port
    return None


needs_setpriv = pytest.mark.skipif(not AS_ROOT or SANITIZED or not shutil.which("setpriv"), reason="takes root, setpriv, and accounts")


@needs_setpriv
def test_capabilities_of_the_unit_are_enough(make_tassis):
    """Start, mail in and out, reload, a stuck process, stop."""
    tassis = make_tassis()
    if port := restricted_port():
        tassis.smtp_port = port
        tassis.write_conf(listen=[f"127.0.0.1:{port} smtp starttls", *tassis.settings["listen"][1:]])
    sandboxed(tassis, capabilities()).start()
    tassis.send(text="in the sandbox\r\n")
    tassis.wait_message("in the sandbox")
    submit(tassis, ["test@test.com"], "submitted in the sandbox\r\n")
    tassis.wait_message("submitted in the sandbox")
    assert tassis.reload(smtp_max_recipients=500).returncode == 0
    before = tassis.processes("queued")
    tassis.kill("queued")
    wait_for(lambda: (now := tassis.processes("queued")) and now.keys() != before.keys(), what="another queued")
    tassis.send(text="after a reload\r\n")
    tassis.wait_message("after a reload")
    tassis.wait_queue_empty()
    tassis.stop()
    assert not [line for line in tassis.log_text().splitlines() if re.search(" (start_failed|spool_failed|file_unusable) ", line)]


def refuses_to_start(tassis):
    return subprocess.run([*tassis.under, LIBEXEC / "master", "-c", tassis.main_conf], stdin=subprocess.DEVNULL, capture_output=True, env=tassis.environment(), timeout=PATIENCE * 3).returncode != 0


@needs_setpriv
@pytest.mark.parametrize("missing", ["net_bind_service", "chown", "fsetid", "dac_override", "setuid", "setgid", "sys_chroot", "fowner"])
def test_none_of_the_capabilities_of_the_unit_can_be_left_out(make_tassis, missing):
    tassis = make_tassis()
    if missing == "net_bind_service":
        if not (port := restricted_port()):
            pytest.skip("all may bind all ports here")
        tassis.write_conf(listen=f"127.0.0.1:{port} smtp starttls")
    sandboxed(tassis, [c for c in capabilities() if c != missing])
    try:
        if refuses_to_start(tassis):
            return
        # It started; the folder of a worker has not what it needs, or queued cannot do its work.
        if missing == "fsetid":
            assert not any((p.stat().st_mode & 0o2000) for p in (tassis.spool / "incoming").iterdir())
        else:
            pytest.fail(f"starts without {missing}")
    finally:
        tassis.tassis("stop", check=False)


@needs_setpriv
def test_cap_kill_is_what_a_signal_to_another_account_takes():
    """No start takes it; the end of a process that is stuck does."""
    with subprocess.Popen(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sleep", "60"]) as other:
        try:
            wait_for(lambda: os.stat(f"/proc/{other.pid}").st_uid != 0, what="a process of nobody's")
            for given in (capabilities(), [c for c in capabilities() if c != "kill"]):
                done = run("setpriv", "--no-new-privs", "--bounding-set", "-all" + "".join(f",+{c}" for c in given), "sh", "-c", f"kill -0 {other.pid}", check=False)
                assert (done.returncode == 0) == ("kill" in given), done.stderr
        finally:
            other.kill()


def allowed_calls():
    """The system calls of the unit's filter, sets opened."""
    def members(name):
        found = set()
        for line in run("systemd-analyze", "syscall-filter", name).stdout.splitlines()[1:]:
            word = line.split("#")[0].strip()
            found |= members(word) if word.startswith("@") else {word} - {""}
        return found

    calls = set()
    for word in unit("SystemCallFilter")[0].split():
        calls |= members(word) if word.startswith("@") else {word}
    return calls


@pytest.mark.skipif(SANITIZED, reason="a sanitizer makes calls of its own")
def test_every_system_call_of_a_day_is_in_the_filter_of_the_unit(make_tassis):
    for tool in ("strace", "systemd-analyze"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} here")
    tassis = make_tassis()
    trace = tassis.folder / "log" / "strace"
    tassis.under = ["strace", "-f", "-qq", "-c", "-S", "calls", "-U", "name,calls", "-o", trace]
    tassis.start()
    tassis.send(text="traced\r\n")
    tassis.wait_message("traced", seconds=PATIENCE * 2)
    submit(tassis, ["test@test.com"], "submitted\r\n")
    tassis.wait_message("submitted", seconds=PATIENCE * 2)
    assert tassis.reload(smtp_max_recipients=500).returncode == 0
    tassis.wait_queue_empty()
    tassis.tassis("stop")
    tassis.master.wait(PATIENCE)
    tassis.master = None
    used = {line.split()[0] for line in trace.read_text().splitlines()[2:] if re.match(r"[a-z_0-9]+ +\d+", line)} - {"total"}
    assert len(used) > 40, trace.read_text()
    assert not used - allowed_calls(), f"not in the filter: {used - allowed_calls()}"
    # And none that the other lines of the unit forbid: no new namespaces, no other kinds of sockets.
    assert not used & {"unshare", "setns", "mount", "ptrace", "init_module", "bpf"}
