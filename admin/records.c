#include "admin/records.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/text_codec.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"

#define ARENA_BYTES ((size_t)1 << 20)
#define ADDRESSES_MAX 16
#define VALUE_MAX 2048
#define STRING_OCTETS 255 /* RFC 1035 3.3 */
#define SMTP_PORT 25

void records_init(struct records *r, struct slice hostname, struct slice domain)
{
	arena_init(&r->arena, ARENA_BYTES);
	r->first = NULL;
	r->last = &r->first;
	r->hostname = hostname;
	r->domain = domain;
}

void records_fini(struct records *r)
{
	arena_reset(&r->arena);
}

/* A record of name; its value is what template says. NULL: no memory. */
PRINTF_LIKE(6, 7)
static struct record *add(struct records *r, enum record_kind kind, struct slice name,
			  const char *type, struct fault *why, const char *template, ...)
{
	struct record *made = arena_alloc(&r->arena, sizeof(*made), why);
	char text[VALUE_MAX], dotted[300];
	va_list args;

	va_start(args, template);
	(void)vsnprintf(text, sizeof(text), template, args);
	va_end(args);
	(void)snprintf(dotted, sizeof(dotted), "%.*s.", SLICE_PRINTF(name));
	if (made == NULL || !arena_copy(&r->arena, slice_of_cstr(dotted), &made->name, why) ||
	    !arena_copy(&r->arena, slice_of_cstr(text), &made->value, why))
		return NULL;
	made->kind = kind;
	made->type = slice_of_cstr(type);
	*r->last = made;
	r->last = &made->next;
	return made;
}

/* The domain with a label in front. */
static struct slice below(const char *label, struct slice domain, char out[300])
{
	(void)snprintf(out, 300, "%s.%.*s", label, SLICE_PRINTF(domain));
	return slice_of_cstr(out);
}

/* ---- addresses ---- */

/* One that nobody outside can reach. */
static bool is_private(const struct ip *ip)
{
	static const struct {
		struct ip network;
		unsigned bits;
	} networks[] = {
		{{4, {10}}, 8},		 {{4, {172, 16}}, 12}, {{4, {192, 168}}, 16},
		{{4, {169, 254}}, 16},	 {{4, {100, 64}}, 10}, {{6, {0xfc}}, 7},
		{{6, {0xfe, 0x80}}, 10},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(networks); i++)
		if (ip_in_network(ip, &networks[i].network, networks[i].bits))
			return true;
	return false;
}

/* The host's addresses, without loopback. */
static size_t addresses_of_host(struct ip out[ADDRESSES_MAX])
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all) != 0)
		return 0;
	for (const struct ifaddrs *i = all; i != NULL && n < ADDRESSES_MAX; i = i->ifa_next) {
		struct ip ip;
		uint16_t port;

		if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0)
			continue;
		ip_of_sockaddr(i->ifa_addr, &ip, &port);
		if (ip.family != 0 && !ip_is_loopback(&ip))
			out[n++] = ip;
	}
	freeifaddrs(all);
	return n;
}

static bool add_addresses(struct records *r, const struct ip *addresses, size_t n,
			  struct fault *why)
{
	struct record *made;
	char text[IP_TEXT_MAX];
	bool some = false;

	for (size_t i = 0; i < n; i++) {
		if ((made = add(r, RECORD_ADDRESS, r->hostname,
				addresses[i].family == 4 ? "A" : "AAAA", why, "%s",
				ip_text(&addresses[i], text))) == NULL)
			return false;
		made->remark = is_private(&addresses[i]);
		if (made->remark)
			made->note = SLICE("private: publish the one that the world sees");
		some = some || !made->remark;
	}
	if (some)
		return true;
	if ((made = add(r, RECORD_ADDRESS, r->hostname, "A", why, "ADDRESS")) == NULL)
		return false;
	made->remark = true;
	made->note = SLICE("the one that the world sees");
	return true;
}

static void append_reverse(const struct ip *ip, char out[80])
{
	size_t n = 0;

	if (ip->family == 4)
		(void)snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", ip->octets[3], ip->octets[2],
			       ip->octets[1], ip->octets[0]);
	for (int i = 15; ip->family == 6 && i >= 0; i--)
		n += (size_t)snprintf(out + n, 80 - n, "%x.%x.%s", ip->octets[i] & 0xf,
				      ip->octets[i] >> 4, i == 0 ? "ip6.arpa" : "");
}

static bool add_way_back(struct records *r, const struct ip *addresses, size_t n, struct fault *why)
{
	struct record *made;
	char name[80];

	for (size_t i = 0; i < n; i++) {
		if (is_private(&addresses[i]))
			continue;
		append_reverse(&addresses[i], name);
		if ((made = add(r, RECORD_PTR, slice_of_cstr(name), "PTR", why, "%.*s.",
				SLICE_PRINTF(r->hostname))) == NULL)
			return false;
		made->note = SLICE("whoever gave you the address publishes this one");
	}
	return true;
}

/* ---- the rest ---- */

