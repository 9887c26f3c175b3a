/* bailiwick-endpoint: one participant as a process. Joins a relay with a grant, sends and receives datagrams,
 * and says as JSON what came of it. With --rtp-in and --rtp-out it carries the packets of a media program
 * (ffmpeg, GStreamer) instead of its own; it does not look into them either way. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "endpoint_input.h"
#include "relay/address.h"
#include "relay/media_client.h"
#include "runtime/clock.h"
#include "runtime/random.h"

static const char usage[] =
    "usage: bailiwick-endpoint [--relay ADDRESS:PORT] (--json | --grant G --hop-key K) [options]\n"
    "  --json              read mediaAddress, grant and hopKey from standard input (meeting join -o json)\n"
    "  --grant G           the grant: hexadecimal, base64, or @FILE\n"
    "  --hop-key K         the hop key: hexadecimal, base64, or @FILE\n"
    "  --count N           datagrams to send (default 100)\n"
    "  --rate N            a second (default 50)\n"
    "  --size BYTES        of each payload, 24 to 1200 (default 200)\n"
    "  --start-after MS    wait that long after admission before sending (default 0)\n"
    "  --hold              once admitted say so (a JSON line), and send only after SIGUSR1\n"
    "  --linger MS         keep receiving after the last was sent (default 1000)\n"
    "  --expect N          exit with 1 unless at least N datagrams of others arrived\n"
    "  --rtp-in A:P        send what arrives here instead of own datagrams, until interrupted or --linger "
    "of\n"
    "                      silence after the first\n"
    "  --rtp-out A:P       hand what others send to this address\n"
    "a path made worse, for media that this end sends:\n"
    "  --lose PERCENT      do not send so many of them (whole percents)\n"
    "  --delay MS          send each that much later\n"
    "  --jitter MS         and a random 0 to MS later still\n"
    "  --worse-after MS    only from so long after admission on (default 0)\n"
    "  --worse-for MS      and for so long (default: to the end)\n"
    "exit: 0 done, 1 refused, or fewer than expected, 2 usage, 7 the relay does not answer\n";

enum { EXIT_NO = 1, EXIT_USAGE = 2, EXIT_UNAVAILABLE = 7, PATTERN_HEAD = 24, SENDERS = 256 };
enum { HELD_BACK = 4096 }; /* datagrams that --delay and --jitter keep at a time */

struct options {
    struct endpoint_input input;
    bool json, hold;
    uint64_t count, rate, size, start_after_ms, linger_ms, expect;
    uint64_t lose, delay_ms, jitter_ms, worse_after_ms, worse_for_ms;
    const char *rtp_in, *rtp_out;
};

/* A datagram on a path that was made longer. */
struct held_back {
    uint64_t due_us; /* 0: free */
    size_t len;
    uint8_t bytes[BW_DATAGRAM_MAX];
};

struct heard {
    uint32_t slot;
    uint64_t datagrams, corrupt;
};

struct tool {
    struct options options;
    struct bw_media_client client;
    int relay, rtp_in, rtp_out;
    uint64_t sent, next_send_us, last_activity_us, admitted_us, started_us;
    bool rtp_seen;
    struct heard heard[SENDERS];
    size_t heard_count;
    uint64_t received, corrupt;
    struct held_back *held_back; /* HELD_BACK of them; NULL: the path is as it is */
    size_t held_back_count;
    uint64_t lost_on_purpose;
};

static volatile sig_atomic_t interrupted, released;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void release(int number)
{
    (void)number;
    released = 1;
}

static uint64_t now_us(void)
{
    return bw_clock_mono_ns() / 1000;
}

/* ---- payloads of our own: recognisable, per sender ---- */

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void make_pattern(uint8_t *payload, size_t size, uint32_t slot, uint64_t number)
{
    memcpy(payload, "BWEP", 4);
    put_u64(payload + 4, slot);
    put_u64(payload + 12, number);
    memset(payload + 20, 0, PATTERN_HEAD - 20);
    for (size_t i = PATTERN_HEAD; i < size; i++)
        payload[i] = (uint8_t)(slot * 31 + number * 7 + i);
}

