/*-------------------------------------------------------------------------
 *
 * usercontext.h
 *	  Run as the owner of a relation, restricted, under recorded settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_USERCONTEXT_H
#define WEIR_USERCONTEXT_H

#include "base/compat.h"
#include "nodes/pg_list.h"

typedef struct WeirUserContext
{
	Oid			save_userid;
	int			save_sec_context;
	int			save_nestlevel;
} WeirUserContext;

/*
 * Become userid under SECURITY_RESTRICTED_OPERATION, with the given settings
 * ("name=value" strings, as weir.view.settings has them) in force; without
 * settings the search_path is pg_catalog, pg_temp.  row_security is on.  I8.
 * Undone by weir_user_leave(), or by the abort of the surrounding
 * (sub)transaction.
 */
extern void weir_user_enter(WeirUserContext *context, Oid userid,
							List *settings);
extern void weir_user_leave(WeirUserContext *context);

/* The settings a continuous view records: "name=value", present values. */
extern List *weir_user_settings(void);

/*
 * Until the end of the transaction no trigger is deferred: restricted code must
 * leave none behind.  Those that are pending fire now, as the current user.
 */
extern void weir_constraints_immediate(void);

#endif							/* WEIR_USERCONTEXT_H */
