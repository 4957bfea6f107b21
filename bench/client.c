/* The load client: opens many Server-Sent Event streams and counts what arrives on them.
 *
 * One thread, one epoll set. Commands come on stdin, one a line; each is answered on stdout by one line of JSON:
 *
 *   open <n> <timeout_ms>     open n more streams; answers when each has its response's head, or at the deadline
 *   wait <goal> <timeout_ms>  answers when every open stream has seen sequence number <goal>, or at the deadline
 *   report <goal>             answers now; what is missing is counted up to <goal> (0: up to the last one seen)
 *   reset                     forgets counts, latencies and sequence numbers; keeps streams and their ids
 *   zero                      forgets counts and latencies, keeps sequence numbers
 *   cut                       resets every connection (RST), keeping sequence numbers and ids
 *   reopen <timeout_ms>       opens all streams that are not open, with Last-Event-ID; answers as `open`
 *   ports                     answers the local ports of the open streams
 *   quit
 *
 * A measured event carries "s=<sequence> t=<CLOCK_MONOTONIC ns>" in a data line; sequence numbers rise by one
 * from 1 along a stream. Histograms are log-linear over microseconds: 128 buckets per power of two, below 1 %
 * of error; printed sparse, so that a reader can add those of several clients.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { SUB_BITS = 7, SUB = 1 << SUB_BITS, BUCKETS = (40 - SUB_BITS) * SUB, ID_BYTES = 56, READ_BYTES = 1 << 18 };
enum { PER_SOURCE = 8000 }; /* connections from one source address: see DESIGN.md 7, the search for a free port */
enum { EVENTS_AT_ONCE = 512, LINE_LIMIT = 1 << 20, MOST_FAILURES_SHOWN = 120 };
enum { RETRY_NS = 500000000 }; /* the shortest that our service asks for */

typedef struct { uint64_t count[BUCKETS], total, max; } histogram;
typedef enum { CLOSED, CONNECTING, HEAD, LIVE } phase;
typedef enum { STATUS_LINE, HEADERS, SIZE, DATA, DATA_END, TRAILER, RAW, ENDED } parse;

typedef struct {
    int fd;
    uint8_t phase, parse;
    bool chunked, reached;
    uint32_t chunk_left;
    uint32_t part_used, part_room;
    char *part; /* the line that is not complete yet */
    uint64_t last, window; /* highest sequence number; bit i of window: last - i was seen */
    char id[ID_BYTES], new_id[ID_BYTES];
} stream;

static struct {
    const char *host, *path;
    int port, sources, first, concurrency, receive_buffer, first_source;
    bool stuck, late_head;
    char headers[1024];
} given = {.host = "127.0.0.1", .path = "/", .sources = 1, .concurrency = 128};

static stream *streams;
static int stream_count, room, epoll_fd, connecting, next_to_open;
static uint64_t goal, reached_goal, phase_start;
static uint64_t received, missing, duplicate, out_of_order, others, failed, closed_by_peer, live, retries, bytes_read;
static histogram latency, opening, reaching;
static char failure[MOST_FAILURES_SHOWN];
static char *buffer;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int bucket_of(uint64_t us) {
    if (us < SUB) return (int)us;
    int power = 63 - __builtin_clzll(us);
    int index = ((power - SUB_BITS + 1) << SUB_BITS) + (int)((us >> (power - SUB_BITS)) - SUB);
    return index < BUCKETS ? index : BUCKETS - 1;
}

static uint64_t bucket_top(int index) {
    if (index < SUB) return (uint64_t)index;
    int shift = (index >> SUB_BITS) - 1;
    return (((uint64_t)(index & (SUB - 1)) + SUB + 1) << shift) - 1;
}

static void add(histogram *h, uint64_t ns) {
    uint64_t us = ns / 1000;
    h->count[bucket_of(us)]++;
    h->total++;
    if (us > h->max) h->max = us;
}

static uint64_t quantile(const histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total + 0.999999), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += h->count[i];
        if (h->total && seen >= rank && seen) return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return 0;
}

static void print_histogram(const char *name, const histogram *h) {
    printf("\"%s\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64
           ",\"max\":%" PRIu64 ",\"buckets\":[", name, h->total, quantile(h, .5), quantile(h, .9), quantile(h, .99),
           quantile(h, .999), h->max);
    const char *comma = "";
    for (int i = 0; i < BUCKETS; i++)
        if (h->count[i]) {
            printf("%s[%d,%" PRIu64 "]", comma, i, h->count[i]);
            comma = ",";
        }
    printf("]}");
}

