/* master/files.h: what daemons cannot open themselves and master hands over: settings, the log, certificate, key, resolv.conf, aliases, the
 * certificates of the authorities that delivery trusts.
 * Touches: those files, read-only, but for the log and the self-signed pair below state_dir, which it makes.
 *
 * Certificate and key are read once, checked as a pair and handed over as sealed copies, so that no daemon sees half a renewal; of the certificate's
 * file only the certificates, because the key may stand beside them. What lies there as PKCS#12, or encrypted, is handed over in PEM, open. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

#define FILES_RESOLV_CONF "/etc/resolv.conf"

/* What of a file tells that it has changed. */
struct stamp {
	bool there;
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct files {
	int log;
	int settings_public, settings_secret;
	int certificate, key;
	int aliases; /* a copy of aliases_file, empty where there is none; -1: it cannot be read */
	int authorities; /* delivery_tls_ca; -1: it cannot be used, which delivery_tls_trust = any allows */
	int templates; /* the texts of notices (templates.h) */
	int resolv; /* -1: dns_servers are given, or there is no such file */
	char *certificate_path, *key_path;
	struct stamp certificate_stamp, key_stamp, resolv_stamp, aliases_stamp, authorities_stamp, syslog_stamp;
};

/* An empty one: nothing open. */
void files_init(struct files *f);
void files_fini(struct files *f);
/* Opens and checks all for these settings, into an empty f, which is empty again after a failure. terminal: where log_to = stderr goes. why says which file and what is wrong. */
MUST_USE bool files_load(struct files *f, const struct settings *s, int terminal, struct fault *why);
/* Opens the log anew, after a rotation. On failure the old one stays. */
MUST_USE bool files_log_reopen(struct files *f, const struct settings *s, int terminal, struct fault *why);

/* Do both hand over the same private key? */
bool files_same_key(const struct files *a, const struct files *b);

enum files_look { FILES_SAME, FILES_CHANGED, FILES_REFUSED };
/* Has the pair (resolv.conf, aliases_file, delivery_tls_ca, the system log's socket) changed since it was taken? CHANGED: f holds the new one. REFUSED: the new one cannot be used, why says it, and the old one
 * stays; it is said once for each change. */
enum files_look files_look_pair(struct files *f, const struct settings *s, struct fault *why);
enum files_look files_look_resolv(struct files *f, const struct settings *s, struct fault *why);
enum files_look files_look_aliases(struct files *f, const struct settings *s, struct fault *why);
enum files_look files_look_authorities(struct files *f, const struct settings *s, struct fault *why);
enum files_look files_look_syslog(struct files *f, const struct settings *s, int terminal, struct fault *why);
