/* common/conf/settings.h: every setting of main.conf, once. From this list come the struct, the parser, the checks,
 * `tassis config`, the commented part of etc/main.conf and the list in main.conf(5).
 * Touches: nothing; the text is given. The default is text too and goes through the parser.
 *
 *	SETTING(name, TYPE, default, min, max, WHEN, WHO, text)
 *
 * TYPE      in the struct   written as
 * TEXT      struct slice    anything to the end of the line; min is the pattern's name or ""; empty only where the default is
 * NUMBER    uint64_t        digits
 * SIZE      uint64_t        octets, with k, M or G (1024)
 * DURATION  uint64_t (ms)   ms, s, min, h, d: "5min"
 * BOOL      bool            yes or no
 * CHOICE    unsigned        one of the words in min, "a|b|c"; the value is its place
 * LINES     struct slices   a line each: the name may be given several times; max is ""
 *
 * A # begins a comment only at the beginning of a line; blanks around name and value do not count.
 * WHEN: ON_RELOAD or ON_RESTART, when a change takes effect. WHO: ALL daemons may read it, or SECRET: lookupd alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

#define SETTINGS(SETTING)                                                                                                 \
	SETTING(hostname, TEXT, "", "domain", "", ON_RELOAD, ALL,                                                         \
		"The name of this host in greetings, Received fields and message ids. Empty: what the system says, if "     \
		"it is a full domain name.")                                                                                \
	SETTING(listen, LINES, "", "listener", "", ON_RESTART, ALL,                                                       \
		"A line each: ADDRESS:PORT KIND TLS. KIND is smtp (other hosts) or submission (users). TLS is none, "         \
		"starttls (offered), required (STARTTLS before MAIL and AUTH) or implicit.")                                \
	SETTING(accounts, CHOICE, "auto", "auto|caller", "", ON_RESTART, ALL,                                             \
		"auto: when started as root, each daemon runs under its own account, in a chroot where it can. caller: "      \
		"all run as the user who started them.")                                                                    \
	SETTING(spool_dir, TEXT, "/var/spool/tassis", "path", "", ON_RESTART, ALL,                                        \
		"Where messages wait, with the sockets of the daemons. Another than the default stands in sendmail.conf "   \
		"too, for the programs of users: tassis-sendmail(1).")                                                    \
	SETTING(mail_dir, TEXT, "/var/mail/tassis", "path", "", ON_RESTART, ALL,                                          \
		"Where Maildirs are: DOMAIN/LOCAL-PART below it, unless the user's row says otherwise.")                    \
	SETTING(spool_sync_directory, BOOL, "no", "", "", ON_RESTART, ALL,                                                \
		"Sync the folder too when a message is committed. Needed on file systems other than ext4, XFS and btrfs.")  \
	SETTING(log_to, CHOICE, "syslog", "syslog|stderr|file", "", ON_RELOAD, ALL, "Where log lines go.")                 \
	SETTING(log_file, TEXT, "/var/log/tassis.log", "path", "", ON_RELOAD, ALL, "The file, with log_to = file.")        \
	SETTING(log_level, CHOICE, "info", "error|warning|info|debug", "", ON_RELOAD, ALL, "What is logged.")             \
	SETTING(database, TEXT, "host=/run/tassis/postgresql dbname=tassis user=tassis_lookup", "", "", ON_RELOAD, SECRET, \
		"PostgreSQL's connection string for lookupd, as libpq takes it. Several hosts may be named.")               \
	SETTING(database_admin, TEXT, "host=/run/tassis/postgresql dbname=tassis user=tassis", "", "", ON_RELOAD, SECRET, \
		"The connection string of the schema's owner, for the admin commands.")                                     \
	SETTING(database_timeout, DURATION, "5s", "100ms", "1min", ON_RELOAD, ALL,                                        \
		"How long one question to PostgreSQL may take.")                                                            \
	SETTING(lookup_workers, NUMBER, "2", "1", "64", ON_RESTART, ALL, "How many lookupd run.")                          \
	SETTING(lookup_ttl, DURATION, "60s", "1s", "1d", ON_RELOAD, ALL,                                                  \
		"How long a cached answer lives while PostgreSQL's notifications do not come.")                             \
	SETTING(lookup_stale_max, DURATION, "1h", "0s", "7d", ON_RELOAD, ALL,                                             \
		"How long a known answer is served while PostgreSQL is away.")                                              \
	SETTING(lookup_cache, SIZE, "64M", "1M", "4G", ON_RELOAD, ALL, "Memory for cached answers in each lookupd.")       \
	SETTING(query_domain, TEXT, "", "", "", ON_RELOAD, ALL, "Replaces the query for a domain; see tassis-schema(7).")  \
	SETTING(query_user, TEXT, "", "", "", ON_RELOAD, ALL, "Replaces the query for a user.")                            \
	SETTING(query_alias, TEXT, "", "", "", ON_RELOAD, ALL, "Replaces the query for an alias.")                         \
	SETTING(query_relay, TEXT, "", "", "", ON_RELOAD, ALL, "Replaces the query for a relay.")                          \
	SETTING(query_route, TEXT, "", "", "", ON_RELOAD, ALL, "Replaces the query for a route.")                          \
	SETTING(query_dkim, TEXT, "", "", "", ON_RELOAD, ALL,                                                             \
		"Replaces the query for the keys that sign a domain's mail.")                                             \
	SETTING(dns_servers, LINES, "", "dns_server", "", ON_RELOAD, ALL,                                                 \
		"A line each: ADDRESS or ADDRESS:PORT, with the word trusted behind it where its AD bit counts. None: those " \
		"of /etc/resolv.conf.")                                                                                     \
	SETTING(dns_timeout, DURATION, "10s", "100ms", "2min", ON_RELOAD, ALL,                                            \
		"How long one question may take, tries included.")                                                          \
	SETTING(dns_cache, SIZE, "32M", "1M", "1G", ON_RELOAD, ALL, "Memory for cached answers.")                          \
	SETTING(smtp_workers, NUMBER, "0", "0", "256", ON_RESTART, ALL,                                                   \
		"How many smtpd run for each kind of listener. 0: one a core.")                                             \
	SETTING(smtp_max_connections, NUMBER, "2000", "1", "100000", ON_RELOAD, ALL,                                      \
		"How many connections one smtpd holds; further ones get 421 4.3.2.")                                        \
	SETTING(smtp_max_connections_client, NUMBER, "100", "1", "100000", ON_RELOAD, ALL,                                \
		"How many of them one client address may hold in one smtpd; loopback is not counted.")                      \
	SETTING(smtp_command_timeout, DURATION, "5min", "1s", "1h", ON_RELOAD, ALL,                                       \
		"How long a client may take over one command. RFC 5321 4.5.3.2.7 asks for at least five minutes.")          \
	SETTING(smtp_data_timeout, DURATION, "5min", "1s", "1h", ON_RELOAD, ALL,                                          \
		"How long a client may be silent within a message.")                                                        \
	SETTING(smtp_lookup_timeout, DURATION, "10s", "100ms", "2min", ON_RELOAD, ALL,                                    \
		"How long a session waits for an answer from another daemon before it says 451 4.3.0.")                     \
	SETTING(smtp_max_recipients, NUMBER, "1000", "100", "50000", ON_RELOAD, ALL,                                      \
		"Recipients a message may have. RFC 5321 4.5.3.1.8 asks for at least 100.")                                 \
	SETTING(smtp_max_errors, NUMBER, "20", "1", "1000", ON_RELOAD, ALL,                                               \
		"After so many refused commands a session ends with 421.")                                                  \
	SETTING(smtp_client_name, BOOL, "yes", "", "", ON_RELOAD, ALL, "Whether DNS is asked for the client's name.")      \
	SETTING(smtp_auth, BOOL, "yes", "", "", ON_RELOAD, ALL,                                                           \
		"Whether AUTH is offered. On the ports of users nobody can send without it.")                             \
	SETTING(auth_authzid, CHOICE, "ignore", "ignore|match", "", ON_RELOAD, ALL,                                       \
		"What becomes of an authorisation identity that AUTH PLAIN names beside the user: it is ignored, or "     \
		"it must be the user.")                                                                                   \
	SETTING(auth_sender, CHOICE, "own", "own|any", "", ON_RELOAD, ALL,                                                \
		"The reverse-path of who has logged in: one of their own addresses, or any.")                             \
	SETTING(auth_rehash, BOOL, "yes", "", "", ON_RELOAD, ALL,                                                         \
		"Whether a password that is kept in a weak form is kept as SCRAM-SHA-256 after the next good login. "     \
		"Not done with query_user, nor for users that were made through the compatibility views.")                \
	SETTING(auth_failure_wait, DURATION, "1s", "0s", "1min", ON_RELOAD, ALL,                                          \
		"How long the refusal of a first wrong login is held back. It doubles with each further one of that "     \
		"account, or of that client, and halves with each five minutes without.")                                 \
	SETTING(auth_failure_wait_max, DURATION, "30s", "0s", "10min", ON_RELOAD, ALL,                                    \
		"The longest that such a refusal is held back.")                                                          \
	SETTING(local_sender, CHOICE, "relays", "relays|spf", "", ON_RELOAD, ALL,                                         \
		"Who may send as a domain of ours without a login: the addresses in the table relays, or also those "     \
		"that pass the domain's SPF.")                                                                            \
	SETTING(null_sender, CHOICE, "accept", "accept|reject", "", ON_RELOAD, ALL,                                       \
		"What becomes of mail with the null reverse-path, which notices have. RFC 5321 4.5.5 asks that it is "    \
		"accepted.")                                                                                              \
	SETTING(quota_full, CHOICE, "temporary", "temporary|permanent", "", ON_RELOAD, ALL,                               \
		"What a sender hears of a mailbox without room: 452 4.2.2, try again, or 552 5.2.2, give up.")            \
	SETTING(dkim_sign, BOOL, "yes", "", "", ON_RELOAD, ALL,                                                           \
		"Whether what users and programs of this host submit is signed (DKIM), where the domain of its author "   \
		"has active keys: tassis dkim.")                                                                          \
	SETTING(dkim_fields, TEXT, "From Sender Reply-To To Cc Subject Date Message-ID In-Reply-To References MIME-Version Content-Type Content-Transfer-Encoding List-Unsubscribe List-Unsubscribe-Post", "", "", ON_RELOAD, ALL, \
		"The header fields that are signed, where they are there. From is always signed, once more often than "   \
		"it stands there, so that none can be added.")                                                            \
	SETTING(check_sender, BOOL, "yes", "", "", ON_RELOAD, ALL,                                                        \
		"Whether it is checked who sent what other hosts bring: SPF, DKIM, DMARC and ARC. What users, relays "    \
		"and this host itself send is not checked.")                                                              \
	SETTING(check_exempt, TEXT, "127.0.0.0/8 ::1", "networks", "", ON_RELOAD, ALL,                                    \
		"Client addresses and networks, as 192.0.2.0/24, with blanks between, whose mail is not checked.")        \
	SETTING(check_name, TEXT, "", "domain", "", ON_RELOAD, ALL,                                                       \
		"The name under which Authentication-Results fields are written (RFC 8601 2.5); such fields that come "   \
		"from elsewhere are removed. Empty: hostname.")                                                           \
	SETTING(check_received_spf, BOOL, "no", "", "", ON_RELOAD, ALL,                                                   \
		"Whether a Received-SPF field (RFC 7208 9.1) is written too.")                                            \
	SETTING(check_dns_failed, CHOICE, "pass", "pass|defer", "", ON_RELOAD, ALL,                                       \
		"What becomes of a message that cannot be checked because DNS does not answer: it passes, or 451 and "    \
		"another try.")                                                                                           \
	SETTING(dmarc_reject, CHOICE, "reject", "reject|spam|tag", "", ON_RELOAD, ALL,                                    \
		"What becomes of a message whose author's domain asks to reject it: that, the mailbox spam, or no "       \
		"more than a field that says so.")                                                                        \
	SETTING(dmarc_quarantine, CHOICE, "spam", "reject|spam|tag", "", ON_RELOAD, ALL,                                  \
		"The same where the domain asks for quarantine.")                                                         \
	SETTING(dmarc_organization, CHOICE, "tree", "tree|psl", "", ON_RELOAD, ALL,                                       \
		"How a domain's organization is found: by the walk up the tree of DNS (RFC 9989), or by the list of "     \
		"public suffixes (RFC 7489).")                                                                            \
	SETTING(spf_fail, CHOICE, "tag", "reject|spam|tag", "", ON_RELOAD, ALL,                                           \
		"What becomes of a message whose client may not send as its reverse-path's domain, as that says (SPF "    \
		"fail).")                                                                                                 \
	SETTING(arc_trusted, LINES, "", "domain", "", ON_RELOAD, ALL,                                                     \
		"A line each: a domain whose ARC seal is believed: a message that it had found good by DMARC stays "      \
		"good.")                                                                                                  \
	SETTING(spam_header, LINES, "", "field", "", ON_RELOAD, ALL,                                                      \
		"A line each: NAME: BEGINNING. A message with such a header field is spam and goes to the mailbox "       \
		"spam of those who have one.")                                                                            \
	SETTING(save_sent, BOOL, "no", "", "", ON_RELOAD, ALL,                                                            \
		"Whether what a user submits is put into their mailbox sent. Most mail programs do that themselves.")     \
	SETTING(envelope_from, CHOICE, "envelope", "envelope|header", "", ON_RELOAD, ALL,                                 \
		"The reverse-path of what is submitted: as MAIL said, or the address in the header's From field. Null "   \
		"stays null.")                                                                                            \
	SETTING(message_size_max, SIZE, "50M", "64k", "4G", ON_RELOAD, ALL, "The largest message taken.")                  \
	SETTING(received_max, NUMBER, "50", "10", "1000", ON_RELOAD, ALL,                                                 \
		"A message with more Received fields is going round in circles and is refused.")                            \
	SETTING(tls_certificate, TEXT, "", "path", "", ON_RELOAD, ALL,                                                    \
		"PEM file with the certificate and its chain, or PKCS#12 file. Empty: one that tassis makes and signs "   \
		"itself.")                                                                                                \
	SETTING(tls_key, TEXT, "", "path", "", ON_RELOAD, ALL,                                                            \
		"PEM file with the private key. Empty: it stands in tls_certificate.")                                      \
	SETTING(tls_minimum, CHOICE, "1.2", "1.2|1.3", "", ON_RELOAD, ALL, "The oldest TLS version spoken.")               \
	SETTING(tls_password, TEXT, "", "", "", ON_RELOAD, SECRET,                                                        \
		"The password of tls_certificate, where that is a PKCS#12 file (.p12, .pfx) with certificate, chain "     \
		"and key; or that of an encrypted key in PEM.")                                                            \
	SETTING(state_dir, TEXT, "/var/lib/tassis", "path", "", ON_RESTART, ALL,                                          \
		"Where tassis keeps what it made itself: the self-signed certificate, the private PostgreSQL cluster.")     \
	SETTING(queue_retry_min, DURATION, "5min", "1s", "1d", ON_RELOAD, ALL,                                            \
		"The pause after the first attempt; it doubles each time.")                                                 \
	SETTING(queue_retry_greylist, DURATION, "1min", "1s", "1d", ON_RELOAD, ALL,                                       \
		"The pause after a first attempt that the far end put off by 450 or 451, as hosts do that greylist; "     \
		"never more than queue_retry_min.")                                                                       \
	SETTING(queue_retry_max, DURATION, "4h", "1s", "7d", ON_RELOAD, ALL, "The longest pause between two attempts.")    \
	SETTING(queue_lifetime, DURATION, "5d", "1min", "30d", ON_RELOAD, ALL,                                            \
		"How long a message is tried before it is returned. RFC 5321 4.5.4.1 asks for 4 to 5 days.")                \
	SETTING(queue_delay_warning, DURATION, "4h", "0s", "30d", ON_RELOAD, ALL,                                         \
		"After so long a sender is told once that a message still waits, unless they did not want it (RFC 3461 "    \
		"4.1) or it went to a list. 0s: never.")                                                                    \
	SETTING(queue_active_max, NUMBER, "20000", "10", "1000000", ON_RELOAD, ALL,                                       \
		"Messages whose envelopes queued holds in memory at once.")                                                 \
	SETTING(queue_window, NUMBER, "500", "1", "100000", ON_RELOAD, ALL,                                               \
		"Messages an smtpd may have handed over that queued has not handled; then 250 waits up to a second.")        \
	SETTING(aliases_file, TEXT, "/etc/aliases", "path", "", ON_RELOAD, ALL,                                           \
		"Aliases of the host's own names (root, cron): NAME: TARGET, TARGET, as in aliases(5). It need not "      \
		"exist.")                                                                                                 \
	SETTING(detail_mailbox, BOOL, "no", "", "", ON_RELOAD, ALL,                                                       \
		"Whether mail for user+NAME goes to the user's mailbox NAME, where there is one.")                        \
	SETTING(delivered_to, CHOICE, "one", "one|always|never", "", ON_RELOAD, ALL,                                      \
		"When a copy in a mailbox gets a Delivered-To field: with one recipient, always, never. Copies "          \
		"without can share one file.")                                                                            \
	SETTING(local_workers, NUMBER, "2", "1", "256", ON_RESTART, ALL, "How many local deliverd run.")                   \
	SETTING(local_concurrency, NUMBER, "64", "1", "4096", ON_RELOAD, ALL, "Local deliveries under way at once.")       \
	SETTING(remote_workers, NUMBER, "0", "0", "256", ON_RESTART, ALL, "How many remote deliverd run. 0: one a core.")  \
	SETTING(remote_concurrency, NUMBER, "500", "1", "10000", ON_RELOAD, ALL, "Remote deliveries under way at once.")   \
	SETTING(remote_concurrency_destination, NUMBER, "20", "1", "1000", ON_RELOAD, ALL,                                \
		"Of these, to one destination.")                                                                            \
	SETTING(delivery_connect_timeout, DURATION, "30s", "1s", "10min", ON_RELOAD, ALL,                                 \
		"How long a connection to one address may take to stand.")                                                \
	SETTING(delivery_greeting_timeout, DURATION, "5min", "1s", "1h", ON_RELOAD, ALL,                                  \
		"How long the far end may take over its greeting, and the replies to EHLO, STARTTLS and AUTH. RFC "       \
		"5321 4.5.3.2.1.")                                                                                        \
	SETTING(delivery_mail_timeout, DURATION, "5min", "1s", "1h", ON_RELOAD, ALL,                                      \
		"How long it may take over the reply to MAIL. RFC 5321 4.5.3.2.2.")                                       \
	SETTING(delivery_rcpt_timeout, DURATION, "5min", "1s", "1h", ON_RELOAD, ALL,                                      \
		"How long it may take over the reply to RCPT. RFC 5321 4.5.3.2.3.")                                       \
	SETTING(delivery_data_timeout, DURATION, "2min", "1s", "1h", ON_RELOAD, ALL,                                      \
		"How long it may take over the reply to DATA. RFC 5321 4.5.3.2.4.")                                       \
	SETTING(delivery_block_timeout, DURATION, "3min", "1s", "1h", ON_RELOAD, ALL,                                     \
		"How long it may take no octets of the message. RFC 5321 4.5.3.2.5.")                                     \
	SETTING(delivery_end_timeout, DURATION, "10min", "1s", "1h", ON_RELOAD, ALL,                                      \
		"How long it may take over the reply to the end of data. RFC 5321 4.5.3.2.6.")                            \
	SETTING(delivery_reuse_idle, DURATION, "5s", "0s", "5min", ON_RELOAD, ALL,                                        \
		"How long an idle connection to a next hop is kept for its next message.")                                  \
	SETTING(delivery_port, NUMBER, "25", "1", "65535", ON_RELOAD, ALL, "The port of other hosts' MX.")                 \
	SETTING(delivery_secure, CHOICE, "starttls", "starttls|smtps-first|none", "", ON_RELOAD, ALL,                     \
		"Encryption to other hosts, where their route says nothing: STARTTLS where it is offered; TLS on "        \
		"delivery_smtps_port first, and if that fails in any way delivery_port; none.")                           \
	SETTING(delivery_smtps_port, NUMBER, "465", "1", "65535", ON_RELOAD, ALL,                                         \
		"The port for smtps-first.")                                                                              \
	SETTING(delivery_smtps_timeout, DURATION, "5s", "100ms", "1min", ON_RELOAD, ALL,                                  \
		"With smtps-first: how long a connection to that port, and then TLS, may take to stand. A host that "     \
		"failed there is not tried there for a day.")                                                             \
	SETTING(delivery_tls_trust, CHOICE, "any", "any|ca", "", ON_RELOAD, ALL,                                          \
		"Whose certificates are good enough to deliver to: anybody's, or those signed by delivery_tls_ca for "    \
		"the host's name.")                                                                                       \
	SETTING(delivery_tls_ca, TEXT, "/etc/ssl/certs/ca-certificates.crt", "path", "", ON_RELOAD, ALL,                  \
		"PEM file with the certificates of the authorities that are trusted.")                                    \
	SETTING(delivery_debug, BOOL, "no", "", "", ON_RELOAD, ALL,                                                       \
		"Whether the dialogue with other hosts is logged, without messages and secrets.")                         \
	SETTING(postmaster, TEXT, "postmaster", "", "", ON_RELOAD, ALL,                                                   \
		"The address in the From field of bounces; without a domain, hostname is added.")                           \
	SETTING(double_bounce, TEXT, "postmaster", "", "", ON_RELOAD, ALL,                                                \
		"Who is told of a notice that could not be delivered: an address; without a domain, hostname is added. "    \
		"none: nobody.")                                                                                            \
	SETTING(bounce_size_max, SIZE, "64k", "0", "50M", ON_RELOAD, ALL,                                                 \
		"A larger message is not returned whole, even to a sender who asks for it (RFC 3461 4.3), but its header.") \
	SETTING(notice_language, TEXT, "en", "", "", ON_RELOAD, ALL,                                                      \
		"The language of notices to senders: a folder of that name with texts (tassis-queued(8)). en and de come "  \
		"with tassis.")                                                                                             \
	SETTING(notice_templates, TEXT, "", "", "", ON_RELOAD, ALL,                                                       \
		"A folder with LANGUAGE/KIND.txt that take the place of the texts that come with tassis. Empty: templates " \
		"beside the main.conf of the installation.")

enum setting_when { ON_RELOAD, ON_RESTART };
enum setting_who { ALL, SECRET };
enum setting_type { TEXT, NUMBER, SIZE, DURATION, BOOL, CHOICE, LINES };

/* The places of the words, in the order of the list above. */
enum accounts_choice { ACCOUNTS_AUTO, ACCOUNTS_CALLER };
enum log_to_choice { LOG_TO_SYSLOG, LOG_TO_STDERR, LOG_TO_FILE };
enum tls_minimum_choice { TLS_MINIMUM_1_2, TLS_MINIMUM_1_3 };
enum auth_authzid_choice { AUTH_AUTHZID_IGNORE, AUTH_AUTHZID_MATCH };
enum auth_sender_choice { AUTH_SENDER_OWN, AUTH_SENDER_ANY };
enum local_sender_choice { LOCAL_SENDER_RELAYS, LOCAL_SENDER_SPF };
enum null_sender_choice { NULL_SENDER_ACCEPT, NULL_SENDER_REJECT };
enum delivered_to_choice { DELIVERED_TO_ONE, DELIVERED_TO_ALWAYS, DELIVERED_TO_NEVER };
enum quota_full_choice { QUOTA_FULL_TEMPORARY, QUOTA_FULL_PERMANENT };
enum check_dns_failed_choice { CHECK_DNS_FAILED_PASS, CHECK_DNS_FAILED_DEFER };
/* spf_fail, dmarc_reject, dmarc_quarantine */
enum check_choice { CHECK_REJECT, CHECK_SPAM, CHECK_TAG };
enum dmarc_organization_choice { DMARC_ORGANIZATION_TREE, DMARC_ORGANIZATION_PSL };
enum delivery_secure_choice { DELIVERY_SECURE_STARTTLS, DELIVERY_SECURE_SMTPS_FIRST, DELIVERY_SECURE_NONE };
enum delivery_tls_trust_choice { DELIVERY_TLS_TRUST_ANY, DELIVERY_TLS_TRUST_CA };
enum envelope_from_choice { ENVELOPE_FROM_ENVELOPE, ENVELOPE_FROM_HEADER };

