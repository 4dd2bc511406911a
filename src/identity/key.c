/* key.c - which key is nearest, and where a key may be sent. */
#include "identity/identity_priv.h"
#include "wire/address.h"
#include "wire/url.h"

bool key_base_url_public(struct str base_url)
{
	struct url url;
	return url_parse(base_url, &url) == ERR_OK && !url.has_userinfo && str_eq_case(url.scheme, STR("https")) &&
		   address_host_public(url.host);
}

struct str key_host(struct str base_url)
{
	struct url url;
	if (base_url.len == 0 || url_parse(base_url, &url) != ERR_OK) {
		return STR("");
	}
	return url.host;
}

enum err key_get(struct guild *guild, int64_t workspace, int64_t principal, struct str provider,
	struct keyring_secret *out, struct key_place *place)
{
	const struct key_row *key = principal != 0 ? identity_key(guild->identity, workspace, principal, provider) : NULL;
	if (key == NULL) {
		key = identity_key(guild->identity, workspace, 0, provider);
	}
	if (key == NULL) {
		return ERR_NOT_FOUND;
	}
	if (guild->keyring == NULL) {
		return ERR_KEY;
	}
	*place = (struct key_place){key->base_url, key->guarded && key->base_url.len > 0};
	return keyring_unseal(guild->keyring, workspace, provider, key_host(key->base_url), key->id, key->sealed, out);
}
