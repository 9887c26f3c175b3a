#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cell.h"

enum { CHUNK = 65536 };

/* Everything that the daemon answers until it closes, headers too. */
static struct bw_buf scrape(const struct bench_cell *cell)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cell->http_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct bw_buf answer = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BW_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    BW_CHECK(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1);
    ssize_t n;
    do {
        BW_CHECK(bw_buf_reserve(&answer, CHUNK));
        n = recv(fd, answer.data + answer.len, CHUNK, 0);
        BW_CHECK(n >= 0);
        answer.len += (size_t)n;
    } while (n > 0);
    close(fd);
    return answer;
}

double bench_cell_metric(const struct bench_cell *cell, const char *name)
{
    struct bw_buf answer = scrape(cell);
    const size_t length = strlen(name);
    double sum = 0;
    bool found = false;
    for (const char *line = bw_buf_cstr(&answer); line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != '{'))
            continue;
        const char *value = strchr(line + length, ' ');
        BW_CHECK(value != NULL);
        sum += strtod(value, NULL);
        found = true;
    }
    bw_buf_finish(&answer);
    if (!found) {
        fprintf(stderr, "the daemon has no metric %s\n", name);
        exit(1);
    }
    return sum;
}
