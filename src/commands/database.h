/*-------------------------------------------------------------------------
 *
 * database.h
 *	  Statements on whole databases, which workers must leave first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_COMMANDS_DATABASE_H
#define WEIR_COMMANDS_DATABASE_H

#include "base/compat.h"
#include "nodes/nodes.h"

/*
 * The database whose workers must leave before this utility statement can
 * succeed, or InvalidOid: there is none, or the current user may not do it
 * anyway.  Needs a transaction.
 */
extern Oid	weir_database_to_leave(Node *statement);

#endif							/* WEIR_COMMANDS_DATABASE_H */