/* Users' mail programs find the ports by these (RFC 6186 3.1, RFC 8314 5.1). */
static bool add_services(struct records *r, const struct settings *s, struct fault *why)
{
	for (size_t i = 0; i < s->listen.n; i++) {
		struct listener l;
		char name[300];
		uint16_t port;
		struct ip ip;
		bool implicit;

		if (!listener_parse(s->listen.p[i], &l, NULL) || l.kind != LISTENER_SUBMISSION ||
		    !ip_port_parse(l.address, &ip, &port, NULL) ||
		    (ip.family == 6 && ip_is_unspecified(&ip)))
			continue;
		implicit = l.tls == LISTENER_TLS_IMPLICIT;
		if (add(r, RECORD_SERVICE,
			below(implicit ? "_submissions._tcp" : "_submission._tcp", r->domain, name),
			"SRV", why, "%u 1 %u %.*s.", implicit ? 0 : 5, port,
			SLICE_PRINTF(r->hostname)) == NULL)
			return false;
	}
	return true;
}

/* SHA-256 of the certificate's public key; false: there is no certificate to be read. */
static bool key_digest(const struct settings *s, unsigned char out[SHA256_DIGEST_LENGTH])
{
	unsigned char *der = NULL;
	X509 *certificate = NULL;
	char path[4096];
	FILE *file;
	int n = -1;

	if (!(s->tls_certificate.n > 0 ? slice_cstr(s->tls_certificate, path, sizeof(path), NULL)
				       : layout_path(s->state_dir, "tls/certificate.pem", path,
						     sizeof(path), NULL)) ||
	    (file = fopen(path, "re")) == NULL)
		return false;
	if ((certificate = PEM_read_X509(file, NULL, NULL, NULL)) != NULL)
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	if (n > 0)
		SHA256(der, (size_t)n, out);
	OPENSSL_free(der);
	X509_free(certificate);
	(void)fclose(file);
	return n > 0;
}

/* RFC 7672 3.1.1: the key is what counts. */
static bool add_tlsa(struct records *r, const struct settings *s, struct fault *why)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct record *made;
	struct buf hex;
	char name[300];
	bool ok;

	if (!key_digest(s, digest))
		return true;
	buf_init(&hex, 2 * sizeof(digest) + 1);
	ok = hex_encode(&hex, slice_of(digest, sizeof(digest)));
	made = ok ? add(r, RECORD_TLSA, below("_25._tcp", r->hostname, name), "TLSA", why,
			"3 1 1 %.*s", SLICE_PRINTF(buf_slice(&hex)))
		  : NULL;
	buf_fini(&hex);
	if (made == NULL)
		return false;
	made->remark = true;
	made->note = SLICE(
		"only where the zone is signed with DNSSEC, and as long as the key stays the same");
	return true;
}

bool records_make(struct records *r, const struct settings *s, struct fault *why)
{
	struct ip addresses[ADDRESSES_MAX];
	size_t n = addresses_of_host(addresses);
	struct slice domain = r->domain;
	struct record *dmarc, *tlsrpt;
	char name[300];

	if (add(r, RECORD_MX, domain, "MX", why, "10 %.*s.", SLICE_PRINTF(r->hostname)) == NULL ||
	    !add_addresses(r, addresses, n, why) ||
	    add(r, RECORD_SPF, domain, "TXT", why, "\"v=spf1 mx -all\"") == NULL ||
	    (!slice_equal_nocase(r->hostname, domain) &&
	     add(r, RECORD_SPF_HOST, r->hostname, "TXT", why, "\"v=spf1 a -all\"") == NULL) ||
	    (dmarc = add(r, RECORD_DMARC, below("_dmarc", domain, name), "TXT", why,
			 "\"v=DMARC1; p=none; rua=mailto:postmaster@%.*s\"",
			 SLICE_PRINTF(domain))) == NULL ||
	    (tlsrpt = add(r, RECORD_TLSRPT, below("_smtp._tls", domain, name), "TXT", why,
			  "\"v=TLSRPTv1; rua=mailto:postmaster@%.*s\"", SLICE_PRINTF(domain))) ==
		    NULL)
		return false;
	dmarc->note = SLICE(
		"p=quarantine or p=reject, once the reports show that nothing of yours fails");
	tlsrpt->note = SLICE("others tell there what their TLS to you met (RFC 8460)");
	return add_services(r, s, why) && add_tlsa(r, s, why) && add_way_back(r, addresses, n, why);
}

bool records_add_key(struct records *r, struct slice name, struct slice text, struct fault *why)
{
	struct slice rest = text;
	struct record *made;
	struct buf strings;
	bool ok = true;

	buf_init(&strings, 2 * text.n + 64);
	for (; rest.n > 0; rest = slice_tail(rest, STRING_OCTETS))
		ok &= buf_printf(&strings, "%s\"%.*s\"", rest.p == text.p ? "" : " ",
				 SLICE_PRINTF(slice_head(rest, STRING_OCTETS)));
	made = ok ? add(r, RECORD_DKIM, name, "TXT", why, "( %.*s )",
			SLICE_PRINTF(buf_slice(&strings)))
		  : NULL;
	buf_fini(&strings);
	return made != NULL && arena_copy(&r->arena, text, &made->text, why);
}

void record_append(const struct record *record, struct buf *out)
{
	buf_printf(out, "%.*s IN %.*s %.*s", SLICE_PRINTF(record->name), SLICE_PRINTF(record->type),
		   SLICE_PRINTF(record->value));
}

void records_append_zone(const struct records *r, struct buf *out)
{
	buf_append_cstr(out, "$TTL 3600\n");
	for (const struct record *i = r->first; i != NULL; i = i->next) {
		if (i->note.n > 0)
			buf_printf(out, "; %.*s\n", SLICE_PRINTF(i->note));
		if (i->remark)
			buf_append_cstr(out, "; ");
		record_append(i, out);
		buf_append_char(out, '\n');
	}
}
