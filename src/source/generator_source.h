/*-------------------------------------------------------------------------
 *
 * generator_source.h
 *	  The generator as a source of messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_GENERATOR_SOURCE_H
#define WEIR_GENERATOR_SOURCE_H

#include "base/compat.h"
#include "source/generator.h"
#include "source/source.h"

/*
 * Read the options of a generator stream, which passed weir_option_validate()
 * one by one, and check that they fit together.  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE.  False if start is not an instant yet.
 */
extern bool weir_generator_read_options(List *table_options,
										WeirGeneratorOptions *options);

/*
 * A source over the stream called name.  Allocated in the current memory
 * context; see weir_stream_open().  Raises OBJECT_NOT_IN_PREREQUISITE_STATE
 * if start was never resolved.
 */
extern WeirSource *weir_generator_open(List *table_options, const char *name);

#endif							/* WEIR_GENERATOR_SOURCE_H */