static void report(uint64_t upto, bool in_time) {
    uint64_t tail = 0, behind = 0;
    for (int i = 0; i < stream_count; i++)
        if (upto > streams[i].last) {
            tail += upto - streams[i].last;
            behind++;
        }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double user = (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6;
    double kernel = (double)use.ru_stime.tv_sec + (double)use.ru_stime.tv_usec / 1e6;
    printf("{\"in_time\":%s,\"streams\":%d,\"connected\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"retries\":%" PRIu64 ",\"closed_by_peer\":%" PRIu64 ",\"failure\":\"%s\",\"received\":%" PRIu64 ",\"missing\":%" PRIu64
           ",\"duplicate\":%" PRIu64 ",\"out_of_order\":%" PRIu64 ",\"others\":%" PRIu64 ",\"behind\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"elapsed_us\":%" PRIu64 ",\"cpu_s\":%.3f,",
           in_time ? "true" : "false", stream_count, live, failed, retries, closed_by_peer, failure, received,
           missing + tail, duplicate, out_of_order, others, behind, bytes_read, (now_ns() - phase_start) / 1000,
           user + kernel);
    print_histogram("latency", &latency);
    printf(",");
    print_histogram("opening", &opening);
    printf(",");
    print_histogram("reaching", &reaching);
    printf("}\n");
    fflush(stdout);
}

static void note_failure(const char *what, int error) {
    failed++;
    if (!*failure) snprintf(failure, sizeof failure, "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
    for (char *c = failure; *c; c++)
        if (*c == '"' || *c == '\\' || !isprint((unsigned char)*c)) *c = '\'';
}

static void close_stream(stream *s, bool reset) {
    if (s->fd < 0) return;
    if (reset) { /* and no TIME_WAIT that keeps the port */
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    if (s->phase == LIVE) live--;
    if (s->phase == CONNECTING || s->phase == HEAD) connecting--;
    close(s->fd);
    free(s->part);
    s->part = NULL;
    s->part_used = s->part_room = 0;
    s->fd = -1;
    s->phase = CLOSED;
    if (s->reached) reached_goal--;
    s->reached = false;
}

static void lost(stream *s, const char *what, int error) {
    if (s->phase == LIVE)
        closed_by_peer++;
    else
        note_failure(what, error);
    close_stream(s, true);
}

static void start(int index) {
    stream *s = &streams[index];
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        note_failure("socket", errno);
        return;
    }
    connecting++;
    s->phase = CONNECTING;
    s->parse = STATUS_LINE;
    s->chunked = false;
    s->chunk_left = 0;
    *s->new_id = 0;
    int on = 1;
    if (given.receive_buffer)
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &given.receive_buffer, sizeof given.receive_buffer);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET};
    int address = 2 + given.first_source + index / PER_SOURCE % given.sources;
    from.sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)address);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)given.port)};
    inet_pton(AF_INET, given.host, &to.sin_addr);
    if (bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        (connect(s->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)) {
        lost(s, "connect", errno);
        return;
    }
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)index};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &e);
}

static void went_live(stream *s) {
    if (s->phase == LIVE) return;
    s->phase = LIVE;
    connecting--;
    live++;
    add(&opening, now_ns() - phase_start);
    if (given.stuck) {
        struct epoll_event e = {.events = EPOLLRDHUP, .data.u32 = (uint32_t)(s - streams)};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &e);
    }
}

static void send_request(int index) {
    stream *s = &streams[index];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        lost(s, "connect", error);
        return;
    }
    char request[2048], path[512], cursor[ID_BYTES + 32] = "";
    const char *number = strstr(given.path, "%d");
    if (number)
        snprintf(path, sizeof path, "%.*s%d%s", (int)(number - given.path), given.path, given.first + index, number + 2);
    else
        snprintf(path, sizeof path, "%s", given.path);
    if (*s->id) snprintf(cursor, sizeof cursor, "Last-Event-ID: %s\r\n", s->id);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%s%s\r\n", path, given.host,
                          given.port, given.headers, cursor);
    if (send(s->fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
        lost(s, "request", errno);
        return;
    }
    s->phase = HEAD;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = (uint32_t)index};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &e);
    if (given.late_head) went_live(s); /* the server keeps its head until there is an event */
}

