/*
 * curl_priv.h - what every request made with libcurl has in common.
 *
 * For:     client.c and fetch.c.
 * Not for: anybody else; curl's names stay in those two files.
 * Threads: any; works on the handle given.
 * Memory:  url, headers and body are copied; the caller frees *list after the handle is done with it.
 */
#ifndef GUILD_HTTP_CURL_PRIV_H
#define GUILD_HTTP_CURL_PRIV_H

#include <curl/curl.h>

#include "base/str.h"

/* Method, address, headers (NULL at the end; may be NULL), body, and what we never do: signals, redirects, other protocols,
 * unverified peers. False without memory. */
bool http_curl_prepare(CURL *easy, const char *method, const char *url, const char *const *headers, struct str body,
		       struct curl_slist **list);

#endif
