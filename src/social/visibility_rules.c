/* visibility_rules.c - may they see it? */
#include "social/visibility_rules.h"

bool visibility_allows(const struct place *place, int64_t viewer_workspace, int64_t viewer, bool is_member)
{
	if (place->workspace != viewer_workspace) {
		return false;
	}
	switch (place->visibility) {
	case VISIBILITY_PUBLIC:
		return true;
	case VISIBILITY_CHANNEL:
		return !place->channel_private || is_member;
	case VISIBILITY_DIRECTED:
		return viewer == place->author || viewer == place->audience;
	}
	return false;
}

struct audience visibility_audience(const struct place *place)
{
	if (place->visibility == VISIBILITY_DIRECTED) {
		return (struct audience){place->author, place->audience};
	}
	return (struct audience){visibility_public(place) ? 0 : place->audience, 0};
}

bool visibility_public(const struct place *place)
{
	return place->visibility == VISIBILITY_PUBLIC || (place->visibility == VISIBILITY_CHANNEL && !place->channel_private);
}
