/*-------------------------------------------------------------------------
 *
 * json_shape.c
 *	  Builds the shape of the wanted fields of a JSON text.
 *
 * It is built once, so its loops over all pairs of fields are quick enough.
 *
 *-------------------------------------------------------------------------
 */
#include "source/json_shape.h"

/* Memory of a shape that is being built */
typedef struct Builder
{
	WeirJsonShape *shape;
	const WeirJsonField *fields;
	int		   *tables;			/* next free */
	char	   *names;			/* next free */
} Builder;

/* Tell whether two fields have their first n path elements in common. */
static bool
same_path(const WeirJsonField *a, const WeirJsonField *b, int n)
{
	if (a->npath < n || b->npath < n)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (strcmp(a->path[i], b->path[i]) != 0)
			return false;
	}
	return true;
}

/* Tell whether no earlier field has the first n elements of field f's path. */
static bool
is_first_with_path(const Builder *builder, int f, int n)
{
	for (int i = 0; i < f; i++)
	{
		if (same_path(&builder->fields[i], &builder->fields[f], n))
			return false;
	}
	return true;
}

/* Count the children of the node that is the first n elements of f's path. */
static int
count_children(const Builder *builder, int f, int n)
{
	int			count = 0;

	for (int i = f; i < builder->shape->nfields; i++)
	{
		if (builder->fields[i].npath > n &&
			same_path(&builder->fields[i], &builder->fields[f], n) &&
			is_first_with_path(builder, i, n + 1))
			count++;
	}
	return count;
}

/* Chain the fields whose path is the first n elements of f's path. */
static int
chain_fields(Builder *builder, int f, int n)
{
	int			first = WEIR_JSON_NO_FIELD;

	for (int i = builder->shape->nfields - 1; i >= f; i--)
	{
		if (builder->fields[i].npath == n &&
			same_path(&builder->fields[i], &builder->fields[f], n))
		{
			builder->shape->next_field[i] = first;
			first = i;
		}
	}
	return first;
}

/* Give a node an empty table for its children: at most half of it is used. */
static int *
add_table(Builder *builder, WeirJsonNode *node, int nchildren)
{
	int		   *table = builder->tables;
	uint32_t	size = 2;

	while (size < 2 * (uint32_t) nchildren)
		size *= 2;
	for (uint32_t i = 0; i < size; i++)
		table[i] = WEIR_JSON_NO_NODE;
	builder->tables += size;
	node->table = table;
	node->table_mask = size - 1;
	return table;
}

static void
set_name(Builder *builder, WeirJsonNode *node, const char *name)
{
	node->len = strlen(name);
	node->name = builder->names;
	memcpy(builder->names, name, node->len);
	builder->names += node->len;
	node->prefix = weir_json_name_prefix(name, node->len);
}

/*
 * Add the node that is the first n elements of f's path, and all below it.
 * Recurses as deep as the longest path.
 */
static int
add_node(Builder *builder, int f, int n)
{
	WeirJsonShape *shape = builder->shape;
	int			index = shape->nnodes++;
	WeirJsonNode *node = &shape->nodes[index];
	int			nchildren = count_children(builder, f, n);
	int		   *table;

	memset(node, 0, sizeof(WeirJsonNode));
	set_name(builder, node, n > 0 ? builder->fields[f].path[n - 1] : "");
	node->field = chain_fields(builder, f, n);
	if (nchildren == 0)
		return index;

	table = add_table(builder, node, nchildren);
	for (int i = f; i < shape->nfields; i++)
	{
		if (builder->fields[i].npath > n &&
			same_path(&builder->fields[i], &builder->fields[f], n) &&
			is_first_with_path(builder, i, n + 1))
		{
			int			child = add_node(builder, i, n + 1);
			uint32_t	slot = weir_json_hash_name(shape->nodes[child].prefix,
												   shape->nodes[child].len);

			while (table[slot & node->table_mask] != WEIR_JSON_NO_NODE)
				slot++;
			table[slot & node->table_mask] = child;
		}
	}
	node->below = shape->nnodes - index - 1;
	return index;
}

/* Count the nodes (at most) and the bytes of all names. */
static void
count_names(const WeirJsonField *fields, int nfields,
			size_t *nnodes, size_t *nbytes)
{
	*nnodes = 1;
	*nbytes = 0;
	for (int f = 0; f < nfields; f++)
	{
		*nnodes += (size_t) fields[f].npath;
		for (int i = 0; i < fields[f].npath; i++)
			*nbytes += strlen(fields[f].path[i]);
	}
}

/*
 * weir_json_shape_size
 *		Return how many bytes weir_json_shape_init() needs for these fields.
 */
size_t
weir_json_shape_size(const WeirJsonField *fields, int nfields)
{
	size_t		nnodes;
	size_t		nbytes;

	/* tables: fewer than four places a child, and two at least */
	count_names(fields, nfields, &nnodes, &nbytes);
	return sizeof(WeirJsonShape) + nnodes * sizeof(WeirJsonNode) +
		(size_t) nfields * sizeof(int) + 4 * nnodes * sizeof(int) + nbytes;
}

/*
 * weir_json_shape_init
 *		Build the shape for these fields in memory, which is aligned as malloc
 *		aligns and has weir_json_shape_size() bytes.
 *
 * Every path has at least one element; two fields may have the same path.
 * The shape keeps no pointer to the fields, and may be shared by scans.
 */
WeirJsonShape *
weir_json_shape_init(void *memory, const WeirJsonField *fields, int nfields)
{
	WeirJsonShape *shape = memory;
	WeirJsonField none = {NULL, 0};
	Builder		builder;
	size_t		nnodes;
	size_t		nbytes;

	count_names(fields, nfields, &nnodes, &nbytes);
	shape->nfields = nfields;
	shape->nnodes = 0;
	shape->nodes = (WeirJsonNode *) (shape + 1);
	shape->next_field = (int *) (shape->nodes + nnodes);
	builder.shape = shape;
	builder.fields = nfields > 0 ? fields : &none;
	builder.tables = shape->next_field + nfields;
	builder.names = (char *) (builder.tables + 4 * nnodes);
	add_node(&builder, 0, 0);
	return shape;
}
