/*-------------------------------------------------------------------------
 *
 * usercontext.c
 *	  Run as the owner of a relation, restricted, under recorded settings.
 *
 * What a user's expression could change is undone on leaving: settings by a
 * nest level of their own, the user id by hand.  Under
 * SECURITY_RESTRICTED_OPERATION it can neither change the role nor leave
 * anything in the session that outlives the call.  An error needs no care:
 * the abort of the (sub)transaction restores both.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/usercontext.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* What the value of an immutable or stable expression may depend on. */
static const char *const recorded[] = {
	"TimeZone",
	"DateStyle",
	"IntervalStyle",
	"extra_float_digits",
	"search_path"
};

static void apply_setting(const char *setting);
static void set(const char *name, const char *value);

/*
 * Become userid, restricted; see usercontext.h.
 */
void
weir_user_enter(WeirUserContext *context, Oid userid, List *settings)
{
	ListCell   *lc;

	GetUserIdAndSecContext(&context->save_userid,
						   &context->save_sec_context);
	SetUserIdAndSecContext(userid, context->save_sec_context |
						   SECURITY_RESTRICTED_OPERATION);
	context->save_nestlevel = NewGUCNestLevel();

	/* With "off" a policy would raise instead of filter. */
	set("row_security", "on");
	set("search_path", "pg_catalog, pg_temp");
	foreach(lc, settings)
		apply_setting(lfirst(lc));
}

/*
 * Become again who entered.
 */
void
weir_user_leave(WeirUserContext *context)
{
	AtEOXact_GUC(false, context->save_nestlevel);
	SetUserIdAndSecContext(context->save_userid, context->save_sec_context);
}

/*
 * SET CONSTRAINTS ALL IMMEDIATE; see usercontext.h.
 */
void
weir_constraints_immediate(void)
{
	ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

	AfterTriggerSetState(immediate);
}

/*
 * The present values of the settings that a continuous view records, as
 * "name=value" strings in the current memory context.
 */
List *
weir_user_settings(void)
{
	List	   *settings = NIL;

	for (int i = 0; i < lengthof(recorded); i++)
	{
		char	   *value = GetConfigOptionByName(recorded[i], NULL, false);

		settings = lappend(settings, psprintf("%s=%s", recorded[i], value));
	}
	return settings;
}

/*
 * Apply "name=value".  Any other name would be a way to turn a setting on
 * for a worker by writing to the catalog.
 */
static void
apply_setting(const char *setting)
{
	const char *value = strchr(setting, '=');

	for (int i = 0; value != NULL && i < lengthof(recorded); i++)
	{
		size_t		length = strlen(recorded[i]);

		if (length == value - setting &&
			strncmp(recorded[i], setting, length) == 0)
		{
			set(recorded[i], value + 1);
			return;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("unexpected recorded setting \"%s\"", setting)));
}

/*
 * Set a setting until the present nest level ends.
 */
static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
