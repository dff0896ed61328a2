/* SPDX-License-Identifier: Apache-2.0 */
#include "core/guard_settings.h"

struct guard_settings guard_settings_of(const struct service_model *service, unsigned given)
{
	return (struct guard_settings){.given = given,
#define X(part, key, type, member) .member = service->member,
				       GUARD_SETTINGS(X)
#undef X
	};
}

static bool is_given(const struct guard_settings *settings, enum guard_setting which)
{
	return settings->given & 1U << which;
}

void guard_settings_apply(const struct guard_settings *settings, struct service_model *service)
{
#define X(part, key, type, member)                                                                                     \
	if (is_given(settings, GUARD_SETTING_##member))                                                                \
		service->member = settings->member;
	GUARD_SETTINGS(X)
#undef X
}

struct guard_settings guard_settings_in_place_of(const struct guard_settings *settings,
						 const struct guard_settings *others,
						 const struct service_model *service)
{
	struct guard_settings still = *settings;

#define X(part, key, type, member)                                                                                     \
	if (!is_given(others, GUARD_SETTING_##member) || others->member != service->member)                            \
		still.given &= ~(1U << GUARD_SETTING_##member);
	GUARD_SETTINGS(X)
#undef X
	return still;
}

bool guard_settings_hold(const struct guard_settings *settings, const struct service_model *service)
{
	bool hold = true;

#define X(part, key, type, member)                                                                                     \
	hold &= !is_given(settings, GUARD_SETTING_##member) || settings->member == service->member;
	GUARD_SETTINGS(X)
#undef X
	return hold;
}