struct slices {
	struct slice *p;
	size_t n;
};

/* One set of settings; constant once made. What its slices point to is its own. */
struct settings {
#define SETTING_FIELD_TEXT struct slice
#define SETTING_FIELD_NUMBER uint64_t
#define SETTING_FIELD_SIZE uint64_t
#define SETTING_FIELD_DURATION uint64_t
#define SETTING_FIELD_BOOL bool
#define SETTING_FIELD_CHOICE unsigned
#define SETTING_FIELD_LINES struct slices
#define SETTING(name, type, def, min, max, when, who, text) SETTING_FIELD_##type name;
	SETTINGS(SETTING)
#undef SETTING
	struct settings_private *private;
};

struct buf;
struct fault;

/* What an entry of the list says, for `tassis config` and the manual's generator. */
struct setting_description {
	const char *name, *default_text, *min, *max, *text;
	enum setting_type type;
	enum setting_when when;
	enum setting_who who;
};
extern const struct setting_description setting_descriptions[];
extern const size_t n_setting_descriptions;

/* Reads text (of the file called name, which stands in the messages). On success *out is the caller's. On failure every mistake is in problems, a
 * line each: "main.conf line 3: …, …would be right". NULL where memory is out, with a line too. */
MUST_USE bool settings_parse(struct slice text, const char *name, struct settings **out, struct buf *problems);
void settings_destroy(struct settings *s);

