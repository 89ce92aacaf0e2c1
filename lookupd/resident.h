/* lookupd/resident.h: who an address is: a user, an alias, nobody, or not ours.
 * Touches: the cache, through lookup_get. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "lookupd/lookup.h"
#include "lookupd/name.h"

struct fault;

enum resident_kind {
	RESIDENT_LATER,     /* not known yet, or the look-up failed */
	RESIDENT_ELSEWHERE, /* its domain is not ours */
	RESIDENT_RELAYED,   /* of a domain that we relay for, and it takes the address */
	RESIDENT_USER,
	RESIDENT_ALIAS,
	RESIDENT_NOBODY,   /* our domain, nobody there */
	RESIDENT_DISABLED, /* domain or user switched off */
};

struct resident {
	enum resident_kind kind;
	const struct rows *rows; /* USER: the user's row; ALIAS: a target each */
	struct slice local;      /* USER: the local part it was found under, without detail; in the struct name */
};

/* Looks for the alias, then the user; then both without +detail; then the domain's catch-all. past_alias: users only (for a target that
 * is the alias itself). */
struct resident resident_find(struct lookup *l, const struct name *n, bool past_alias);

#define FOLDER_MAX 1024
/* The user's Maildir below mail_dir, ending in '/': its own, or DOMAIN/LOCAL-PART/. Fails: temporary, when what the database says would lead elsewhere. */
MUST_USE bool resident_folder(const struct resident *r, const struct name *n, char out[FOLDER_MAX + 1], struct slice *folder, struct fault *why);

/* path, or what it stands for: a bare "postmaster" (RFC 5321 4.5.1) is the setting postmaster where that has a domain. Without a domain otherwise, hostname's is meant. */
struct local_names {
	struct slice hostname, postmaster;
};
MUST_USE bool resident_name(const struct local_names *names, struct slice path, struct name *out);
