/* fetch.c - one blocking request: a multi handle with one transfer, looked at five times a second. */
#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "http/client.h"
#include "http/curl_priv.h"

#define DETAIL_BYTES 128
#define TICK_MS 200
#define CONNECT_MS 10000L

struct fetch {
	const struct http_fetch *request;
	struct buf *reply;
	CURL *easy;
	struct curl_slist *headers;
	enum err stop; /* why our own callbacks ended it */
	char error[CURL_ERROR_SIZE];
};

static size_t on_body(char *at, size_t size, size_t count, void *ctx)
{
	struct fetch *fetch = ctx;
	struct str bytes = {at, size * count};

	if (fetch->request->body_bytes) {
		fetch->stop = fetch->request->body_bytes(fetch->request->ctx, bytes) ? ERR_OK : ERR_CANCELLED;
	} else {
		buf_put_str(fetch->reply, bytes);
		fetch->stop = buf_err(fetch->reply);
	}
	return fetch->stop ? CURL_WRITEFUNC_ERROR : bytes.len;
}

static bool set_handling(struct fetch *fetch)
{
	CURL *easy = fetch->easy;
	int bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)((fetch->request->total_timeout_us + 999) / 1000));
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)fetch);
	return bad == 0;
}

/* Runs the transfer to its end. *code: curl's verdict; CURLE_OK with fetch->stop set when tick said so. */
static enum err run(struct fetch *fetch, CURLM *multi, CURLcode *code)
{
	const struct http_fetch *request = fetch->request;
	int running = 1, left;
	CURLMsg *message;

	*code = CURLE_OK;
	while (running) {
		if (curl_multi_perform(multi, &running) != CURLM_OK) {
			return ERR_IO;
		}
		if (!fetch->stop && request->tick && !request->tick(request->ctx)) {
			fetch->stop = ERR_CANCELLED;
		}
		if (fetch->stop) {
			return fetch->stop;
		}
		if (running && curl_multi_poll(multi, NULL, 0, TICK_MS, NULL) != CURLM_OK) {
			return ERR_IO;
		}
	}
	while ((message = curl_multi_info_read(multi, &left))) {
		*code = message->data.result;
	}
	if (*code == CURLE_OK) {
		return ERR_OK;
	}
	/* Without a total time-out it can only be that of connecting. */
	return *code == CURLE_OPERATION_TIMEDOUT && request->total_timeout_us ? ERR_TIMED_OUT : ERR_IO;
}

static enum err fetch_with(struct fetch *fetch, CURLM *multi, int *status, char *content_type, char *detail)
{
	const struct http_fetch *request = fetch->request;
	CURLcode code = CURLE_OK;
	long answered = 0;
	const char *type = NULL;
	enum err err;

	if (!http_curl_prepare(fetch->easy, request->method, request->url, request->headers, request->body, &fetch->headers) ||
	    !set_handling(fetch) || curl_multi_add_handle(multi, fetch->easy) != CURLM_OK) {
		snprintf(detail, DETAIL_BYTES, "out of memory");
		return ERR_IO;
	}
	err = run(fetch, multi, &code);
	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &answered);
	curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
	*status = (int)answered;
	snprintf(content_type, 64, "%s", type ? type : "");
	if (err) {
		const char *words = fetch->error[0] ? fetch->error : curl_easy_strerror(code);
		snprintf(detail, DETAIL_BYTES, "%.127s",
			 fetch->stop == ERR_CANCELLED ? "stopped" : fetch->stop ? "the reply is too large" : words);
	}
	curl_multi_remove_handle(multi, fetch->easy);
	return err;
}

enum err http_fetch(const struct http_fetch *request, int *status, char content_type[64], struct buf *reply, char *detail)
{
	struct fetch fetch = {.request = request, .reply = reply};
	CURLM *multi = curl_multi_init();
	enum err err = ERR_IO;

	check(request->method && request->url && (reply || request->body_bytes));
	*status = 0;
	content_type[0] = 0;
	detail[0] = 0;
	fetch.easy = curl_easy_init();
	if (multi && fetch.easy) {
		err = fetch_with(&fetch, multi, status, content_type, detail);
	} else {
		snprintf(detail, DETAIL_BYTES, "out of memory");
	}
	curl_easy_cleanup(fetch.easy);
	curl_slist_free_all(fetch.headers);
	curl_multi_cleanup(multi);
	return err;
}
