#include "common/dns/message.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>
#include <strings.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/ipc/frame.h"

#define ALIASES_MAX 16
#define BADVERS 16 /* RFC 6891 6.1.3 */
#define TTL_MAX_S 86400u
#define TTL_TOP_BIT 0x80000000u	 /* RFC 2181 8: with it a TTL counts as 0 */
#define NEGATIVE_TTL_MAX_S 3600u /* RFC 2308 5 */
/* Without SOA it should not be kept at all; a minute spares a broken zone's servers. */
#define NEGATIVE_TTL_WITHOUT_SOA_S 60u

/* The name as it goes over the wire; its length, or -1 when it is none (RFC 1035 2.3.4). */
static int wire_name(const char *name, unsigned char out[NS_MAXCDNAME])
{
	return ns_name_compress(name[0] ? name : ".", out, NS_MAXCDNAME, NULL, NULL);
}

bool dns_question_set(struct dns_question *q, struct slice name, uint16_t type, struct fault *why)
{
	unsigned char wire[NS_MAXCDNAME];
	struct slice rest, label;

	if (slice_ends(name, SLICE(".")))
		name = slice_head(name, name.n - 1);
	rest = name;
	while (name.n && slice_cut(&rest, '.', &label))
		if (label.n == 0) {
			fault_set(why, "5.1.2", "\"%.*s\" has an empty label", SLICE_PRINTF(name));
			return false;
		}
	if (!slice_cstr(name, q->name, sizeof(q->name), why))
		return false;
	for (char *p = q->name; *p; p++)
		*p = ascii_lower(*p);
	q->type = type;
	if (wire_name(q->name, wire) >= 0)
		return true;
	fault_set(why, "5.1.2", "\"%s\" is no domain name", q->name);
	return false;
}

static void put16(struct buf *out, unsigned n)
{
	buf_append_char(out, (char)(n >> 8));
	buf_append_char(out, (char)n);
}

bool dns_question_encode(const struct dns_question *q, uint16_t id, bool edns, struct buf *out)
{
	unsigned char name[NS_MAXCDNAME];
	int n = wire_name(q->name, name);

	if (n < 0)
		return false;
	put16(out, id);
	put16(out,
	      0x0120); /* RD, and AD: the answer may say whether it is authentic, RFC 6840 5.7 */
	put16(out, 1);
	put16(out, 0);
	put16(out, 0);
	put16(out, edns);
	buf_append(out, slice_of(name, (size_t)n));
	put16(out, q->type);
	put16(out, ns_c_in);
	if (edns) {
		buf_append_char(out, 0); /* the root's name */
		put16(out, DNS_OPT);
		put16(out, DNS_UDP_BYTES);
		put16(out, 0);
		put16(out, 0);
		put16(out, 0);
	}
	return !out->failed;
}

/* ---- reading ---- */

/* The names as octets: as text one of them may have escapes (\032) where the other has none. */
static bool same_wire(const char *a, const char *b)
{
	unsigned char x[NS_MAXCDNAME], y[NS_MAXCDNAME];
	int n = wire_name(a, x), m = wire_name(b, y);

	if (n < 0 || n != m)
		return false;
	for (int i = 0; i < n; i++)
		if (ascii_lower((char)x[i]) != ascii_lower((char)y[i]))
			return false;
	return true;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n -= n && a[n - 1] == '.';
	m -= m && b[m - 1] == '.';
	return (n == m && strncasecmp(a, b, n) == 0) || (strchr(a, '\\') != NULL && same_wire(a, b));
}

static bool is_answer_to(ns_msg *m, const struct dns_question *q, uint16_t id)
{
	ns_rr rr;

	if (ns_msg_id(*m) != id || !ns_msg_getflag(*m, ns_f_qr) ||
	    ns_msg_getflag(*m, ns_f_opcode) != ns_o_query)
		return false;
	/* A server that could not read the question need not repeat it. That it says so is all that
	 * is taken from it. */
	if (ns_msg_count(*m, ns_s_qd) == 0)
		return ns_msg_getflag(*m, ns_f_rcode) == ns_r_formerr ||
		       ns_msg_getflag(*m, ns_f_rcode) == ns_r_notimpl;
	return ns_msg_count(*m, ns_s_qd) == 1 && ns_parserr(m, ns_s_qd, 0, &rr) == 0 &&
	       ns_rr_type(rr) == q->type && ns_rr_class(rr) == ns_c_in &&
	       same_name(ns_rr_name(rr), q->name);
}