enum settings_print_what {
	SETTINGS_PRINT_ALL,     /* every setting, name = value */
	SETTINGS_PRINT_CHANGED, /* what differs from the default */
	SETTINGS_PRINT_PUBLIC,  /* what differs, without SECRET: what a daemon other than lookupd gets */
};
/* Appends lines that settings_parse reads back to the same values. False: no room. */
bool settings_print(const struct settings *s, enum settings_print_what what, struct buf *out);
/* The value of one setting as text, appended, with LF behind it; LINES are a line each, or none. False: there is no such setting, or no room. */
bool settings_print_one(const struct settings *s, struct slice name, struct buf *out);

/* The host's name: the configured one, or the system's where that is a full domain name; terminated, in out. Fails, permanent: it says what to set. */
MUST_USE bool settings_hostname(const struct settings *s, char *out, size_t size, struct fault *why);
/* Appends the shipped main.conf, and the list in main.conf(5). False: no room. */
bool settings_print_template(struct buf *out);
bool settings_print_mdoc(struct buf *out);

/* A line of listen. Users' ports are RFC 6409's; implicit TLS on them RFC 8314 3.3's. */
enum listener_kind { LISTENER_SMTP, LISTENER_SUBMISSION };
enum listener_tls { LISTENER_TLS_NONE, LISTENER_TLS_STARTTLS, LISTENER_TLS_REQUIRED, LISTENER_TLS_IMPLICIT };
struct listener {
	struct slice text; /* the line */
	struct slice address; /* "192.0.2.1:25", "[::]:25" */
	enum listener_kind kind;
	enum listener_tls tls;
};
/* line must have passed settings_parse, or come from a peer: then fails, permanent. Borrows from line. */
MUST_USE bool listener_parse(struct slice line, struct listener *out, struct fault *why);
