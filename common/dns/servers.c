#include "common/base/fault.h"
#include "common/dns/resolver.h"

#define DNS_PORT 53

bool resolver_server_parse(struct slice line, struct resolver_server *out, struct fault *why)
{
	struct slice rest = line, address = SLICE_EMPTY, word = SLICE_EMPTY, more;

	*out = (struct resolver_server){.port = DNS_PORT};
	if (!slice_word(&rest, &address) ||
	    (!ip_parse(address, &out->ip) && !ip_port_parse(address, &out->ip, &out->port, NULL)))
		goto wrong;
	out->trusted = slice_word(&rest, &word);
	if (!out->trusted || (slice_equal(word, SLICE("trusted")) && !slice_word(&rest, &more)))
		return true;
wrong:
	fault_set(why, "5.5.4",
		  "\"%.*s\" is no name server; right would be 192.0.2.53 or 192.0.2.53:53, with "
		  "trusted behind it or not",
		  SLICE_PRINTF(line));
	return false;
}

size_t resolver_servers_of_resolv_conf(struct slice text, struct resolver_server *out, size_t max)
{
	bool trusted = false;
	struct slice line;
	size_t n = 0;

	while (slice_cut(&text, '\n', &line)) {
		struct slice word = SLICE_EMPTY, value = SLICE_EMPTY;

		if (!slice_word(&line, &word))
			continue;
		if (slice_equal(word, SLICE("options")))
			while (slice_word(&line, &value))
				trusted = trusted || slice_equal(value, SLICE("trust-ad"));
		if (!slice_equal(word, SLICE("nameserver")) || !slice_word(&line, &value) ||
		    n == max)
			continue;
		out[n] = (struct resolver_server){.port = DNS_PORT};
		n += ip_parse(slice_trim(value), &out[n].ip);
	}
	for (size_t i = 0; i < n; i++)
		out[i].trusted = trusted;
	return n;
}