/* The response code with the upper bits that EDNS has for it (RFC 6891 6.1.3). */
static int response_code(ns_msg *m)
{
	int code = ns_msg_getflag(*m, ns_f_rcode);
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_ar); i++)
		if (ns_parserr(m, ns_s_ar, i, &rr) == 0 && (int)ns_rr_type(rr) == DNS_OPT)
			return code | (int)(ns_rr_ttl(rr) >> 24) << 4;
	return code;
}

/* The name that begins offset octets into the data of rr. */
static bool name_in(const ns_msg *m, const ns_rr *rr, size_t offset, char out[DNS_NAME_MAX])
{
	if (offset >= ns_rr_rdlen(*rr))
		return false;
	return ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), ns_rr_rdata(*rr) + offset, out,
				  DNS_NAME_MAX) >= 0;
}

/* RFC 1035 3.3.14: strings with a length each; they count as one, as RFC 7208 3.3 and RFC
 * 6376 3.6.2.2 want it. */
static bool join_strings(const ns_rr *rr, struct buf *out)
{
	const unsigned char *p = ns_rr_rdata(*rr), *end = p + ns_rr_rdlen(*rr);

	while (p < end) {
		size_t n = *p++;

		if (n > (size_t)(end - p) || !buf_append(out, slice_of(p, n)))
			return false;
		p += n;
	}
	return true;
}

static struct slice name_slice(const char *name)
{
	struct slice s = slice_of_cstr(name);

	return slice_ends(s, SLICE(".")) && s.n > 1 ? slice_head(s, s.n - 1) : s;
}

static void put_record(const ns_msg *m, const ns_rr *rr, struct buf *records)
{
	struct ipc_dns_record out = {.type = (uint16_t)ns_rr_type(*rr)};
	const unsigned char *data = ns_rr_rdata(*rr);
	size_t n = ns_rr_rdlen(*rr);
	char name[DNS_NAME_MAX];
	struct buf text;
	bool ok = false;

	buf_init(&text, 65535);
	switch (out.type) {
	case DNS_A:
	case DNS_AAAA:
		ok = n == (out.type == DNS_A ? 4 : 16);
		out.address.family = out.type == DNS_A ? 4 : 6;
		if (ok)
			memcpy(out.address.octets, data, n);
		break;
	case DNS_MX:
		ok = n > 2 && name_in(m, rr, 2, name);
		out.preference = ok ? (uint16_t)(data[0] << 8 | data[1]) : 0;
		out.name = ok ? name_slice(name) : SLICE_EMPTY;
		break;
	case DNS_PTR:
		ok = name_in(m, rr, 0, name);
		out.name = ok ? name_slice(name) : SLICE_EMPTY;
		break;
	case DNS_TXT:
		ok = join_strings(rr, &text);
		out.data = buf_slice(&text);
		break;
	default:
		ok = true;
		out.data = slice_of(data, n);
		break;
	}
	/* One record that is broken, or a name longer than any host's, is passed over; the others
	 * count. */
	ok = ok && ipc_put_dns_record(records, &out);
	(void)ok;
	buf_fini(&text);
}

static void lower_ttl(struct dns_answer *a, uint32_t ttl_s)
{
	if (ttl_s & TTL_TOP_BIT)
		ttl_s = 0;
	if (ttl_s < a->ttl_s)
		a->ttl_s = ttl_s;
}

/* Goes through the answer section once for each link of the chain; false when it holds neither
 * records nor a further link for name. A section that cannot be read to its end says nothing at
 * all: a->refused. */
static bool follow(ns_msg *m, const struct dns_question *q, char name[DNS_NAME_MAX],
		   struct dns_answer *a, struct buf *records, bool *found)
{
	char target[DNS_NAME_MAX] = "";
	bool link = false;