/* Ours to check only if it says it is a pattern. */
static bool pattern_intact(struct bw_view payload, uint32_t slot)
{
    struct bw_reader r = bw_reader_of(payload);
    (void)bw_read_bytes(&r, 4);
    uint64_t said = bw_read_u64(&r), number = bw_read_u64(&r);
    uint8_t expected[BW_DATAGRAM_PAYLOAD_MAX];
    if (r.failed || payload.len < PATTERN_HEAD || said != slot)
        return false;
    make_pattern(expected, payload.len, slot, number);
    return memcmp(expected, payload.data, payload.len) == 0;
}

/* ---- sockets ---- */

static int udp_to(const char *text, bool bound)
{
    struct bw_address address;
    struct bw_error err = {0};
    struct sockaddr_storage sa;
    if (bw_address_parse(text, &address, &err) != BW_OK) {
        fprintf(stderr, "bailiwick-endpoint: %s\n", err.show);
        return -1;
    }
    int family = address.family == 4 ? AF_INET : AF_INET6;
    socklen_t len = bw_address_to_sockaddr(&address, family, &sa);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result = fd < 0  ? -1
                 : bound ? bind(fd, (const struct sockaddr *)&sa, len)
                         : connect(fd, (const struct sockaddr *)&sa, len);
    if (result != 0) {
        fprintf(stderr, "bailiwick-endpoint: %s: %s\n", text, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static bool to_relay(struct tool *t, const uint8_t *bytes, size_t len)
{
    /* A lost datagram is a lost datagram; the protocol asks again where it must. */
    return len > 0 && send(t->relay, bytes, len, 0) == (ssize_t)len;
}

/* ---- what arrives ---- */

static struct heard *heard_of(struct tool *t, uint32_t slot)
{
    for (size_t i = 0; i < t->heard_count; i++) {
        if (t->heard[i].slot == slot)
            return &t->heard[i];
    }
    if (t->heard_count == SENDERS)
        return NULL;
    t->heard[t->heard_count].slot = slot;
    return &t->heard[t->heard_count++];
}

static void take_media(struct tool *t, const struct bw_media_datagram *media)
{
    struct heard *heard = heard_of(t, media->sender);
    bool pattern = media->payload.len >= 4 && memcmp(media->payload.data, "BWEP", 4) == 0;
    bool corrupt = pattern && !pattern_intact(media->payload, media->sender);
    t->received++;
    t->corrupt += corrupt;
    if (heard != NULL) {
        heard->datagrams++;
        heard->corrupt += corrupt;
    }
    if (t->rtp_out >= 0)
        (void)!send(t->rtp_out, media->payload.data, media->payload.len, 0);
}

static void receive(struct tool *t)
{
    uint8_t bytes[BW_DATAGRAM_MAX + 1];
    ssize_t n;
    while ((n = recv(t->relay, bytes, sizeof bytes, 0)) > 0) {
        struct bw_media_datagram media;
        if (bw_media_client_receive(&t->client, bw_view_of(bytes, (size_t)n), now_us(), &media))
            take_media(t, &media);
    }
}

/* ---- a path made worse ---- */

static bool is_worse_now(const struct tool *t)
{
    const struct options *o = &t->options;
    uint64_t from_us = t->admitted_us + o->worse_after_ms * 1000, now = now_us();
    return t->admitted_us != 0 && now >= from_us &&
           (o->worse_for_ms == 0 || now - from_us < o->worse_for_ms * 1000);
}

static struct held_back *free_place(struct tool *t)
{
    for (size_t i = 0; t->held_back != NULL && i < HELD_BACK; i++) {
        if (t->held_back[i].due_us == 0)
            return &t->held_back[i];
    }
    return NULL;
}

/* What the path does to a datagram of ours: it goes, goes later, or does not arrive. */
static void on_the_path(struct tool *t, const uint8_t *bytes, size_t len)
{
    const struct options *o = &t->options;
    if (!is_worse_now(t)) {
        (void)to_relay(t, bytes, len);
        return;
    }
    if (bw_random_u64() % 100 < o->lose) {
        t->lost_on_purpose++;
        return;
    }
    uint64_t later_us = o->delay_ms * 1000 + (o->jitter_ms > 0 ? bw_random_u64() % (o->jitter_ms * 1000) : 0);
    struct held_back *place = later_us > 0 ? free_place(t) : NULL;
    if (place == NULL) {
        (void)to_relay(t, bytes, len);
        return;
    }
    place->due_us = now_us() + later_us;
    place->len = len;
    memcpy(place->bytes, bytes, len);
    t->held_back_count++;
}

/* Sends what is due; when the next one will be. */
static uint64_t let_through(struct tool *t)
{
    uint64_t next = UINT64_MAX, now = now_us();
    for (size_t i = 0; t->held_back != NULL && t->held_back_count > 0 && i < HELD_BACK; i++) {
        struct held_back *place = &t->held_back[i];
        if (place->due_us == 0)
            continue;
        if (place->due_us > now) {
            next = place->due_us < next ? place->due_us : next;
            continue;
        }
        (void)to_relay(t, place->bytes, place->len);
        place->due_us = 0;
        t->held_back_count--;
    }
    return next;
}

/* ---- what is sent ---- */

static void send_payload(struct tool *t, const uint8_t *payload, size_t len)
{
    uint8_t out[BW_DATAGRAM_MAX];
    size_t n = bw_media_client_wrap(&t->client, bw_view_of(payload, len), now_us(), out);
    t->last_activity_us = now_us();
    if (n > 0) {
        t->sent++;
        on_the_path(t, out, n);
    }
}

static void say_admitted(const struct tool *t)
{
    printf("{\"outcome\":\"admitted\",\"slot\":%" PRIu32 "}\n", t->client.grant.slot);
    (void)fflush(stdout);
}

/* Several that are to hear each other from the first datagram on are released together. */
static bool may_send(struct tool *t)
{
    if (t->options.hold && released) {
        t->options.hold = false;
        t->next_send_us = now_us() + t->options.start_after_ms * 1000;
    }
    return t->admitted_us != 0 && t->rtp_in < 0 && !t->options.hold;
}

static void send_own(struct tool *t)
{
    uint8_t payload[BW_DATAGRAM_PAYLOAD_MAX];
    uint64_t now = now_us(), gap = 1000000 / t->options.rate;
    while (t->sent < t->options.count && now >= t->next_send_us) {
        make_pattern(payload, t->options.size, t->client.grant.slot, t->sent);
        send_payload(t, payload, t->options.size);
        t->next_send_us += gap;
    }
}

static void send_rtp(struct tool *t)
{
    uint8_t payload[2048];
    ssize_t n;
    while ((n = recv(t->rtp_in, payload, sizeof payload, 0)) > 0) {
        t->rtp_seen = true;
        if (n <= BW_DATAGRAM_PAYLOAD_MAX)
            send_payload(t, payload, (size_t)n);
    }
}

/* ---- the run ---- */

static bool done(const struct tool *t)
{
    uint64_t quiet_us = now_us() - t->last_activity_us, linger_us = t->options.linger_ms * 1000;
    if (interrupted || t->client.state == BW_MEDIA_CLIENT_OVER)
        return true;
    if (t->admitted_us == 0)
        return false;
    if (t->rtp_in >= 0)
        return t->rtp_seen && quiet_us >= linger_us;
    return t->sent >= t->options.count && quiet_us >= linger_us;
}

static int wait_ms(struct tool *t)
{
    uint64_t now = now_us(), next = bw_media_client_next_us(&t->client), held_back = let_through(t);
    next = held_back < next ? held_back : next;
    if (t->admitted_us != 0 && t->rtp_in < 0 && !t->options.hold && t->sent < t->options.count &&
        t->next_send_us < next)
        next = t->next_send_us;
    if (next <= now)
        return 0;
    uint64_t ms = (next - now) / 1000 + 1;
    return ms > 50 ? 50 : (int)ms;
}

static void loop(struct tool *t)
{
    uint8_t out[BW_DATAGRAM_MAX];
    while (!done(t)) {
        size_t n;
        while ((n = bw_media_client_poll(&t->client, now_us(), out)) > 0)
            (void)to_relay(t, out, n);
        bool admitted = t->client.state == BW_MEDIA_CLIENT_ADMITTED;
        if (admitted && t->admitted_us == 0) {
            t->admitted_us = t->last_activity_us = now_us();
            t->next_send_us = t->admitted_us + t->options.start_after_ms * 1000;
            if (t->options.hold)
                say_admitted(t);
        }
        if (may_send(t))
            send_own(t);
        struct pollfd fds[2] = {{.fd = t->relay, .events = POLLIN}, {.fd = t->rtp_in, .events = POLLIN}};
        (void)poll(fds, 2, wait_ms(t));
        receive(t);
        if (t->rtp_in >= 0 && t->admitted_us != 0)
            send_rtp(t);
    }
    if (t->client.state != BW_MEDIA_CLIENT_OVER)
        (void)to_relay(t, out, bw_media_client_leave(&t->client, out));
}

static void print_summary(const struct tool *t, const char *outcome)
{
    json_t *json = json_object(), *senders = json_array();
    uint64_t lost_in_all = 0;
    for (size_t i = 0; i < t->client.sender_count; i++) {
        const struct bw_media_sender *s = &t->client.senders[i];
        uint64_t lost = bw_measure_lost(&s->measure), corrupt = 0;
        for (size_t k = 0; k < t->heard_count; k++)
            corrupt += t->heard[k].slot == s->slot ? t->heard[k].corrupt : 0;
        lost_in_all += lost;
        json_array_append_new(
            senders, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "slot", (json_int_t)s->slot, "received",
                               (json_int_t)s->measure.received, "bytes", (json_int_t)s->measure.bytes, "lost",
                               (json_int_t)lost, "jitterUs", (json_int_t)bw_measure_jitter_us(&s->measure),
                               "corrupt", (json_int_t)corrupt));
    }
    json_object_set_new(json, "outcome", json_string(outcome));
    if (t->client.refusal != BW_REFUSAL_NONE) {
        json_object_set_new(json, "reason", json_string(bw_refusal_name(t->client.refusal)));
        json_object_set_new(json, "text", json_string(bw_refusal_text(t->client.refusal)));
    }
    json_object_set_new(json, "slot", json_integer((json_int_t)t->client.grant.slot));
    json_object_set_new(json, "provisional", json_boolean(t->client.provisional));
    json_object_set_new(json, "admittedAfterUs",
                        t->admitted_us != 0 ? json_integer((json_int_t)(t->admitted_us - t->started_us))
                                            : json_null());
    json_object_set_new(json, "sent", json_integer((json_int_t)t->sent));
    json_object_set_new(json, "received", json_integer((json_int_t)t->received));
    json_object_set_new(json, "lost", json_integer((json_int_t)lost_in_all));
    json_object_set_new(json, "corrupt", json_integer((json_int_t)t->corrupt));
    json_object_set_new(json, "replayed", json_integer((json_int_t)t->client.replayed));
    json_object_set_new(json, "lostOnPurpose", json_integer((json_int_t)t->lost_on_purpose));
    json_object_set_new(json, "rttUs", json_integer((json_int_t)t->client.rtt_us));
    json_object_set_new(json, "senders", senders);
    json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

/* How it ended, in a word and as the exit code. */
static int conclude(const struct tool *t)
{
    bool left = t->client.refusal == BW_REFUSAL_LEFT;
    if (t->admitted_us == 0 && !interrupted) {
        bool silent = t->client.refusal == BW_REFUSAL_NONE;
        print_summary(t, silent ? "no answer" : "refused");
        fprintf(stderr, "bailiwick-endpoint: %s\n",
                silent ? "the relay does not answer" : bw_refusal_text(t->client.refusal));
        return silent ? EXIT_UNAVAILABLE : EXIT_NO;
    }
    print_summary(t, left ? "left" : "ended");
    if (!left) {
        fprintf(stderr, "bailiwick-endpoint: the relay ended the channel: %s\n",
                bw_refusal_text(t->client.refusal));
        return EXIT_NO;
    }
    return t->received >= t->options.expect && t->corrupt == 0 ? 0 : EXIT_NO;
}

/* ---- arguments ---- */

static bool take_number(const char *text, uint64_t min, uint64_t max, uint64_t *out, const char *what)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || text[0] == '-' || value < min || value > max) {
        fprintf(stderr, "bailiwick-endpoint: --%s takes a number from %" PRIu64 " to %" PRIu64 "\n", what,
                min, max);
        return false;
    }
    *out = value;
    return true;
}

static bool take_option(struct options *o, int option, const char *value)
{
    switch (option) {
    case 'r':
        snprintf(o->input.relay, sizeof o->input.relay, "%s", value);
        return true;
    case 'j':
        o->json = true;
        return true;
    case 'h':
        o->hold = true;
        return true;
    case 'g':
        return endpoint_input_grant(&o->input, value);
    case 'k':
        return endpoint_input_hop_key(&o->input, value);
    case 'c':
        return take_number(value, 0, 1000000000, &o->count, "count");
    case 'R':
        return take_number(value, 1, 100000, &o->rate, "rate");
    case 's':
        return take_number(value, PATTERN_HEAD, BW_DATAGRAM_PAYLOAD_MAX, &o->size, "size");
    case 'a':
        return take_number(value, 0, 3600000, &o->start_after_ms, "start-after");
    case 'l':
        return take_number(value, 0, 86400000, &o->linger_ms, "linger");
    case 'e':
        return take_number(value, 0, UINT64_MAX, &o->expect, "expect");
    case 'i':
        o->rtp_in = value;
        return true;
    case 'o':
        o->rtp_out = value;
        return true;
    case 'L':
        return take_number(value, 0, 100, &o->lose, "lose");
    case 'D':
        return take_number(value, 0, 2000, &o->delay_ms, "delay");
    case 'J':
        return take_number(value, 0, 2000, &o->jitter_ms, "jitter");
    case 'A':
        return take_number(value, 0, 86400000, &o->worse_after_ms, "worse-after");
    case 'F':
        return take_number(value, 0, 86400000, &o->worse_for_ms, "worse-for");
    default:
        return false;
    }
}

static bool take_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {{"relay", required_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"hold", no_argument, NULL, 'h'},
                                          {"grant", required_argument, NULL, 'g'},
                                          {"hop-key", required_argument, NULL, 'k'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"rate", required_argument, NULL, 'R'},
                                          {"size", required_argument, NULL, 's'},
                                          {"start-after", required_argument, NULL, 'a'},
                                          {"linger", required_argument, NULL, 'l'},
                                          {"expect", required_argument, NULL, 'e'},
                                          {"rtp-in", required_argument, NULL, 'i'},
                                          {"rtp-out", required_argument, NULL, 'o'},
                                          {"lose", required_argument, NULL, 'L'},
                                          {"delay", required_argument, NULL, 'D'},
                                          {"jitter", required_argument, NULL, 'J'},
                                          {"worse-after", required_argument, NULL, 'A'},
                                          {"worse-for", required_argument, NULL, 'F'},
                                          {NULL, 0, NULL, 0}};
    int option;
    *o = (struct options){.count = 100, .rate = 50, .size = 200, .linger_ms = 1000};
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (!take_option(o, option, optarg)) {
            fputs(usage, stderr);
            return false;
        }
    }
    if (optind == argc && o->json && !endpoint_input_json(&o->input, stdin))
        return false;
    if (optind != argc || o->input.relay[0] == '\0' || o->input.grant_len == 0 || !o->input.has_hop_key) {
        fputs(usage, stderr);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct tool t = {.relay = -1, .rtp_in = -1, .rtp_out = -1};
    struct bw_error err = {0};
    if (!take_options(argc, argv, &t.options))
        return EXIT_USAGE;
    t.relay = udp_to(t.options.input.relay, false);
    if (t.options.rtp_in != NULL)
        t.rtp_in = udp_to(t.options.rtp_in, true);
    if (t.options.rtp_out != NULL)
        t.rtp_out = udp_to(t.options.rtp_out, false);
    if (t.relay < 0 || (t.options.rtp_in != NULL && t.rtp_in < 0) ||
        (t.options.rtp_out != NULL && t.rtp_out < 0))
        return EXIT_USAGE;
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = release;
    sigaction(SIGUSR1, &action, NULL);
    if (t.options.delay_ms + t.options.jitter_ms > 0)
        t.held_back = bw_calloc(HELD_BACK, sizeof *t.held_back);
    if (t.options.delay_ms + t.options.jitter_ms > 0 && t.held_back == NULL) {
        fprintf(stderr, "bailiwick-endpoint: out of memory\n");
        return EXIT_NO;
    }
    t.started_us = now_us();
    if (bw_media_client_init(&t.client, bw_view_of(t.options.input.grant, t.options.input.grant_len),
                             t.options.input.hop_key, bw_random_u64(), t.started_us, &err) != BW_OK) {
        fprintf(stderr, "bailiwick-endpoint: %s\n", err.show);
        return EXIT_NO;
    }
    loop(&t);
    int code = conclude(&t);
    bw_media_client_finish(&t.client);
    bw_free(t.held_back);
    return code;
}
