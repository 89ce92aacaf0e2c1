# tassis: `make` builds, `make install` installs, `make check` is ./check. Variables that an administrator or a packager may set:
#   PREFIX DESTDIR SYSCONFDIR  where things go        CC CFLAGS LDFLAGS  as ever
#   BUILD=DIR                  where objects go       SANITIZE=address,undefined
#   SENDMAIL_LINKS             what `make install-sendmail` makes
VERSION := 0.2.0
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec/tassis
SHAREDIR ?= $(PREFIX)/share/tassis
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
# Where systemd looks for units; elsewhere they only lie in SHAREDIR.
UNITDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib/systemd/system)
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)/tassis
BUILD ?= build
CC ?= cc
CFLAGS ?= -O2 -g

WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wundef -Wswitch-enum
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
ifneq ($(SANITIZE),)
HARDEN := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -fPIE
endif
PKGS := libevent_core libssl libcrypto libpq libidn2 libpsl libargon2
ALL_CFLAGS := -std=c17 -D_GNU_SOURCE -I. $(WARN) $(HARDEN) $(shell pkg-config --cflags $(PKGS)) \
	-DTASSIS_VERSION='"$(VERSION)"' -DTASSIS_SYSCONFDIR='"$(SYSCONFDIR)"' -DTASSIS_LIBEXECDIR='"$(LIBEXECDIR)"' \
	-DTASSIS_SHAREDIR='"$(SHAREDIR)"' $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
LIBS_common := $(shell pkg-config --libs libevent_core libssl libcrypto libidn2 libpsl libargon2) -lcrypt -lresolv -lpthread
LIBS_lookupd := $(shell pkg-config --libs libpq)
LIBS_admin := $(shell pkg-config --libs libpq)

# A program is a folder; its main.c is the program, the rest is a library that the unit tests link too.
PROGRAMS := master smtpd lookupd resolvd queued deliverd/local deliverd/remote admin sendmail
program_name = $(subst /,-,$(1))
BUILT := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(BUILD)/libexec/$(call program_name,$(p))))

