"""What `make install` puts where, and what `make uninstall` leaves; and that what lies there works."""
import os, re, shutil, stat

import pytest
from harness import LIBEXEC, PREFIX, SHARE, TASSIS, TOP, run, temporary_folder

BUILD = os.environ.get("TASSIS_BUILD", TOP / ".check" / "gcc" / "build")
SYSCONFDIR = ("/etc" if str(PREFIX) in ("/usr", "/usr/local") else f"{PREFIX}/etc") + "/tassis"
PROGRAMS = {"admin", "cluster", "deliverd-local", "deliverd-remote", "lookupd", "master", "queued", "resolvd", "sendmail", "smtpd"}


def make(goal, destdir):
    """With the objects of the build under test as they are (-o: none is made again), and a umask that a careful administrator may have."""
    built = [word for name in PROGRAMS - {"cluster"} for word in ("-o", f"{BUILD}/libexec/{name}")]
    return run("sh", "-c", 'umask 077; exec make -s -C "$0" "$@"', TOP, *built, goal, f"BUILD={BUILD}", f"PREFIX={PREFIX}", f"DESTDIR={destdir}", env={**os.environ, "MAKEFLAGS": ""})


def tree(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


@pytest.fixture
def destdir():
    folder = temporary_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def there(destdir):
    make("install", destdir)
    return lambda path: destdir / str(path).lstrip("/")


def test_everything_lies_below_destdir_under_the_names_of_prefix(destdir, there):
    assert {p.name for p in there(LIBEXEC).iterdir()} == PROGRAMS
    assert {p.name for p in there(SHARE).glob("schema/*.sql")} == {p.name for p in (TOP / "schema").glob("*.sql")}
    assert there(TASSIS).exists() and there(f"{SYSCONFDIR}/main.conf").read_bytes() == (TOP / "etc/main.conf").read_bytes()
    prefix, etc = str(PREFIX).lstrip("/") + "/", SYSCONFDIR.lstrip("/") + "/"
    assert not [name for name in tree(destdir) if not name.startswith((prefix, etc))]


def test_rights_do_not_depend_on_the_umask(there):
    def mode(path):
        return stat.S_IMODE(there(path).stat().st_mode)

    assert mode(TASSIS) == mode(LIBEXEC / "master") == mode(LIBEXEC) == mode(SYSCONFDIR) == 0o755
    assert mode(SHARE / "schema/sample.sql") == 0o644
    assert mode(f"{SYSCONFDIR}/main.conf") == 0o640  # it may hold the database's password


def test_script_and_pages_name_the_paths_of_prefix_and_never_destdir(destdir, there):
    texts = [there(TASSIS)] + list(there(f"{PREFIX}/share/man").rglob("*.[1-9]"))
    for path in texts:
        assert str(destdir) not in path.read_text() and not re.search("@[A-Z]+@", path.read_text()), path
    assert str(LIBEXEC) in there(TASSIS).read_text() and f"{SYSCONFDIR}/main.conf" in there(TASSIS).read_text()


def test_every_manual_page_is_installed_in_its_section(there):
    pages = list((TOP / "man").glob("*.[1-9]"))
    assert pages
    for page in pages:
        assert there(f"{PREFIX}/share/man/man{page.suffix[1:]}/{page.name}").stat().st_size > 500, page.name


def test_second_install_keeps_the_administrators_main_conf(destdir, there):
    mine = there(f"{SYSCONFDIR}/main.conf")
    mine.write_text("hostname = mine.example\n")
    there(SHARE / "main.conf").write_text("old\n")
    make("install", destdir)
    assert mine.read_text() == "hostname = mine.example\n"
    assert there(SHARE / "main.conf").read_bytes() == (TOP / "etc/main.conf").read_bytes()


def test_uninstall_leaves_main_conf_and_what_others_put_there(destdir, there):
    neighbour = there(f"{PREFIX}/sbin/neighbour")
    neighbour.write_text("")
    make("uninstall", destdir)
    assert tree(destdir) == {str(p.relative_to(destdir)) for p in (neighbour, there(f"{SYSCONFDIR}/main.conf"))}


def test_version_and_help_need_no_configuration():
    nowhere = {"PATH": os.environ["PATH"], "MAIN_CONF": "/nonexistent/main.conf"}
    assert re.fullmatch(r"tassis \d+\.\d+\.\d+\n", run(TASSIS, "version", env=nowhere).stdout)
    text = run(TASSIS, "help", env=nowhere).stdout
    for word in ("start", "stop", "restart", "reload", "status", "check", "config", "queue", "schema", "version"):
        assert re.search(rf"^  {word}\b", text, re.M), f"{word} is not in\n{text}"
    assert run(TASSIS, env=nowhere).stdout == text


def test_word_that_is_no_command_is_a_mistake_of_usage():
    done = run(TASSIS, "strat", check=False)
    assert done.returncode == 2 and "start" in done.stderr and not done.stdout
    assert run(TASSIS, "-c", check=False).returncode == 2


def test_shipped_main_conf_sets_its_ports_and_nothing_else():
    done = run(TASSIS, "-c", TOP / "etc/main.conf", "config", "-n")
    assert {line.split(" = ")[0] for line in done.stdout.splitlines()} == {"listen"}
    ports = {line.rsplit(":", 1)[1] for line in done.stdout.splitlines()}
    assert ports == {"25 smtp starttls", "587 submission required", "465 submission implicit"}
