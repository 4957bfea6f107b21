/* The floor: the least that any server of streams does, to set the others' figures beside.
 *
 * Usage: floor <port> <processes> [skip | double]
 *
 * Each process accepts connections on 127.0.0.1:<port> (SO_REUSEPORT), answers any request with the head of an
 * event stream, and for each line on its standard input send()s one ready frame, made once, to every connection.
 * Nothing else: no routes, no log, no buffers; what does not fit into a socket is dropped. For the self-test of the
 * client, `skip` withholds every third line and `double` repeats it, on every tenth connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 20, MOST_PROCESSES = 64, LINE_BYTES = 1 << 16 };

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static int connections[MOST], connection_count;
static int place[MOST]; /* of a descriptor in connections */

static void leave(int fd) {
    int last = connections[--connection_count];
    connections[place[fd]] = last;
    place[last] = place[fd];
    close(fd);
}

static void broadcast(const char *line, int length, long number, const char *fault) {
    static char frame[LINE_BYTES + 256], body[LINE_BYTES + 128];
    int size = snprintf(body, sizeof body, "event: progress\nid: floor_1-%ld\ndata: %.*s\n\n", number, length, line);
    size = snprintf(frame, sizeof frame, "%x\r\n%s\r\n", (unsigned)size, body);
    bool odd = *fault && number % 3 == 2;
    for (int i = 0; i < connection_count; i++) {
        int times = !odd || i % 10 ? 1 : *fault == 's' ? 0 : 2;
        while (times--) (void)!send(connections[i], frame, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void serve(int port, int lines, const char *fault) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, set = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) _exit(1);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = lines;
    epoll_ctl(set, EPOLL_CTL_ADD, lines, &e);
    static char input[LINE_BYTES];
    static char request[4096];
    int used = 0;
    long number = 0;
    for (;;) {
        int n = epoll_wait(set, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (taken < 0) continue;
                e.data.fd = taken;
                epoll_ctl(set, EPOLL_CTL_ADD, taken, &e);
                place[taken] = connection_count;
                connections[connection_count++] = taken;
            } else if (fd == lines) {
                ssize_t size = read(lines, input + used, sizeof input - 1 - (size_t)used);
                if (size <= 0) _exit(0);
                used += (int)size;
                input[used] = 0;
                char *from = input, *lf;
                while ((lf = strchr(from, '\n'))) {
                    broadcast(from, (int)(lf - from), ++number, fault);
                    from = lf + 1;
                }
                used -= (int)(from - input);
                memmove(input, from, (size_t)used);
            } else if (recv(fd, request, sizeof request, MSG_DONTWAIT) <= 0) {
                if (errno != EAGAIN) leave(fd);
            } else
                (void)!send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int processes = atoi(argv[2]), pipes[MOST_PROCESSES][2];
    if (processes < 1 || processes > MOST_PROCESSES) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < processes; i++) {
        if (pipe(pipes[i])) return 1;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int j = 0; j <= i; j++) close(pipes[j][1]);
            serve(atoi(argv[1]), pipes[i][0], argc > 3 ? argv[3] : "");
        }
        close(pipes[i][0]);
    }
    static char data[LINE_BYTES];
    ssize_t size;
    while ((size = read(0, data, sizeof data)) > 0)
        for (int i = 0; i < processes; i++) (void)!write(pipes[i][1], data, (size_t)size);
    return 0;
}