COMMON_SRC := $(wildcard common/*/*.c)
COMMON_OBJ := $(COMMON_SRC:%.c=$(BUILD)/%.o)
UNIT_SRC := $(shell find t/unit -name '*_test.c' 2>/dev/null)
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)

.PHONY: all unit tests fuzz check install install-sendmail accounts uninstall clean FORCE
# Objects of the tests stay, so that a second run builds nothing.
.PRECIOUS: $(BUILD)/%.o
all: $(BUILT)

# Objects and libraries depend on their flags too: another CC or SANITIZE in the same BUILD rebuilds.
FLAGS_NOW := $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD); printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/common.a: $(COMMON_OBJ)
	@rm -f $@; ar crsD $@ $^

define program_rules
SRC_$(1) := $$(filter-out $(1)/main.c,$$(wildcard $(1)/*.c))
$$(BUILD)/$(1).a: $$(SRC_$(1):%.c=$$(BUILD)/%.o)
	@mkdir -p $$(@D); rm -f $$@; ar crsD $$@ $$^
$$(BUILD)/libexec/$(call program_name,$(1)): $$(BUILD)/$(1)/main.o $$(BUILD)/$(1).a $$(BUILD)/common.a
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(LIBS_common)
$$(BUILD)/t/unit/$(1)/%_test: $$(BUILD)/t/unit/$(1)/%_test.o $$(BUILD)/$(1).a $$(BUILD)/common.a
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(LIBS_common) -lcmocka
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

$(BUILD)/t/unit/common/%_test: $(BUILD)/t/unit/common/%_test.o $(BUILD)/common.a
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_common) -lcmocka

# The unit tests' programs and what the other tests need built.
FAULT_BIN := $(if $(wildcard t/fault/inject.c),$(BUILD)/t/fault/inject.so) $(if $(wildcard t/fault/spool_way.c),$(BUILD)/t/fault/spool_way)
DIALOGUE_BIN := $(if $(wildcard t/dialogue/stage.c),$(BUILD)/t/dialogue/stage)
BENCH_BIN := $(if $(wildcard t/bench/fill.c),$(BUILD)/t/bench/fill)
tests: $(UNIT_BIN) $(FAULT_BIN) $(DIALOGUE_BIN) $(BENCH_BIN)

# Loaded into the daemons: without sanitizers of its own.
$(BUILD)/t/fault/inject.so: t/fault/inject.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fPIC -shared -o $@ $< -ldl
$(BUILD)/t/fault/spool_way: $(BUILD)/t/fault/spool_way.o $(BUILD)/common.a
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_common)

# Makes a spool in which many wait.
$(BUILD)/t/bench/fill: $(BUILD)/t/bench/fill.o $(BUILD)/common.a
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_common)

# Plays an smtpd's peers.
$(BUILD)/t/dialogue/stage: $(BUILD)/t/dialogue/stage.o $(BUILD)/common.a
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_common)

# A fuzz target a file; with clang and SANITIZE=fuzzer-no-link,address,undefined.
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard t/fuzz/*.c))
fuzz: $(FUZZ_BIN)
$(BUILD)/t/fuzz/aliases: $(BUILD)/lookupd/aliases.o $(BUILD)/lookupd/name.o $(BUILD)/lookupd/query.o
$(BUILD)/t/fuzz/smtp_reply: $(BUILD)/deliverd/remote/extensions.o
$(BUILD)/t/fuzz/maildirsize: $(BUILD)/deliverd/local/maildirsize.o
$(BUILD)/t/fuzz/mailbox: $(BUILD)/deliverd/local/mailbox.o $(BUILD)/deliverd/local/folder.o $(BUILD)/deliverd/local/subscription.o
$(BUILD)/t/fuzz/%: $(BUILD)/t/fuzz/%.o $(BUILD)/common.a
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS_common)

# Builds and runs every unit test, as many at a time as there are processors; prints what failed, and how many there were.
unit: $(UNIT_BIN)
	@printf '%s\n' $(UNIT_BIN) | xargs -P "$$(nproc)" -n 1 t/tools/run-unit

check:
	./check

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- installing ----

INSTALL ?= install
D = $(DESTDIR)
ACCOUNTS := tassis-in tassis-sub tassis-lookup tassis-dns tassis-queue tassis-out tassis-pg vmail
MAN_PAGES := $(wildcard man/*.[1-9])
UNITS := tassis.service tassis-postgresql.service
# The paths that the script and the pages name are those of this installation.
FILL = sed -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' -e 's|@SHAREDIR@|$(SHAREDIR)|g' -e 's|@SBINDIR@|$(SBINDIR)|g' \
	-e 's|@COMPLETIONDIR@|$(COMPLETIONDIR)|g' -e 's|@VERSION@|$(VERSION)|g'

install: $(BUILT)
	$(INSTALL) -d $(D)$(SBINDIR) $(D)$(LIBEXECDIR) $(D)$(SHAREDIR)/schema $(D)$(SHAREDIR)/dovecot $(D)$(SYSCONFDIR)
	$(INSTALL) -m 755 $(BUILT) admin/cluster $(D)$(LIBEXECDIR)
	$(FILL) master/tassis | $(INSTALL) -m 755 /dev/stdin $(D)$(SBINDIR)/tassis
	ln -sf $(LIBEXECDIR)/sendmail $(D)$(SBINDIR)/tassis-sendmail
	ln -sf $(LIBEXECDIR)/sendmail $(D)$(SBINDIR)/tassis-mailq
	$(INSTALL) -m 644 schema/*.sql $(D)$(SHAREDIR)/schema
	set -e; for lang in etc/templates/*; do $(INSTALL) -d $(D)$(SHAREDIR)/templates/$${lang##*/}; \
		$(INSTALL) -m 644 $$lang/*.txt $(D)$(SHAREDIR)/templates/$${lang##*/}; done
	for file in etc/dovecot/*; do [ ! -f $$file ] || $(INSTALL) -m 644 $$file $(D)$(SHAREDIR)/dovecot; done
	$(INSTALL) -m 644 etc/main.conf $(D)$(SHAREDIR)/main.conf
	set -e; for dir in $(SHAREDIR) $(UNITDIR); do $(INSTALL) -d $(D)$$dir; for unit in $(UNITS); do \
		$(FILL) etc/$$unit | $(INSTALL) -m 644 /dev/stdin $(D)$$dir/$$unit; done; done
	$(INSTALL) -d $(D)$(SHAREDIR)/fail2ban/filter.d $(D)$(SHAREDIR)/fail2ban/jail.d
	$(INSTALL) -m 644 etc/fail2ban/filter.d/tassis.conf $(D)$(SHAREDIR)/fail2ban/filter.d
	$(INSTALL) -m 644 etc/fail2ban/jail.d/tassis.conf $(D)$(SHAREDIR)/fail2ban/jail.d
	$(INSTALL) -d $(D)$(COMPLETIONDIR)
	$(INSTALL) -m 644 etc/completion/tassis.bash $(D)$(COMPLETIONDIR)/tassis
	[ -e $(D)$(SYSCONFDIR)/main.conf ] || $(INSTALL) -m 640 etc/main.conf $(D)$(SYSCONFDIR)/main.conf
	set -e; for page in $(MAN_PAGES); do \
		section=$${page##*.}; $(INSTALL) -d $(D)$(MANDIR)/man$$section; \
		$(FILL) $$page | $(INSTALL) -m 644 /dev/stdin $(D)$(MANDIR)/man$$section/$${page##*/}; done
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then $(MAKE) -s accounts; fi

