/* SPDX-License-Identifier: Apache-2.0 */
/* How a transition gets into the history, before it is done, and what is said of it. */
#ifndef DAEMON_TRANSITION_H
#define DAEMON_TRANSITION_H

#include "daemon/supervisor.h"

/*
 * The transition, with the numbers behind every gate's verdict, in one. `record`: the state after it. 0 or -errno. Of a
 * rollback, which happens all the same, what cannot be written down is owed to the history.
 */
int transition_keep(struct supervisor *supervisor, const struct record *record, const struct request *request,
		    const struct rollout_transition *transition, struct error *error);
/* A change without one. */
int transition_keep_change(struct supervisor *supervisor, const struct record *record, const struct request *request,
			   struct error *error);
/* Writes down what is owed. 0 or -errno; supervisor_save() does it, too. */
int transition_settle(struct supervisor *supervisor, struct error *error);
void transition_forget(struct supervisor *supervisor);

/* After a judgement: what others say now, where it is another thing than before. `kept`: a transition has kept it already. */
void transition_keep_answers(struct supervisor *supervisor, bool kept);

/* Says so in the log. */
void transition_announce(struct supervisor *supervisor, const struct rollout_transition *transition);

#endif