	*found = false;
	for (int i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		ns_rr rr;

		if (ns_parserr(m, ns_s_an, i, &rr) < 0) {
			a->refused = true;
			return false;
		}
		if (ns_rr_class(rr) != ns_c_in || !same_name(ns_rr_name(rr), name))
			continue;
		if (ns_rr_type(rr) == q->type) {
			put_record(m, &rr, records);
			lower_ttl(a, ns_rr_ttl(rr));
			*found = true;
		} else if ((int)ns_rr_type(rr) == DNS_CNAME && !link) {
			link = name_in(m, &rr, 0, target);
			lower_ttl(a, ns_rr_ttl(rr));
		}
	}
	if (!*found && link)
		memcpy(name, target, DNS_NAME_MAX);
	return *found || link;
}

/* RFC 2308 5: how long a no holds: the lesser of the SOA's own TTL and its minimum. False: there is
 * no SOA. */
static bool negative_ttl(ns_msg *m, uint32_t *ttl_s)
{
	for (int i = 0; i < ns_msg_count(*m, ns_s_ns); i++) {
		const unsigned char *minimum;
		ns_rr rr;

		if (ns_parserr(m, ns_s_ns, i, &rr) < 0)
			break;
		if ((int)ns_rr_type(rr) != DNS_SOA || ns_rr_rdlen(rr) < 4)
			continue;
		minimum = ns_rr_rdata(rr) + ns_rr_rdlen(rr) - 4;
		*ttl_s = (uint32_t)minimum[0] << 24 | (uint32_t)minimum[1] << 16 |
			 (uint32_t)minimum[2] << 8 | minimum[3];
		if (ns_rr_ttl(rr) < *ttl_s)
			*ttl_s = ns_rr_ttl(rr);
		if (*ttl_s > NEGATIVE_TTL_MAX_S)
			*ttl_s = NEGATIVE_TTL_MAX_S;
		return true;
	}
	*ttl_s = NEGATIVE_TTL_WITHOUT_SOA_S;
	return false;
}

/* Neither does it answer from what it knows itself, nor does it ask others for us: it only refers
 * to them, and its "nothing" states nothing. */
static bool is_referral(const ns_msg *m)
{
	return !ns_msg_getflag(*m, ns_f_aa) && !ns_msg_getflag(*m, ns_f_ra);
}

/* The end of the chain of aliases, and what is there. no_name: the server says that it does not
 * exist. */
static void read_answer(ns_msg *m, const struct dns_question *q, bool no_name, struct dns_answer *a,
			struct buf *records)
{
	size_t before = buf_length(records);
	char name[DNS_NAME_MAX];
	bool found = false, soa;
	uint32_t ttl_s;
	int links = 0;

	memcpy(name, q->name, strlen(q->name) + 1);
	while (links <= ALIASES_MAX && follow(m, q, name, a, records, &found) && !found)
		links++;
	if (a->refused || links > ALIASES_MAX)
		return;
	if (found && !no_name) {
		a->outcome = DNS_OK;
		a->refused = buf_length(records) == before; /* none of them can be read */
		return;
	}
	soa = negative_ttl(m, &ttl_s);
	if (no_name) {
		a->outcome = DNS_NO_NAME;
		lower_ttl(a, ttl_s);
	} else if (!soa && links > 0) {
		memcpy(a->alias, name,
		       sizeof(a->alias)); /* the server does not know the end of the chain */
	} else if (!soa && is_referral(m)) {
		a->refused = true;
	} else {
		a->outcome = DNS_NO_DATA;
		lower_ttl(a, ttl_s);
	}
}

bool dns_answer_decode(struct slice message, const struct dns_question *q, uint16_t id,
		       struct dns_answer *out, struct buf *records)
{
	int code;
	ns_msg m;

	if (message.n > 65535 ||
	    ns_initparse((const unsigned char *)message.p, (int)message.n, &m) < 0 ||
	    !is_answer_to(&m, q, id))
		return false;
	*out = (struct dns_answer){
		.outcome = DNS_FAILED, .ttl_s = TTL_MAX_S, .authentic = ns_msg_getflag(m, ns_f_ad)};
	code = response_code(&m);
	if (ns_msg_getflag(m, ns_f_tc)) {
		out->truncated = true;
	} else if (code == ns_r_noerror || code == ns_r_nxdomain) {
		read_answer(&m, q, code == ns_r_nxdomain, out, records);
	} else {
		out->refused = true;
		out->no_edns = code == ns_r_formerr || code == ns_r_notimpl || code == BADVERS;
	}
	return true;
}
