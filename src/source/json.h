/*-------------------------------------------------------------------------
 *
 * json.h
 *	  A strict scanner of one JSON text.
 *
 * Builds without a PostgreSQL server and allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "source/json_shape.h"

/* A text nested deeper than this is refused with 54001. */
#define WEIR_JSON_MAX_DEPTH 512

typedef enum WeirJsonKind
{
	WEIR_JSON_ABSENT,
	WEIR_JSON_NULL,
	WEIR_JSON_TRUE,
	WEIR_JSON_FALSE,
	WEIR_JSON_NUMBER,
	WEIR_JSON_STRING,
	WEIR_JSON_OBJECT,
	WEIR_JSON_ARRAY
} WeirJsonKind;

/* What one text holds for a wanted field */
typedef struct WeirJsonValue
{
	const char *start;			/* span in the text; a string's inside */
	size_t		len;
	WeirJsonKind kind;
	bool		escaped;		/* string that needs weir_json_unescape() */
	bool		plain;			/* number spelt as numeric's output would be */
} WeirJsonValue;

typedef struct WeirJsonError
{
	char		sqlstate[6];
	const char *reason;			/* constant text, never payload */
	size_t		position;		/* in bytes, from 0 */
} WeirJsonError;

/* Where a walk over the members of an object stands */
typedef struct WeirJsonMembers
{
	const char *at;
	const char *end;
} WeirJsonMembers;

extern bool weir_json_scan(const WeirJsonShape *shape, const char *buf,
						   size_t len, WeirJsonValue *values,
						   WeirJsonError *error);
extern size_t weir_json_unescape(const char *raw, size_t len, char *out);
extern void weir_json_members(WeirJsonMembers *members, const char *buf,
							  size_t len);
extern bool weir_json_next_member(WeirJsonMembers *members,
								  WeirJsonValue *key, WeirJsonValue *value);

#endif							/* WEIR_JSON_H */