static void saw(stream *s, uint64_t sequence, uint64_t stamp, uint64_t now) {
    received++;
    add(&latency, now > stamp ? now - stamp : 0);
    if (sequence > s->last) {
        uint64_t step = sequence - s->last;
        missing += step - 1;
        s->window = step < 64 ? s->window << step | 1 : 1;
        s->last = sequence;
    } else {
        uint64_t back = s->last - sequence;
        if (back < 64 && !(s->window >> back & 1)) { /* a hole is filled late */
            s->window |= 1ull << back;
            out_of_order++;
            missing--;
        } else
            duplicate++;
    }
    if (goal && !s->reached && s->last >= goal) {
        s->reached = true;
        reached_goal++;
        add(&reaching, now - phase_start);
    }
}

/* Finds "s=<n> t=<n>" in a data line. */
static bool marker(const char *line, size_t length, uint64_t *sequence, uint64_t *stamp) {
    const char *end = line + length, *at = line;
    while ((at = memmem(at, (size_t)(end - at), " t=", 3))) {
        const char *digit = at;
        while (digit > line && isdigit((unsigned char)digit[-1])) digit--;
        if (digit < at && digit - line >= 2 && digit[-1] == '=' && digit[-2] == 's') {
            *sequence = 0;
            for (const char *c = digit; c < at; c++) *sequence = *sequence * 10 + (uint64_t)(*c - '0');
            *stamp = 0;
            for (const char *c = at + 3; c < end && isdigit((unsigned char)*c); c++)
                *stamp = *stamp * 10 + (uint64_t)(*c - '0');
            return true;
        }
        at += 3;
    }
    return false;
}

static void body_line(stream *s, const char *line, size_t length, uint64_t now) {
    uint64_t sequence, stamp;
    if (length && line[length - 1] == '\r') length--;
    if (!length) { /* the event is complete: only now does its id count */
        if (*s->new_id) memcpy(s->id, s->new_id, ID_BYTES);
        *s->new_id = 0;
    } else if (length > 5 && !memcmp(line, "data:", 5)) {
        if (marker(line, length, &sequence, &stamp))
            saw(s, sequence, stamp, now);
        else
            others++;
    } else if (length > 3 && !memcmp(line, "id:", 3)) {
        const char *value = line + 3 + (line[3] == ' ');
        size_t size = (size_t)(line + length - value);
        if (size < ID_BYTES) {
            memcpy(s->new_id, value, size);
            s->new_id[size] = 0;
        }
    }
}

static void head_line(stream *s, const char *line, size_t length) {
    if (length && line[length - 1] == '\r') length--;
    if (s->parse == STATUS_LINE) {
        if (length < 12 || memcmp(line, "HTTP/1.", 7) || memcmp(line + 8, " 200", 4)) {
            char shown[64];
            snprintf(shown, sizeof shown, "%.*s", (int)(length < 60 ? length : 60), line);
            lost(s, shown, 0);
            return;
        }
        s->parse = HEADERS;
    } else if (!length) {
        s->parse = s->chunked ? SIZE : RAW;
        went_live(s);
    } else if (length > 18 && !strncasecmp(line, "transfer-encoding:", 18) && memmem(line, length, "chunked", 7))
        s->chunked = true;
}

/* Keeps an unfinished line until the rest comes; lines end at LF. Gives the bytes that were used. */
static size_t take_lines(stream *s, const char *data, size_t size, uint64_t now, bool one_line) {
    size_t used = 0;
    while (used < size) {
        const char *from = data + used, *lf = memchr(from, '\n', size - used);
        size_t piece = lf ? (size_t)(lf - from) : size - used;
        const char *line = from;
        size_t length = piece;
        bool framing = s->parse != DATA;
        if (s->part_used || !lf) {
            if (s->part_used + piece > s->part_room) {
                s->part_room = (uint32_t)(s->part_used + piece + 64);
                if (s->part_room > LINE_LIMIT || !(s->part = realloc(s->part, s->part_room))) {
                    lost(s, "a line is too long", 0);
                    return size;
                }
            }
            memcpy(s->part + s->part_used, from, piece);
            s->part_used += (uint32_t)piece;
            line = s->part;
            length = s->part_used;
        }
        used += piece + (lf != NULL);
        if (!lf) return used;
        switch (s->parse) {
        case STATUS_LINE:
        case HEADERS: head_line(s, line, length); break;
        case SIZE:
            s->chunk_left = (uint32_t)strtoul(line, NULL, 16);
            s->parse = s->chunk_left ? DATA : TRAILER;
            break;
        case TRAILER:
            if (length <= 1) s->parse = ENDED;
            break;
        case DATA_END: s->parse = SIZE; break;
        default: body_line(s, line, length, now);
        }
        s->part_used = 0;
        if (s->fd < 0) return size;
        if (framing && s->part) {
            free(s->part);
            s->part = NULL;
            s->part_room = 0;
        }
        if (one_line) return used;
    }
    return used;
}

