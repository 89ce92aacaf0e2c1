/* admin/constraints.h: what the tables refuse, and what would be right: a sentence for each CHECK of schema/. A test compares the list with the database.
 * Touches: nothing. */
#pragma once

/*	C(constraint, sentence) */
#define CONSTRAINTS(C)                                                                                                 \
	C(domains_name_check, "this is no domain name; right would be one such as example.org")                         \
	C(domains_kind_check, "a domain's kind is local or relay")                                                      \
	C(domains_recipients_check, "a domain's recipients are list or any")                                            \
	C(domains_check, "recipients any is for domains of kind relay; a local one has its users and aliases")          \
	C(users_local_part_check, "a user's name has 1 to 64 octets, no / and no dot at its beginning")                 \
	C(users_password_check, "a password is kept as {SCHEME}hash")                                                   \
	C(users_folder_check, "a folder is a path below mail_dir, without empty, . or .. steps; right would be one such as example.org/ann") \
	C(users_quota_bytes_check, "a quota is at least 1 octet")                                                       \
	C(users_quota_messages_check, "a quota is at least 1 message")                                                  \
	C(mailboxes_name_check, "a mailbox's name has at most 255 octets and no empty, . or .. steps; right would be one such as archive/2026") \
	C(aliases_local_part_check, "an alias's name has at most 64 octets")                                            \
	C(aliases_target_check, "a target is an address such as ann@example.org")                                       \
	C(sender_addresses_address_check, "what a user may send as is an address such as sales@example.org, or @example.org for all of a domain") \
	C(routes_domain_check, "a route is for a domain such as example.org, or '*' for all")                           \
	C(routes_sender_domain_check, "a sender's domain is one such as example.org, or '*' for all")                   \
	C(routes_host_check, "a host is a name such as smtp.example.org, or an address such as 192.0.2.1")              \
	C(routes_port_check, "a port is a number from 1 to 65535")                                                      \
	C(routes_tls_check, "a route's tls is optional, starttls, implicit or none")                                    \
	C(dkim_keys_selector_check, "a selector is a name such as 2026a")                                               \
	C(dkim_keys_algorithm_check, "an algorithm is rsa-sha256 or ed25519-sha256")                                    \
	C(dkim_keys_private_key_check, "a private key is PEM, not encrypted")                                           \
	C(dkim_keys_state_check, "a key's state is made, published, active or retired")
