/*-------------------------------------------------------------------------
 *
 * option.h
 *	  Options of servers, user mappings, streams and their columns: one
 *	  table, its validator, and its lookups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_OPTION_H
#define WEIR_OPTION_H

#include "base/compat.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Times that events and options may have: the years 1970 to 2200. */
#define WEIR_MIN_TIMESTAMP	(-INT64CONST(10957) * USECS_PER_DAY)
#define WEIR_END_TIMESTAMP	(INT64CONST(73414) * USECS_PER_DAY)

typedef enum WeirSourceKind
{
	WEIR_KAFKA,
	WEIR_GENERATOR
} WeirSourceKind;

/*
 * Check options of an object of catalog (ForeignDataWrapperRelationId,
 * ForeignServerRelationId, UserMappingRelationId, ForeignTableRelationId,
 * AttributeRelationId) for a foreign data wrapper of the given kind.  Raises
 * FDW_INVALID_OPTION_NAME with a hint that lists the valid ones, or
 * FDW_INVALID_ATTRIBUTE_VALUE for a value.
 */
extern void weir_option_validate(WeirSourceKind kind, Oid catalog,
								 List *options);

/*
 * The librdkafka property for an allowed server or mapping option ("_"
 * became "."), or NULL if the option is not one of librdkafka's.  Only what
 * this returns may reach rd_kafka_conf_set.
 */
extern const char *weir_option_property(const char *name);

/* May this table or column option change while a view reads the stream? */
extern bool weir_option_frozen(Oid catalog, const char *name);

/* Value of an option, or NULL. */
extern const char *weir_option_get(List *options, const char *name);

/*
 * Exact time: an interval without days or months, in microseconds; also
 * 'infinity' (PG_INT64_MAX) where allowed.  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE that names the option.
 */
extern int64 weir_option_microseconds(const char *name, const char *value,
									  bool infinity_allowed);

/*
 * A generator's start: an instant, or (*relative) an exact time before the
 * creation of the stream, as a number that is zero or negative.  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE.
 */
extern TimestampTz weir_option_start(const char *name, const char *value,
									 bool *relative);

#endif							/* WEIR_OPTION_H */