/* A line of the body may go on in the next chunk: while a chunk's frame is read it waits in `body`. */
static char *body_part[1 << 17];
static uint32_t body_used[1 << 17];

static void feed(stream *s, const char *data, size_t size, uint64_t now) {
    size_t at = 0;
    int index = (int)(s - streams);
    while (at < size && s->fd >= 0) {
        switch (s->parse) {
        case DATA: {
            size_t here = size - at < s->chunk_left ? size - at : s->chunk_left;
            if (body_part[index]) {
                s->part = body_part[index];
                s->part_used = s->part_room = body_used[index];
                body_part[index] = NULL;
            }
            take_lines(s, data + at, here, now, false);
            at += here;
            if (s->fd < 0) return;
            s->chunk_left -= (uint32_t)here;
            if (!s->chunk_left) {
                if (s->part_used) {
                    body_part[index] = s->part;
                    body_used[index] = s->part_used;
                } else
                    free(s->part);
                s->part = NULL;
                s->part_used = s->part_room = 0;
                s->parse = DATA_END;
            }
            break;
        }
        case RAW: at += take_lines(s, data + at, size - at, now, false); break;
        case ENDED: return;
        default: at += take_lines(s, data + at, size - at, now, true);
        }
    }
}

static void forget_body(int index) {
    free(body_part[index]);
    body_part[index] = NULL;
}

static void readable(int index) {
    stream *s = &streams[index];
    ssize_t size = recv(s->fd, buffer, READ_BYTES, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0) {
        bytes_read += (uint64_t)size;
        feed(s, buffer, (size_t)size, now_ns());
    }
    if (s->fd >= 0 && (size <= 0 || s->parse == ENDED)) lost(s, size < 0 ? "read" : "ended", size < 0 ? errno : 0);
    if (s->fd < 0) forget_body(index);
}

static bool turn(int wait_ms) {
    static struct epoll_event events[EVENTS_AT_ONCE];
    while (next_to_open < stream_count && connecting < given.concurrency) {
        if (streams[next_to_open].fd < 0) start(next_to_open);
        next_to_open++;
    }
    int n = epoll_wait(epoll_fd, events, EVENTS_AT_ONCE, wait_ms);
    bool command = false;
    for (int i = 0; i < n; i++) {
        uint32_t index = events[i].data.u32;
        if (index == UINT32_MAX) {
            command = true;
            continue;
        }
        stream *s = &streams[index];
        if (s->fd < 0) continue;
        if (s->phase == CONNECTING)
            send_request((int)index);
        else if (given.stuck && s->phase == LIVE)
            lost(s, "gone", 0);
        else
            readable((int)index);
    }
    return command;
}

/* Runs until `done` or the deadline; input that comes meanwhile waits. */
static bool run_until(bool (*done)(void), uint64_t timeout_ms) {
    uint64_t deadline = now_ns() + timeout_ms * 1000000u;
    while (!done()) {
        if (now_ns() > deadline) return false;
        turn(20);
    }
    return true;
}

static bool all_opened(void) { return next_to_open >= stream_count && connecting == 0; }
/* Opens again what was refused, as a browser would; a stream sent away is told so only after its head. */
static bool open_all(uint64_t timeout_ms) {
    uint64_t deadline = now_ns() + timeout_ms * 1000000u;
    while (now_ns() < deadline) {
        if (!run_until(all_opened, (deadline - now_ns()) / 1000000u)) return false;
        if (live == (uint64_t)stream_count) return true;
        uint64_t pause = now_ns() + RETRY_NS;
        while (now_ns() < pause) turn(20);
        retries += (uint64_t)stream_count - live;
        next_to_open = 0;
    }
    return false;
}

static bool all_reached(void) { return reached_goal >= live; }

static void open_more(int count, uint64_t timeout_ms) {
    if (stream_count + count > room) count = room - stream_count;
    for (int i = 0; i < count; i++) streams[stream_count + i] = (stream){.fd = -1};
    stream_count += count;
    next_to_open = 0;
    phase_start = now_ns();
    report(0, open_all(timeout_ms));
}