# The names that other programs call. They may be another mail server's; then nothing is done.
SENDMAIL_LINKS ?= $(SBINDIR)/sendmail $(PREFIX)/bin/mailq $(PREFIX)/bin/newaliases
install-sendmail:
	@set -e; for link in $(SENDMAIL_LINKS); do \
		if [ -e $(D)$$link -o -L $(D)$$link ] && [ "$$(readlink $(D)$$link)" != $(LIBEXECDIR)/sendmail ]; then \
			echo "$(D)$$link is another program's (\`dpkg -S $$link\` says whose): remove that, or \`dpkg-divert --local --rename --add $$link\`" >&2; exit 1; fi; done
	@set -e; for link in $(SENDMAIL_LINKS); do $(INSTALL) -d $(D)$$(dirname $$link); ln -sf $(LIBEXECDIR)/sendmail $(D)$$link; done

# As root: the accounts of the daemons; see ARCHITECTURE.md.
accounts:
	@set -e; for a in $(ACCOUNTS); do getent passwd $$a > /dev/null || \
		useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --user-group $$a; done

# What install put there goes; main.conf, the accounts and all data stay.
uninstall:
	rm -f $(D)$(SBINDIR)/tassis $(D)$(SBINDIR)/tassis-sendmail $(D)$(SBINDIR)/tassis-mailq
	for link in $(SENDMAIL_LINKS); do [ "$$(readlink $(D)$$link)" != $(LIBEXECDIR)/sendmail ] || rm -f $(D)$$link; done
	rm -rf $(D)$(LIBEXECDIR) $(D)$(SHAREDIR)
	[ -z "$(UNITDIR)" ] || for unit in $(UNITS); do rm -f $(D)$(UNITDIR)/$$unit; done
	rm -f $(D)$(COMPLETIONDIR)/tassis
	for page in $(notdir $(MAN_PAGES)); do rm -f $(D)$(MANDIR)/man$${page##*.}/$$page; done
