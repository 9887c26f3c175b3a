/* The UDP socket on a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/socket.h"
#include "runtime/clock.h"

struct heard {
    unsigned count;
    uint64_t arrived_us[8];
    size_t len[8];
};

static void received(void *context, const struct bw_address *from, struct bw_view bytes, uint64_t arrived_us)
{
    struct heard *heard = context;
    (void)from;
    heard->arrived_us[heard->count] = arrived_us;
    heard->len[heard->count++] = bytes.len;
}

static void send_failed(void *context, uint64_t count)
{
    (void)context, (void)count;
    fail();
}

static void sleep_ms(long ms)
{
    const struct timespec wait = {.tv_nsec = ms * 1000000};
    nanosleep(&wait, NULL);
}

static void a_datagram_arrives_when_the_kernel_has_it(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_address listen;
    struct heard heard = {0};
    static struct bw_outbox outbox;
    const struct bw_socket_handlers handlers = {
        .context = &heard, .received = received, .send_failed = send_failed};
    struct bw_loop *loop = bw_loop_create(&err);
    assert_non_null(loop);
    assert_int_equal(bw_address_parse("127.0.0.1:0", &listen, &err), BW_OK);
    struct bw_socket *socket_ = bw_socket_create(loop, &listen, &outbox, &handlers, &err);
    assert_non_null(socket_);
    struct bw_address bound = bw_socket_address(socket_);
    struct sockaddr_storage to;
    socklen_t len = bw_address_to_sockaddr(&bound, AF_INET, &to);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    uint64_t sent_us[2];
    for (size_t i = 0; i < 2; i++) {
        sent_us[i] = bw_clock_mono_ns() / 1000;
        assert_int_equal(sendto(fd, "datagram", 4 + i, 0, (const struct sockaddr *)&to, len), 4 + i);
        sleep_ms(60);
    }
    /* Both are read at once, long after. */
    while (heard.count < 2)
        bw_loop_turn(loop, true);
    uint64_t read_us = bw_clock_mono_ns() / 1000;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(heard.len[i], 4 + i);
        assert_true(heard.arrived_us[i] + 1000 >= sent_us[i]);
        assert_true(heard.arrived_us[i] <= read_us);
    }
    assert_true(heard.arrived_us[1] - heard.arrived_us[0] >= 50000);
    assert_true(read_us - heard.arrived_us[1] >= 50000);
    close(fd);
    bw_socket_destroy(socket_);
    bw_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_arrives_when_the_kernel_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