static void set_goal(uint64_t sequence) {
    goal = sequence;
    reached_goal = 0;
    for (int i = 0; i < stream_count; i++) {
        streams[i].reached = streams[i].fd >= 0 && streams[i].last >= goal;
        reached_goal += streams[i].reached;
    }
}

static void forget_counts(void) {
    received = missing = duplicate = out_of_order = others = failed = closed_by_peer = retries = bytes_read = 0;
    *failure = 0;
    latency = opening = reaching = (histogram){0};
    phase_start = now_ns();
    goal = 0;
}

static void cut(void) {
    for (int i = 0; i < stream_count; i++) {
        close_stream(&streams[i], true);
        forget_body(i);
    }
}

static void command(char *line) {
    unsigned long long a = 0, b = 0;
    char name[16] = "";
    sscanf(line, "%15s %llu %llu", name, &a, &b);
    if (!strcmp(name, "open"))
        open_more((int)a, b);
    else if (!strcmp(name, "wait")) {
        set_goal(a);
        report(a, run_until(all_reached, b));
    } else if (!strcmp(name, "report"))
        report(a, true);
    else if (!strcmp(name, "reset") || !strcmp(name, "zero")) {
        forget_counts();
        for (int i = 0; i < stream_count && name[0] == 'r'; i++) streams[i].last = streams[i].window = 0;
        report(0, true);
    } else if (!strcmp(name, "cut")) {
        cut();
        report(0, true);
    } else if (!strcmp(name, "reopen")) {
        uint64_t wanted = b; /* reopen <timeout_ms> [goal]: `reaching` is then counted from the reopening */
        if (wanted) set_goal(wanted);
        open_more(0, a);
    } else if (!strcmp(name, "ports")) {
        printf("{\"ports\":[");
        const char *comma = "";
        for (int i = 0; i < stream_count; i++) {
            struct sockaddr_in local;
            socklen_t size = sizeof local;
            if (streams[i].fd < 0 || getsockname(streams[i].fd, (struct sockaddr *)&local, &size)) continue;
            printf("%s%d", comma, ntohs(local.sin_port));
            comma = ",";
        }
        printf("]}\n");
        fflush(stdout);
    } else if (!strcmp(name, "quit")) {
        cut();
        exit(0);
    } else {
        printf("{\"error\":\"no such command\"}\n");
        fflush(stdout);
    }
}

static void read_arguments(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--host")) given.host = value;
        else if (!strcmp(name, "--port")) given.port = atoi(value);
        else if (!strcmp(name, "--path")) given.path = value;
        else if (!strcmp(name, "--first")) given.first = atoi(value);
        else if (!strcmp(name, "--sources")) given.sources = atoi(value);
        else if (!strcmp(name, "--first-source")) given.first_source = atoi(value);
        else if (!strcmp(name, "--concurrency")) given.concurrency = atoi(value);
        else if (!strcmp(name, "--receive-buffer")) given.receive_buffer = atoi(value);
        else if (!strcmp(name, "--stuck")) given.stuck = atoi(value);
        else if (!strcmp(name, "--late-head")) given.late_head = atoi(value);
        else if (!strcmp(name, "--room")) room = atoi(value);
        else if (!strcmp(name, "--header")) {
            size_t used = strlen(given.headers);
            snprintf(given.headers + used, sizeof given.headers - used, "%s\r\n", value);
        } else {
            fprintf(stderr, "no such option: %s\n", name);
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    room = 20000;
    read_arguments(argc, argv);
    if (room > 1 << 17) room = 1 << 17;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    streams = calloc((size_t)room, sizeof *streams);
    buffer = malloc(READ_BYTES);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!streams || !buffer || epoll_fd < 0) return 1;
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &e);
    phase_start = now_ns();
    static char line[4096];
    size_t used = 0;
    for (;;) {
        if (!turn(-1)) continue;
        ssize_t size = read(0, line + used, sizeof line - used - 1);
        if (size < 0 && errno == EAGAIN) continue;
        if (size <= 0) break; /* whoever started us is gone */
        used += (size_t)size;
        line[used] = 0;
        char *lf;
        while ((lf = strchr(line, '\n'))) {
            *lf = 0;
            command(line);
            used -= (size_t)(lf + 1 - line);
            memmove(line, lf + 1, used + 1);
        }
    }
    cut();
    return 0;
}
