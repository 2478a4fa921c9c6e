/* The same fan-out without Python: one packet to COUNT addresses of 127.1.0.0/16, ROUNDS times, in batches of 1,024
 * as the kernel takes them: flat out, or one every PERIOD_US. Prints nanoseconds in all, and of the processor.
 * The socket has the options of the media socket.
 * Usage: fanout PORT COUNT ROUNDS PACKET_BYTES [PERIOD_US]; with PORT 0 the receivers are read from stdin, each an IPv4
 * address and a port. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    long long period_ns = argc > 5 ? atoll(argv[5]) * 1000 : 0;
    int port = atoi(argv[1]), count = atoi(argv[2]), rounds = atoi(argv[3]), size = atoi(argv[4]);
    int off = 0, fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) return 3;
    int whole = IP_PMTUDISC_PROBE, buffer = 4 << 20, stamped = 1, speech = 46 << 2;
    if (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof whole)) return 3;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &stamped, sizeof stamped);
    setsockopt(fd, IPPROTO_IP, IP_TOS, &speech, sizeof speech);
    setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &speech, sizeof speech);
    struct mmsghdr *headers = calloc(count, sizeof *headers);
    struct sockaddr_in6 *names = calloc(count, sizeof *names);
    struct iovec packet = {calloc(1, size), size};
    for (int i = 0; i < count; i++) {
        char text[64], host[40];
        int its_port = port;
        if (port)
            snprintf(host, sizeof host, "127.1.%d.%d", i / 250, 1 + i % 250);
        else if (scanf("%39s %d", host, &its_port) != 2)
            return 4;
        snprintf(text, sizeof text, "::ffff:%s", host);
        names[i].sin6_family = AF_INET6;
        names[i].sin6_port = htons(its_port);
        if (inet_pton(AF_INET6, text, &names[i].sin6_addr) != 1) return 4;
        headers[i].msg_hdr.msg_name = &names[i];
        headers[i].msg_hdr.msg_namelen = sizeof names[i];
        headers[i].msg_hdr.msg_iov = &packet;
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    struct timespec from, to, used_before, used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used_before);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int round = 0; round < rounds; round++) {
        if (period_ns) {
            long long due_ns = from.tv_sec * 1000000000LL + from.tv_nsec + (round + 1) * period_ns;
            struct timespec due = {due_ns / 1000000000LL, due_ns % 1000000000LL};
            while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL)) continue;
        }
        for (int at = 0; at < count;) {
            int wanted = count - at < 1024 ? count - at : 1024;
            int done = sendmmsg(fd, headers + at, wanted, 0);
            if (done <= 0) return 5;
            at += done;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("%lld %lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec),
           (used.tv_sec - used_before.tv_sec) * 1000000000LL + (used.tv_nsec - used_before.tv_nsec));
    return 0;
}
