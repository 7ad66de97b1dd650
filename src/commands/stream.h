/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  What may change about a stream while continuous views read it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_COMMANDS_STREAM_H
#define WEIR_COMMANDS_STREAM_H

#include "base/compat.h"
#include "nodes/parsenodes.h"

/*
 * Raise OBJECT_IN_USE if the statement would change what a continuous view's
 * past and future rows have in common: the log, or how its messages are
 * read.  For statements on anything but a stream, a type of its columns or a
 * server of one they do nothing.  Need a transaction.
 */
extern void weir_stream_check_alter(AlterTableStmt *statement);
extern void weir_stream_check_rename(RenameStmt *statement);
extern void weir_stream_check_domain(AlterDomainStmt *statement);
extern void weir_stream_check_enum(AlterEnumStmt *statement);
extern void weir_server_check_alter(AlterForeignServerStmt *statement);

#endif							/* WEIR_COMMANDS_STREAM_H */
