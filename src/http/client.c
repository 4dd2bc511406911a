/*
 * client.c - libcurl's multi interface, driven by the loop.
 *
 * curl says which descriptors to watch and when to be called; the loop does both. A call is handed to curl by a task and
 * ends by a task, so that starting and ending never happen inside one of curl's own callbacks, which it does not allow.
 *
 *   WAITING -> CONNECTING -> SENT -> READING -> ENDED      (to ENDED from any)
 */
#include "http/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/curl_priv.h"
#include "loop/socket_fault.h"
#include "wire/address.h"
#include "wire/url.h"

#define CONNECT_US 5000000
#define CONNECT_SPARE_US 1000000
#define FIRST_BYTE_US 60000000
#define IDLE_US 60000000
#define TOTAL_US 600000000
#define EASY_KEPT 64
#define CONTENT_TYPE_BYTES 128
#define RETRY_AFTER_MS_MAX 86400000

enum call_state {
	CALL_WAITING,    /* the task hands it to curl */
	CALL_CONNECTING, /* curl's connect time-out runs, and ours behind it */
	CALL_SENT,       /* connected; the first byte is waited for */
	CALL_READING,    /* bytes came; the next ones are waited for */
	CALL_ENDED,      /* err and reason are set; the task says done */
};

struct http_call {
	struct http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct list link;
	struct loop_task task;
	struct loop_timer timer; /* at the earlier of phase_at_us and total_at_us, or before */
	enum call_state state;
	bool in_multi;
	bool head_said;
	bool public_only;
	int status;
	char content_type[CONTENT_TYPE_BYTES];
	size_t content_type_bytes;
	int64_t retry_after_ms;
	int64_t connect_timeout_us;
	int64_t first_byte_timeout_us;
	int64_t idle_timeout_us;
	int64_t phase_at_us;
	int64_t total_at_us;
	void (*head)(void *ctx, int status, struct str content_type, int64_t retry_after_ms);
	void (*body_bytes)(void *ctx, struct str bytes);
	void (*done)(void *ctx, enum err err, const char *reason);
	void *ctx;
	enum err err;
	const char *reason;
};

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer timer; /* curl's */
	int64_t timer_at_us;
	struct loop_task timer_task; /* sets the timer that there was no memory for */
	struct list calls;
	size_t active;
	bool inside; /* in curl: no handle may be released */
	CURL *easies[EASY_KEPT];
	size_t easy_count;
};

static void on_call_task(struct loop_task *task, struct loop *loop);
static void on_call_timer(struct loop_timer *timer, struct loop *loop);
static void on_timer_task(struct loop_task *task, struct loop *loop);
static void call_end(struct http_call *call, enum err err, const char *reason);

/* ---- curl on the loop ---- */

static void classify(CURLcode code, enum err *err, const char **reason)
{
	*err = ERR_PROVIDER_FAILED;
	switch (code) {
	case CURLE_OK:
		*err = ERR_OK;
		*reason = "ok";
		return;
	case CURLE_OPERATION_TIMEDOUT:
		/* The only time-out curl is given. */
		*err = ERR_PROVIDER_TIMEOUT;
		*reason = "connect";
		return;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_PROXY:
		*reason = "connect";
		return;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_SHUTDOWN_FAILED:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		*reason = "tls";
		return;
	default:
		*reason = "cut";
	}
}

/* What curl could not go on with, without a word about which call it was: each of them hears of it, none waits for its time-out. */
static void calls_cut(struct http_client *client)
{
	for (struct list *at = client->calls.next; at != &client->calls; at = at->next) {
		struct http_call *call = container_of(at, struct http_call, link);
		if (call->in_multi) {
			call_end(call, ERR_PROVIDER_FAILED, "cut");
		}
	}
}

static void curl_act(struct http_client *client, curl_socket_t fd, int bits)
{
	CURLMsg *message;
	CURLMcode code;
	int running, left;

	check(!client->inside);
	client->inside = true;
	code = curl_multi_socket_action(client->multi, fd, bits, &running);
	client->inside = false;
	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct http_call *call = NULL;
		const char *reason;
		enum err err;
		if (message->msg != CURLMSG_DONE) {
			continue;
		}
		classify(message->data.result, &err, &reason);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call_end(call, err, reason);
	}
	if (code != CURLM_OK) {
		log_at(LOG_ERROR, "provider_calls_cut", log_s("error", str_of(curl_multi_strerror(code))), log_i("calls", running));
		calls_cut(client);
	}
}

