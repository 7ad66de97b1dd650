/*-------------------------------------------------------------------------
 *
 * json_shape.h
 *	  The wanted fields of a JSON text, prepared for scanning.
 *
 * A shape is a tree of the wanted keys.  Its nodes stand in depth-first order,
 * so all below a node are the ones right after it.  Each node finds a child by
 * a small open hash table over the key's first eight bytes and its length.
 *
 * Builds without a PostgreSQL server and allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_JSON_SHAPE_H
#define WEIR_JSON_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEIR_JSON_NO_NODE	(-1)
#define WEIR_JSON_NO_FIELD	(-1)
#define WEIR_JSON_ROOT		0

/* A wanted field: a dotted path already split; one element is a top key */
typedef struct WeirJsonField
{
	const char *const *path;
	int			npath;
} WeirJsonField;

/* One wanted key */
typedef struct WeirJsonNode
{
	uint64_t	prefix;			/* first bytes of the name, zero padded */
	const char *name;
	size_t		len;
	int			field;			/* first field, or WEIR_JSON_NO_FIELD */
	int			below;			/* how many nodes are below this one */
	const int  *table;			/* hash table of children, NULL if none */
	uint32_t	table_mask;
} WeirJsonNode;

typedef struct WeirJsonShape
{
	int			nfields;
	int			nnodes;
	WeirJsonNode *nodes;
	int		   *next_field;		/* per field, the next one of the same node */
} WeirJsonShape;

extern size_t weir_json_shape_size(const WeirJsonField *fields, int nfields);
extern WeirJsonShape *weir_json_shape_init(void *memory,
										   const WeirJsonField *fields,
										   int nfields);

/* The first eight bytes of a name, zero padded */
static inline uint64_t
weir_json_name_prefix(const char *name, size_t len)
{
	uint64_t	prefix = 0;

	memcpy(&prefix, name, len < sizeof(prefix) ? len : sizeof(prefix));
	return prefix;
}

/* The same, read in one go where the text has eight bytes more */
static inline uint64_t
weir_json_key_prefix(const char *key, size_t len, const char *end)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t	prefix;

	if (end - key >= (ptrdiff_t) sizeof(prefix))
	{
		memcpy(&prefix, key, sizeof(prefix));
		if (len == 0)
			return 0;
		return len >= sizeof(prefix) ? prefix :
			prefix & (~UINT64_C(0) >> (8 * (sizeof(prefix) - len)));
	}
#endif
	return weir_json_name_prefix(key, len);
}

static inline uint32_t
weir_json_hash_name(uint64_t prefix, size_t len)
{
	return (uint32_t) (((prefix + len) * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

/*
 * Find a child by a key without escapes; end is that of the text around it.
 */
static inline int
weir_json_shape_find(const WeirJsonShape *shape, const WeirJsonNode *parent,
					 const char *key, size_t len, const char *end)
{
	uint64_t	prefix = weir_json_key_prefix(key, len, end);
	uint32_t	slot = weir_json_hash_name(prefix, len);
	int			child;

	while ((child = parent->table[slot & parent->table_mask]) !=
		   WEIR_JSON_NO_NODE)
	{
		const WeirJsonNode *node = &shape->nodes[child];

		if (node->prefix == prefix && node->len == len &&
			(len <= sizeof(prefix) ||
			 memcmp(node->name + sizeof(prefix), key + sizeof(prefix),
					len - sizeof(prefix)) == 0))
			return child;
		slot++;
	}
	return WEIR_JSON_NO_NODE;
}

#endif							/* WEIR_JSON_SHAPE_H */
