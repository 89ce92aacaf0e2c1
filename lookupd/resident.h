/* lookupd/resident.h: who an address is: a user, an alias, nobody, or not ours.
 * Touches: the cache, through lookup_get. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "lookupd/lookup.h"
#include "lookupd/name.h"

struct aliases;
struct fault;

enum resident_kind {
	RESIDENT_LATER,	    /* not known yet, or the look-up failed */
	RESIDENT_ELSEWHERE, /* its domain is not ours */
	RESIDENT_RELAYED,   /* of a domain that we relay for, and it takes the address */
	RESIDENT_USER,
	RESIDENT_ALIAS,
	RESIDENT_NOBODY,   /* our domain, nobody there */
	RESIDENT_DISABLED, /* domain or user switched off */
	RESIDENT_NEEDED,   /* postmaster or abuse of a domain of ours (RFC 5321 4.5.1, RFC 2142 4),
			      and nobody takes it */
};

/* What the answer is from. */
enum resident_source {
	RESIDENT_ROW,	   /* the row of that local part */
	RESIDENT_ROW_BASE, /* that of the local part without +detail */
	RESIDENT_CATCH_ALL,
	RESIDENT_FILE,	     /* aliases_file */
	RESIDENT_POSTMASTER, /* the setting postmaster */
};

struct resident {
	enum resident_kind kind;
	enum resident_source source;
	const struct rows *rows; /* USER: the user's row; ALIAS: a target each */
	struct slice local;	 /* USER: the local part it was found under, without detail; in the
				    struct name */
};

/* What is ours beside the database. hostname "" where it is not known. */
struct local_names {
	struct slice hostname, postmaster;  /* the settings */
	const struct aliases *aliases;	    /* aliases_file; NULL: none */
	const struct rows *postmaster_rows; /* the setting postmaster as the target of an alias;
					       NULL: it has no domain */
};

/* Looks for the alias, then the user; then both without +detail; then the domain's catch-all; and
 * for names at hostname, whether or not its domain is among ours, in aliases_file. past_alias:
 * users only (for a target that is the alias itself).
 *
 * postmaster and abuse of a domain of ours (and a bare one) always reach someone: who of these is
 * the first that leads to anyone: what is said above; the setting postmaster; in aliases_file abuse
 * (where that is meant), postmaster, root. */
struct resident resident_find(struct lookup *l, const struct local_names *names,
			      const struct name *n, bool past_alias);

/* A target of an alias that was found for n. */
struct resident_target {
	struct slice path;
	bool past_alias; /* it is n itself, or \name in aliases_file */
};
/* The row's target, and its name. In aliases_file it may be without a domain. False: it is no
 * address; out->path holds it all the same. */
MUST_USE bool resident_target(const struct resident *r, size_t row, const struct local_names *names,
			      const struct name *n, struct resident_target *out, struct name *name);

#define FOLDER_MAX 1024
/* The user's Maildir below mail_dir, ending in '/': its own, or DOMAIN/LOCAL-PART/. Fails:
 * temporary, when what the database says would lead elsewhere. */
MUST_USE bool resident_folder(const struct resident *r, const struct name *n,
			      char out[FOLDER_MAX + 1], struct slice *folder, struct fault *why);

/* path, or what it stands for: a bare "postmaster" (RFC 5321 4.5.1) is the setting postmaster where
 * that has a domain. Without a domain otherwise, hostname's is meant. */
MUST_USE bool resident_name(const struct local_names *names, struct slice path, struct name *out);