static void on_ready(void *arg, int fd, unsigned bits)
{
	curl_act(arg, fd, (bits & LOOP_READ ? CURL_CSELECT_IN : 0) | (bits & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_curl_timer(struct loop_timer *timer, struct loop *loop)
{
	(void)loop;
	curl_act(container_of(timer, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* Answers 0 always: curl takes anything else as the end of every call of the loop, and does not say so to any. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned)
{
	struct http_client *client = ctx;
	struct loop_watch *watch = assigned;
	unsigned bits = (what & CURL_POLL_IN ? (unsigned)LOOP_READ : 0) | (what & CURL_POLL_OUT ? (unsigned)LOOP_WRITE : 0);
	enum err err;

	if (what == CURL_POLL_REMOVE) {
		loop_watch_close(&watch);
		curl_multi_assign(client->multi, fd, NULL);
		return 0;
	}
	if (watch) {
		err = loop_watch_change(watch, bits);
	} else {
		err = loop_watch_open(client->loop, fd, bits, on_ready, client, &watch);
		curl_multi_assign(client->multi, fd, watch);
	}
	if (err) {
		struct http_call *call = NULL;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
		call_end(call, ERR_PROVIDER_FAILED, call->state <= CALL_CONNECTING ? "connect" : "cut");
	}
	return 0;
}

static int on_curl_timeout(CURLM *multi, long timeout_ms, void *ctx)
{
	struct http_client *client = ctx;

	(void)multi;
	if (timeout_ms < 0) {
		loop_timer_clear(client->loop, &client->timer);
		loop_task_cancel(&client->timer_task);
		return 0;
	}
	client->timer_at_us = loop_now_us(client->loop) + (int64_t)timeout_ms * 1000;
	if (loop_timer_set(client->loop, &client->timer, client->timer_at_us)) {
		loop_task_add(client->loop, &client->timer_task);
	} else {
		loop_task_cancel(&client->timer_task);
	}
	return 0;
}

/* Turn after turn until it is set: curl asks once. */
static void on_timer_task(struct loop_task *task, struct loop *loop)
{
	struct http_client *client = container_of(task, struct http_client, timer_task);

	if (loop_timer_set(loop, &client->timer, client->timer_at_us)) {
		loop_task_add(loop, task);
	}
}

enum err http_client_create(struct loop *loop, struct http_client **out)
{
	struct http_client *client = mem_alloc(sizeof(*client));

	*out = NULL;
	if (!client) {
		return ERR_MEMORY;
	}
	client->loop = loop;
	client->timer.run = on_curl_timer;
	client->timer_task.run = on_timer_task;
	list_init(&client->timer_task.link);
	list_init(&client->calls);
	client->multi = curl_multi_init();
	if (!client->multi) {
		mem_free(client);
		return ERR_MEMORY;
	}
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timeout);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	/* Unset, it follows the calls under way: a short lull would close most of the connections the next burst wants. */
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)LIMIT_CLIENT_CONNECTIONS);
	*out = client;
	return ERR_OK;
}

void http_client_destroy(struct http_client **client_at)
{
	struct http_client *client = *client_at;

	if (!client) {
		return;
	}
	check(!client->inside);
	while (!list_empty(&client->calls)) {
		struct http_call *call = container_of(client->calls.next, struct http_call, link);
		call_end(call, ERR_CANCELLED, "cancelled");
		loop_task_cancel(&call->task);
		on_call_task(&call->task, client->loop);
	}
	while (client->easy_count) {
		curl_easy_cleanup(client->easies[--client->easy_count]);
	}
	curl_multi_cleanup(client->multi);
	loop_timer_clear(client->loop, &client->timer);
	loop_task_cancel(&client->timer_task);
	mem_free(client);
	*client_at = NULL;
}

size_t http_client_active(const struct http_client *client)
{
	return client->active;
}

/* ---- a call's times ---- */

/* Makes the timer run when the next limit passes. It is moved forward only: a late limit is looked at when it runs. */
static enum err arm(struct http_call *call)
{
	int64_t at_us = call->phase_at_us < call->total_at_us ? call->phase_at_us : call->total_at_us;

	if (call->timer.entry.index && call->timer.entry.at_us <= at_us) {
		return ERR_OK;
	}
	return loop_timer_set(call->client->loop, &call->timer, at_us);
}

static void phase_begin(struct http_call *call, enum call_state state, int64_t timeout_us)
{
	call->state = state;
	call->phase_at_us = loop_now_us(call->client->loop) + timeout_us;
	if (arm(call)) {
		call_end(call, ERR_PROVIDER_FAILED, "cut");
	}
}

static const char *phase_word(const struct http_call *call)
{
	return call->state <= CALL_CONNECTING ? "connect" : call->state == CALL_SENT ? "first_byte" : "idle";
}

static void on_call_timer(struct loop_timer *timer, struct loop *loop)
{
	struct http_call *call = container_of(timer, struct http_call, timer);
	int64_t now_us = loop_now_us(loop);

	if (now_us >= call->total_at_us) {
		call_end(call, ERR_PROVIDER_TIMEOUT, "total");
	} else if (now_us >= call->phase_at_us) {
		call_end(call, ERR_PROVIDER_TIMEOUT, phase_word(call));
	} else if (arm(call)) {
		call_end(call, ERR_PROVIDER_FAILED, "cut");
	}
}

/* ---- what comes from curl ---- */

/* The address that a name was resolved to is judged where the connection to it is made (T15: names that change their mind). */
static bool is_public(const struct curl_sockaddr *to)
{
	char text[INET6_ADDRSTRLEN] = "";
	const struct sockaddr *address = &to->addr;
	const void *bytes = address->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
							   : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;

	return (address->sa_family == AF_INET || address->sa_family == AF_INET6) &&
	       inet_ntop(address->sa_family, bytes, text, sizeof(text)) && address_host_public(str_of(text));
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	const struct http_call *call = ctx;
	int fd = -1;

	(void)purpose;
	if (!call->public_only || is_public(to)) {
		fd = socket_fault_socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	}
	return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int on_connected(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
	struct http_call *call = ctx;

	(void)local;
	(void)remote_port;
	(void)local_port;
	if (call->state == CALL_ENDED) {
		return CURL_PREREQFUNC_ABORT;
	}
	/* A connection that is kept may have been opened for a call that was free to go anywhere. */
	if (call->public_only && !address_host_public(str_of(remote))) {
		call_end(call, ERR_PROVIDER_FAILED, "connect");
		return CURL_PREREQFUNC_ABORT;
	}
	phase_begin(call, CALL_SENT, call->first_byte_timeout_us);
	return CURL_PREREQFUNC_OK;
}

static void status_line(struct http_call *call, struct str line)
{
	ptrdiff_t space = str_find_byte(line, ' ');
	uint64_t status;

	call->status = 0;
	call->content_type_bytes = 0;
	call->retry_after_ms = -1;
	if (space > 0 && str_to_u64(str_sub(line, (size_t)space + 1, 3), &status)) {
		call->status = (int)status;
	}
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static int64_t retry_after(const struct http_call *call, struct str value)
{
	char text[64];
	uint64_t seconds;
	int64_t wait_s;

	if (str_to_u64(value, &seconds)) {
		return seconds < RETRY_AFTER_MS_MAX / 1000 ? (int64_t)seconds * 1000 : RETRY_AFTER_MS_MAX;
	}
	if (value.len == 0 || value.len >= sizeof(text)) {
		return -1;
	}
	wait_s = (int64_t)curl_getdate(str_to_z(value, text, sizeof(text)), NULL);
	if (wait_s < 0) {
		return -1;
	}
	wait_s -= env_wall_us(loop_env(call->client->loop)) / 1000000;
	wait_s = wait_s < 0 ? 0 : wait_s;
	return wait_s < RETRY_AFTER_MS_MAX / 1000 ? wait_s * 1000 : RETRY_AFTER_MS_MAX;
}

static void header_line(struct http_call *call, struct str line)
{
	ptrdiff_t colon = str_find_byte(line, ':');
	struct str name, value;

	if (colon < 0) {
		return;
	}
	name = str_sub(line, 0, (size_t)colon);
	value = str_trim(str_sub(line, (size_t)colon + 1, line.len));
	if (str_eq_case(name, STR("content-type"))) {
		value = str_sub(value, 0, sizeof(call->content_type));
		memcpy(call->content_type, value.at, value.len);
		call->content_type_bytes = value.len;
	} else if (str_eq_case(name, STR("retry-after"))) {
		call->retry_after_ms = retry_after(call, value);
	}
}

/* One header line. The head is whole at its empty line, but for interim replies (1xx); lines after that are trailers. */
static size_t on_header(char *at, size_t size, size_t count, void *ctx)
{
	struct http_call *call = ctx;
	struct str line = {at, size * count};

	if (call->state == CALL_ENDED) {
		return 0;
	}
	phase_begin(call, CALL_READING, call->idle_timeout_us);
	if (call->head_said || call->state == CALL_ENDED) {
		return line.len;
	}
	if (str_starts(line, STR("HTTP/"))) {
		status_line(call, line);
	} else if (str_trim(line).len) {
		header_line(call, line);
	} else if (call->status >= 200) {
		call->head_said = true;
		if (call->head) {
			call->head(call->ctx, call->status, str_make(call->content_type, call->content_type_bytes),
				   call->retry_after_ms);
		}
	}
	return line.len;
}

static size_t on_body(char *at, size_t size, size_t count, void *ctx)
{
	struct http_call *call = ctx;
	struct str bytes = {at, size * count};

	if (call->state != CALL_ENDED) {
		phase_begin(call, CALL_READING, call->idle_timeout_us);
	}
	if (call->state != CALL_ENDED && call->body_bytes && bytes.len) {
		call->body_bytes(call->ctx, bytes);
	}
	/* Anything else than the length makes curl stop. */
	return call->state == CALL_ENDED ? CURL_WRITEFUNC_ERROR : bytes.len;
}

/* ---- starting and ending ---- */

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer) {
		*list = longer;
	}
	return longer != NULL;
}

static bool prepare_method(CURL *easy, const char *method, struct str body)
{
	bool always_body = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
	int bad = 0;

	if (strcmp(method, "HEAD") == 0) {
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
	}
	if (body.len || always_body) {
		bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
		bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		bad |= curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body.len ? body.at : "");
	} else {
		bad |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	bad |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return bad == 0;
}

/* This machine needs no proxy to be reached, whatever http_proxy says. */
static bool is_near(const char *text)
{
	struct conn_address address;
	struct url url;
	char host[80];

	if (url_parse(str_of(text), &url) != ERR_OK) {
		return false;
	}
	snprintf(host, sizeof(host), str_find_byte(url.host, ':') < 0 ? "%.*s:1" : "[%.*s]:1", STR_FMT(url.host));
	return conn_address_parse(str_of(host), &address) == ERR_OK && address.loopback;
}

bool http_curl_prepare(CURL *easy, const char *method, const char *url, const char *const *headers, struct str body,
		       struct curl_slist **list)
{
	int bad = 0;

	*list = NULL;
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "guild");
	bad |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* Its own defaults, said again: a reset that finds no memory (7.88) leaves them out without a word, and then no byte is read. */
	bad |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_MAX_WRITE_SIZE);
	bad |= curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 65536L);
	bad |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 118L);
	bad |= curl_easy_setopt(easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, (long)CURL_HET_DEFAULT);
	bad |= curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1000L);
	bad |= curl_easy_setopt(easy, CURLOPT_URL, url);
	bad |= is_near(url) ? curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") : CURLE_OK;
	if (bad || !prepare_method(easy, method, body)) {
		return false;
	}
	/* What curl would add by itself: waiting for "100 Continue", and a type for a body that is not there. */
	if (!add_header(list, "Expect:") || (body.len == 0 && !add_header(list, "Content-Type:"))) {
		return false;
	}
	for (const char *const *line = headers; line && *line; line++) {
		if (!add_header(list, *line)) {
			return false;
		}
	}
	return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *list) == CURLE_OK;
}

static bool set_request(struct http_call *call, const struct http_call_options *options)
{
	char *url = mem_alloc(options->url.len + 1);
	bool ok;

	if (!url) {
		return false;
	}
	memcpy(url, options->url.at, options->url.len);
	ok = http_curl_prepare(call->easy, options->method, url, options->headers, options->body, &call->headers);
	mem_free(url);
	return ok;
}

static bool set_handling(struct http_call *call, const struct http_call_options *options)
{
	CURL *easy = call->easy;
	int bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)call);
	if (options->cleartext_http2) {
		bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
	}
	if (options->ca_file) {
		bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
	}
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, (void *)call);
	if (options->public_only) {
		bad |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	}
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)((call->connect_timeout_us + 999) / 1000));
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, (void *)call);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, (void *)call);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, (void *)call);
	return bad == 0;
}

/* Gives back what curl holds for the call: the handle keeps its buffers for the next one. Not after a failure: one that lacked memory in the
 * middle of something is not whole again by a reset. */
static void call_release(struct http_call *call)
{
	struct http_client *client = call->client;

	if (call->in_multi) {
		client->inside = true;
		check(curl_multi_remove_handle(client->multi, call->easy) == CURLM_OK);
		client->inside = false;
		call->in_multi = false;
	}
	if (call->easy && call->err == ERR_OK && client->easy_count < EASY_KEPT) {
		curl_easy_reset(call->easy);
		client->easies[client->easy_count++] = call->easy;
	} else if (call->easy) {
		curl_easy_cleanup(call->easy);
	}
	call->easy = NULL;
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

static struct http_call *call_make(struct http_client *client, const struct http_call_options *options)
{
	struct http_call *call = mem_alloc(sizeof(*call));

	if (!call) {
		return NULL;
	}
	call->client = client;
	call->easy = client->easy_count ? client->easies[--client->easy_count] : curl_easy_init();
	call->state = CALL_WAITING;
	call->retry_after_ms = -1;
	call->public_only = options->public_only;
	call->connect_timeout_us = options->connect_timeout_us ? options->connect_timeout_us : CONNECT_US;
	call->first_byte_timeout_us = options->first_byte_timeout_us ? options->first_byte_timeout_us : FIRST_BYTE_US;
	call->idle_timeout_us = options->idle_timeout_us ? options->idle_timeout_us : IDLE_US;
	call->phase_at_us = INT64_MAX;
	call->total_at_us = loop_now_us(client->loop) + (options->total_timeout_us ? options->total_timeout_us : TOTAL_US);
	call->head = options->head;
	call->body_bytes = options->body_bytes;
	call->done = options->done;
	call->ctx = options->ctx;
	call->timer.run = on_call_timer;
	call->task.run = on_call_task;
	list_init(&call->task.link);
	list_init(&call->link);
	return call;
}

enum err http_client_start(struct http_client *client, const struct http_call_options *options, struct http_call **out)
{
	struct http_call *call;
	enum err err = ERR_MEMORY;

	*out = NULL;
	check(options->done && options->method);
	if (options->url.len == 0 || memchr(options->url.at, 0, options->url.len)) {
		return ERR_INVALID;
	}
	call = call_make(client, options);
	if (!call) {
		return ERR_MEMORY;
	}
	if (call->easy && set_request(call, options) && set_handling(call, options)) {
		err = arm(call);
	}
	if (err) {
		call->err = err;
		call_release(call);
		mem_free(call);
		return err;
	}
	list_push(&client->calls, &call->link);
	client->active++;
	loop_task_add(client->loop, &call->task);
	*out = call;
	return ERR_OK;
}

void http_client_cancel(struct http_call *call)
{
	call_end(call, ERR_CANCELLED, "cancelled");
}

/* The one way to ENDED. Inside curl the handle stays until the task runs. */
static void call_end(struct http_call *call, enum err err, const char *reason)
{
	if (call->state == CALL_ENDED) {
		return;
	}
	call->state = CALL_ENDED;
	call->err = err;
	call->reason = reason;
	loop_timer_clear(call->client->loop, &call->timer);
	if (!call->client->inside) {
		call_release(call);
	}
	loop_task_add(call->client->loop, &call->task);
}

static void on_call_task(struct loop_task *task, struct loop *loop)
{
	struct http_call *call = container_of(task, struct http_call, task);

	(void)loop;
	if (call->state == CALL_WAITING) {
		/* Without memory curl may lose its timer, and then would never say that nobody came. */
		phase_begin(call, CALL_CONNECTING, call->connect_timeout_us + CONNECT_SPARE_US);
		if (call->state == CALL_ENDED) {
			return;
		}
		call->client->inside = true;
		call->in_multi = curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK;
		call->client->inside = false;
		if (!call->in_multi) {
			call_end(call, ERR_PROVIDER_FAILED, "connect");
		}
		return;
	}
	check(call->state == CALL_ENDED);
	call_release(call);
	list_remove(&call->link);
	call->client->active--;
	call->done(call->ctx, call->err, call->reason);
	mem_free(call);
}

enum err http_client_global_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? ERR_OK : ERR_MEMORY;
}

void http_client_global_fini(void)
{
	curl_global_cleanup();
}
